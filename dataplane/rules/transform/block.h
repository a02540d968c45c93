// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <emmintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/bytes.h"

/// Sixteen bytes at a time: most bytes of most values are plain, so transformations jump from one
/// interesting byte to the next. SSE2 is part of every x86-64.
namespace sluice::rules::detail {

inline constexpr std::size_t kBlockBytes = 16;

inline __m128i load_block(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
inline void store_block(std::uint8_t* to, __m128i block) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block);
}
inline std::uint32_t mask_of(__m128i lanes) {
  return static_cast<std::uint32_t>(_mm_movemask_epi8(lanes));
}
inline __m128i lanes_equal(__m128i block, std::uint8_t byte) {
  return _mm_cmpeq_epi8(block, _mm_set1_epi8(static_cast<char>(byte)));
}
/// Lanes whose byte is first..last; both below 0x7f (the comparison is signed).
inline __m128i lanes_in_range(__m128i block, std::uint8_t first, std::uint8_t last) {
  return _mm_and_si128(_mm_cmpgt_epi8(block, _mm_set1_epi8(static_cast<char>(first - 1))),
                       _mm_cmpgt_epi8(_mm_set1_epi8(static_cast<char>(last + 1)), block));
}

/// A set of bytes that can be tested one at a time and in blocks.
template <std::uint8_t... kBytes>
struct ByteSet {
  static bool has(std::uint8_t byte) { return ((byte == kBytes) || ...); }
  static __m128i lanes(__m128i block) {
    __m128i found = _mm_setzero_si128();
    ((found = _mm_or_si128(found, lanes_equal(block, kBytes))), ...);
    return found;
  }
};
struct UpperSet {
  static bool has(std::uint8_t byte) { return byte >= 'A' && byte <= 'Z'; }
  static __m128i lanes(__m128i block) { return lanes_in_range(block, 'A', 'Z'); }
};
/// \t \n \v \f \r and blank: isspace() of the C locale.
struct WhitespaceSet {
  static bool has(std::uint8_t byte) { return byte == ' ' || (byte >= 0x09 && byte <= 0x0d); }
  static __m128i lanes(__m128i block) {
    return _mm_or_si128(lanes_equal(block, ' '), lanes_in_range(block, 0x09, 0x0d));
  }
};
template <typename Left, typename Right>
struct UnionSet {
  static bool has(std::uint8_t byte) { return Left::has(byte) || Right::has(byte); }
  static __m128i lanes(__m128i block) {
    return _mm_or_si128(Left::lanes(block), Right::lanes(block));
  }
};

/// Where the first byte of the set stands at or behind `from`; input.size() if nowhere.
template <typename Set>
inline std::size_t find_first(base::Bytes input, std::size_t from = 0) {
  const std::uint8_t* bytes = input.data();
  const std::size_t size = input.size();
  std::size_t i = from;
  for (; i + kBlockBytes <= size; i += kBlockBytes) {
    const std::uint32_t found = mask_of(Set::lanes(load_block(bytes + i)));
    if (found != 0) return i + static_cast<std::size_t>(std::countr_zero(found));
  }
  while (i < size && !Set::has(bytes[i])) ++i;
  return i;
}

/// Copies input[i..] to `out` up to the first byte of the set or the end; returns where that is and
/// moves `out`. Writes up to kBlockBytes - 1 bytes too many.
template <typename Set>
inline std::size_t copy_plain(base::Bytes input, std::size_t i, std::uint8_t*& out) {
  const std::uint8_t* bytes = input.data();
  const std::size_t size = input.size();
  while (i + kBlockBytes <= size) {
    const __m128i block = load_block(bytes + i);
    store_block(out, block);
    const std::uint32_t found = mask_of(Set::lanes(block));
    if (found != 0) {
      const auto plain = static_cast<std::size_t>(std::countr_zero(found));
      out += plain;
      return i + plain;
    }
    out += kBlockBytes;
    i += kBlockBytes;
  }
  while (i < size && !Set::has(bytes[i])) *out++ = bytes[i++];
  return i;
}

}  // namespace sluice::rules::detail
