// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::http {

/// A Content-Type value read by the grammar of RFC 9110 section 8.3.1.
struct MediaType {
  std::string_view type;     ///< "application/json" as received; empty where malformed
  std::string_view charset;  ///< without quotes; empty: none
  bool malformed = false;    ///< not the grammar: servers may read it differently (HB1)
  bool repeated = false;     ///< a parameter twice (HB2)
};

/// O(value). Views into it.
[[nodiscard]] MediaType parse_media_type(std::string_view value);

/// UTF-8, US-ASCII, ISO-8859-1, ISO-8859-15 or Windows-1252, or none: readers of these agree on
/// ASCII (HB2).
[[nodiscard]] bool allowed_charset(std::string_view charset);

/// Which body processor libmodsecurity and its recommended rules 200000 and 200001 choose.
enum class BodyProcessor : std::uint8_t { kNone, kUrlencoded, kMultipart, kJson, kXml };

/// By prefix and without case, as the reference does when Content-Type is added: urlencoded or
/// multipart, else kNone. JSON and XML are for rules to set (ctl:requestBodyProcessor). O(1).
[[nodiscard]] BodyProcessor default_body_processor(std::string_view content_type);

}  // namespace sluice::http
