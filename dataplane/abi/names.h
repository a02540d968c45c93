// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace sluice::abi {

namespace detail {

/// Eight bytes with A-Z made lower case, all at once: the high bit of a byte's low seven bits plus
/// a constant tells whether they are beyond a bound.
constexpr std::uint64_t lower_eight(std::uint64_t bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  const std::uint64_t low = bytes & (0x7f * kEach);
  const std::uint64_t from_a = low + (0x80 - 'A') * kEach;
  const std::uint64_t beyond_z = low + (0x7f - 'Z') * kEach;
  return bytes | (((from_a ^ beyond_z) & ~bytes & (0x80 * kEach)) >> 2);
}

/// Of `size` bytes, 1 to 8.
constexpr std::uint64_t load_lower(const char* at, std::size_t size) {
  std::uint64_t bytes = 0;
  if (std::is_constant_evaluated()) {
    for (std::size_t i = size; i > 0; --i)
      bytes = bytes << 8 | static_cast<unsigned char>(at[i - 1]);
  } else {
    std::memcpy(&bytes, at, size);
  }
  return lower_eight(bytes);
}

}  // namespace detail

/// Equal without ASCII case. O(size), eight bytes a step; the last step overlaps the one before.
constexpr bool equal_ignoring_case(std::string_view left, std::string_view right) {
  const std::size_t size = left.size();
  if (size != right.size()) return false;
  const auto same = [&](std::size_t at, std::size_t bytes) {
    return detail::load_lower(&left[at], bytes) == detail::load_lower(&right[at], bytes);
  };
  if (size >= 8) {
    for (std::size_t at = 0; at + 8 < size; at += 8) {
      if (!same(at, 8)) return false;
    }
    return same(size - 8, 8);
  }
  if (size >= 4) return same(0, 4) && same(size - 4, 4);
  for (std::size_t at = 0; at < size; ++at) {
    if (!same(at, 1)) return false;
  }
  return true;
}

}  // namespace sluice::abi
