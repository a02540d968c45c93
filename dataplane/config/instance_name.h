// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace sluice::config {

inline constexpr std::size_t kInstanceNameBytesMax = 32;
inline constexpr const char* kInstanceNameWanted =
    "an instance is named by letters, digits, '-', '_' and '.', a letter or digit first, at most "
    "32";

/// Whether folders, sockets and the EAL's files may be called after it: one part of a path.
inline bool is_instance_name(std::string_view name) {
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= kInstanceNameBytesMax && is_letter_or_digit(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
         });
}

}  // namespace sluice::config
