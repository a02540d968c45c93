// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <string_view>

namespace sluice::abi {

/// Equal without ASCII case, as SecLang compares the names of directives, operators and so on.
constexpr bool same_name(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const char l = left[i] >= 'A' && left[i] <= 'Z' ? static_cast<char>(left[i] + 32) : left[i];
    const char r = right[i] >= 'A' && right[i] <= 'Z' ? static_cast<char>(right[i] + 32) : right[i];
    if (l != r) return false;
  }
  return true;
}

}  // namespace sluice::abi
