// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/http/head.h"

namespace sluice::http {

/// llhttp in strict mode as the second reader of a message: it is given region by region what our
/// own parser has accepted, and must find the same head, framing, body bytes and end.
class LlhttpCheck {
 public:
  /// A new message. False where llhttp refuses the head, or reads another method, version, number
  /// of fields, framing or length in it. O(head).
  [[nodiscard]] bool head(const RequestHead& head);
  [[nodiscard]] bool head(const ResponseHead& head);
  /// The next bytes of the message: all of them body (`is_data`), or none of them; with the last
  /// one the message ends (`ends`), or does not. O(1) for data, O(size) for framing.
  [[nodiscard]] bool body(base::Bytes bytes, bool is_data, bool ends);

  /// Start-up self-test: the library is built in strict mode (a blank before the colon is refused).
  [[nodiscard]] static bool built_strict();

 private:
  struct Callbacks;

  void start(llhttp_type_t type, bool no_body);
  bool run(base::Bytes bytes);
  bool run_masked(base::Bytes bytes);
  bool agrees(const Head& head);

  llhttp_t parser_;
  std::uint64_t length_ = 0;  ///< Content-Length as llhttp read it
  std::uint64_t body_bytes_ = 0;
  std::uint32_t fields_ = 0;
  bool no_body_ = false;
  bool head_complete_ = false, complete_ = false, chunked_ = false;
};

}  // namespace sluice::http
