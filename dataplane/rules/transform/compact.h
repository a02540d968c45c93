// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <tmmintrin.h>

#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/rules/transform/block.h"

/// Dropping bytes without a branch per byte: texts have white space every few bytes, where jumping
/// from one to the next costs five times as much. SSSE3, which the project's baseline has.
namespace sluice::rules::detail {

/// For each set of eight lanes, the numbers of those that are in it, in order.
inline constexpr auto kKeptLanes = [] {
  std::array<std::uint64_t, 256> table{};
  for (unsigned kept = 0; kept < 256; ++kept) {
    unsigned place = 0;
    for (unsigned lane = 0; lane < 8; ++lane) {
      if ((kept >> lane & 1) != 0) table[kept] |= std::uint64_t{lane} << (8 * place++);
    }
  }
  return table;
}();

/// Writes the lanes of `block` whose bit in `kept` is set, in order, and returns the place behind
/// them. Writes up to 15 bytes too many.
inline std::uint8_t* write_kept(std::uint8_t* out, __m128i block, std::uint32_t kept) {
  const std::uint32_t low = kept & 0xff, high = kept >> 8 & 0xff;
  const auto shuffle = [](__m128i eight, std::uint32_t lanes) {
    return _mm_shuffle_epi8(eight, _mm_cvtsi64_si128(static_cast<long long>(kKeptLanes[lanes])));
  };
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), shuffle(block, low));
  out += std::popcount(low);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), shuffle(_mm_srli_si128(block, 8), high));
  return out + std::popcount(high);
}

/// Copies input[i..] to `out` without the bytes of the set; returns the place behind the last one.
template <typename Dropped>
inline std::uint8_t* copy_without(base::Bytes input, std::size_t i, std::uint8_t* out) {
  const std::uint8_t* bytes = input.data();
  for (; i + kBlockBytes <= input.size(); i += kBlockBytes) {
    const __m128i block = load_block(bytes + i);
    const std::uint32_t dropped = mask_of(Dropped::lanes(block));
    if (dropped == 0) {
      store_block(out, block);
      out += kBlockBytes;
    } else {
      out = write_kept(out, block, ~dropped & 0xffff);
    }
  }
  for (; i < input.size(); ++i) {
    if (!Dropped::has(bytes[i])) *out++ = bytes[i];
  }
  return out;
}

}  // namespace sluice::rules::detail
