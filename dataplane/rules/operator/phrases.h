// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::rules {

/// The phrases of `@pm`: separated by white space. As documented for ModSecurity, `|41 42|` gives
/// bytes in hexadecimal and `\; \: \\ \"` are escapes; where the notation is broken, or another
/// escape stands, the text is taken as it is. Matching ignores ASCII case. Compile time only.
std::vector<std::string> parse_phrases(std::string_view argument);

/// The phrases of `@pmFromFile`: one per line, not trimmed; empty lines and lines whose first byte
/// that is no blank is `#` do not count. Compile time only.
std::vector<std::string> parse_phrase_file(std::string_view content);

}  // namespace sluice::rules
