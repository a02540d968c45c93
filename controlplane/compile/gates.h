// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::compile {

/// The byte classes that a match needs, as alternatives: a value that has all classes of none of
/// the masks cannot match. Empty: nothing is known, every value may match.
std::vector<std::uint64_t> regex_gates(std::string_view pattern);

/// The same for "one of these texts occurs", without case.
std::vector<std::uint64_t> literal_gates(const std::vector<std::string>& texts);

}  // namespace sluice::compile
