// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice::rules {

class Ruleset;

/// The header names one of which a request must have for a chain to match that keeps every name in
/// TX and then looks for one in a list, as the CRS does (920450):
///
///     SecRule REQUEST_HEADERS_NAMES "@rx ^.*$"
///     "capture,setvar:'tx.PREFIX_%{tx.0}=/%{tx.0}/',chain"
///         SecRule TX:/^PREFIX_/ "@within /name/ /other/"
///
/// A name with a `/` or a `_` in it is taken for one of them. Empty: `starter` is no such chain, or
/// what it keeps is seen elsewhere, for other names too. O(rules) with a small factor.
std::vector<std::string_view> listed_names(const Ruleset& ruleset, std::uint32_t starter);

}  // namespace sluice::rules
