// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/abi/transforms.h"
#include "dataplane/base/result.h"

namespace sluice::rules {

/// Reads the map of one code page from the text of a `SecUnicodeMapFile`: a line that begins with
/// the number of the code page, then `hhhh:hh` pairs up to the next empty line; `#` begins a
/// comment line. As in ModSecurity v3, U+002E, U+3002, U+FF0E and U+FF61 are `.` unless the file
/// says otherwise. Errors: no such code page, a pair that is none. At load time only. O(text).
base::Status parse_unicode_map(std::string_view text, std::uint32_t codepage, abi::UnicodeMap& map);

}  // namespace sluice::rules
