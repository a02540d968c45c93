// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/http/arena_buffer.h"

/// The field values of multipart/form-data: the boundary, and Content-Disposition of a part.
namespace sluice::http {

/// The boundary parameter of a multipart/form-data Content-Type.
struct MultipartBoundary {
  std::string_view text;  ///< view into the field value; empty: none, or not acceptable (`error`)
  bool quoted = false, whitespace = false, missing_semicolon = false;
  bool error = false;  ///< ModSecurity 3 refuses it: REQBODY_ERROR, nothing parsed
  /// Servers read it differently (HB6): beyond `error`, anything but one parameter of 1 to 70
  /// RFC 2046 characters, a token or quoted, not ending in a blank. Switch multipart_boundary.
  bool ambiguous = false;
};

/// Finds the boundary in the value of a Content-Type field, as ModSecurity 3 does. O(value).
[[nodiscard]] MultipartBoundary multipart_boundary(std::string_view content_type);

/// Content-Disposition of a part, read as ModSecurity 3 does.
struct Disposition {
  std::string_view name, filename;          ///< unquoted; into the value, or into `unquoted`
  std::string_view raw_name, raw_filename;  ///< with their escapes; into the value
  bool has_name = false, has_filename = false;
  bool error = false;            ///< not form-data, an unknown parameter, one twice, no name
  bool invalid_quoting = false;  ///< single quotes, or text around quotes
  bool ambiguous = false;  ///< HB8: name* or filename*, escapes, controls: switch multipart_headers
};

/// `unquoted` takes values that have escapes: its growth must not move what it holds, so reserve.
[[nodiscard]] Disposition read_disposition(std::string_view value, ArenaBuffer& unquoted);

}  // namespace sluice::http
