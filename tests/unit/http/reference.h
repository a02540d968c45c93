// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/http/pieces.h"

/// libmodsecurity 3 as the reference for body decoders. Linked by tests alone.
namespace sluice::http::testing {

/// What the reference made of one request body; pairs are sorted, since it keeps no order.
struct ReferenceBody {
  std::vector<Pair> args, files, cookies;
  bool error = false;  ///< REQBODY_ERROR
  bool urlencoded_error = false;
  std::string error_text;
  /// MULTIPART_*, by the name behind that prefix; "" where unset.
  std::vector<Pair> multipart;
};

class Reference {
 public:
  Reference();
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  ReferenceBody post(const std::string& content_type, const std::string& body,
                     const std::string& cookie = "");

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http::testing
