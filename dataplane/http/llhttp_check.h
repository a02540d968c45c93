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
  /// A new request or response. `no_body`: the response of a HEAD request.
  void start_request();
  void start_response(bool no_body);

  /// False where llhttp refuses the head or frames the body in another way. O(head).
  [[nodiscard]] bool head(const RequestHead& head);
  [[nodiscard]] bool head(const ResponseHead& head);
  /// The next bytes are `data` of the body, or framing around it; `ends`: with the last of them the
  /// message ends. O(1) for data, O(size) for framing.
  [[nodiscard]] bool data(base::Bytes bytes, bool ends);
  [[nodiscard]] bool framing(base::Bytes bytes, bool ends);

  /// Start-up self-test: the library is built in strict mode (a blank before the colon is refused).
  [[nodiscard]] static bool built_strict();

 private:
  llhttp_t parser_;
};

}  // namespace sluice::http
