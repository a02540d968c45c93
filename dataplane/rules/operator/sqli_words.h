// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/base/bytes.h"

namespace sluice::rules {

/// False only if libinjection finds no SQL injection in the value. What it blacklists are sequences
/// of kinds of tokens, and all of them hold a string, a comment, a logical operator, a parenthesis,
/// a brace, a semicolon, a backslash, a word that SQL knows, or a variable beside an operator:
/// names, numbers, functions, operators and other signs alone are never blacklisted (all 8,308,824
/// sequences of up to five of these kinds were asked for), and neither is one word of whatever
/// kind. classes: class_bitmap() of the value.
/// O(n), about 1 ns a byte where words must be looked at; no allocation.
[[nodiscard]] bool may_be_sqli(base::Bytes value, std::uint64_t classes);

/// What libinjection's table says of a word, an operator, two words with a blank between, or a
/// fingerprint behind a 0, in whatever case; 0: it is not there. O(n), where libinjection's own
/// look-up is a binary search among 9,352.
[[nodiscard]] char sqli_keyword_type(std::string_view word);

}  // namespace sluice::rules
