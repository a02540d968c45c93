// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <emmintrin.h>

#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/rules/byte_class.h"

/// Pairs of neighbouring bytes. A pattern that holds the literal "union" cannot match a value
/// without the pairs un, ni, io, on: where byte classes let too much through, pairs decide.
namespace sluice::rules {

/// Bytes are told apart by 63 codes: letters without case, all digits, the blank, other whitespace,
/// high bytes, NUL, other controls, and each sign (`^` and `~` are one).
inline constexpr unsigned kCodeDigit = 26, kCodeSpace = 27, kCodeHigh = 28, kCodeControl = 29,
                          kCodeSign = 30, kCodeWhitespace = 61, kCodeNul = 62, kCodeCount = 63;

constexpr unsigned code_of(std::uint8_t byte) {
  if (byte >= 'a' && byte <= 'z') return byte - 'a';
  if (byte >= 'A' && byte <= 'Z') return byte - 'A';
  if (byte >= '0' && byte <= '9') return kCodeDigit;
  if (byte == ' ') return kCodeSpace;
  if (byte >= 0x09 && byte <= 0x0d) return kCodeWhitespace;
  if (byte == 0) return kCodeNul;
  if (byte >= 0x80) return kCodeHigh;
  if (byte < 0x20 || byte == 0x7f) return kCodeControl;
  const std::uint64_t classes = classes_of(byte);
  unsigned bit = 0;
  while ((classes >> bit & 1) == 0) ++bit;
  return kCodeSign + bit - static_cast<unsigned>(ByteClass::kExclamation);
}

/// The byte class of a code.
constexpr std::uint64_t classes_of_code(unsigned code) {
  if (code < kCodeDigit) return std::uint64_t{1} << code;
  if (code == kCodeDigit) return class_bit(ByteClass::kDigit);
  if (code == kCodeHigh) return class_bit(ByteClass::kHigh);
  if (code == kCodeSpace) return class_bit(ByteClass::kSpace);
  if (code == kCodeWhitespace) return class_bit(ByteClass::kOtherWhitespace);
  if (code == kCodeNul) return class_bit(ByteClass::kNul);
  if (code == kCodeControl) return class_bit(ByteClass::kOtherControl);
  return std::uint64_t{1} << (static_cast<unsigned>(ByteClass::kExclamation) + code - kCodeSign);
}

namespace detail {
constexpr std::array<std::uint8_t, 256> make_code_table() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    table[byte] = static_cast<std::uint8_t>(code_of(static_cast<std::uint8_t>(byte)));
  }
  return table;
}
}  // namespace detail
inline constexpr std::array<std::uint8_t, 256> kByteCodes = detail::make_code_table();
inline constexpr std::array<std::uint64_t, 256> kByteCodeBits = [] {
  std::array<std::uint64_t, 256> bits{};
  for (unsigned byte = 0; byte < 256; ++byte) bits[byte] = std::uint64_t{1} << kByteCodes[byte];
  return bits;
}();
static_assert(kByteCodes['}'] == kCodeWhitespace - 1);

/// A pair as one number.
using Gram = std::uint16_t;
constexpr Gram gram(unsigned first, unsigned second) {
  return static_cast<Gram>(first * 64 + second);
}
/// A pair that every value has.
inline constexpr Gram kAnyGram = gram(63, 63);
/// Two digits next to each other are a pair of codes like any other, and one of these as well:
/// addresses and magic numbers differ from honest numbers in nothing else.
constexpr Gram digit_gram(unsigned first, unsigned second) {
  const unsigned number = first * 10 + second;
  return number < 62 ? gram(63, number) : gram(number - 62, 63);
}

/// The pairs of one value.
struct GramSet {
  std::array<std::uint64_t, 64> followers;  ///< by code: which codes stand behind it

  /// O(n), no allocation.
  void assign(base::Bytes value) {
    followers.fill(0);
    followers[63] = std::uint64_t{1} << 63;
    if (value.empty()) return;
    unsigned last = kByteCodes[value[0]];
    for (const std::uint8_t byte : value.subspan(1)) {
      followers[last] |= kByteCodeBits[byte];
      last = kByteCodes[byte];
    }
    if ((followers[kCodeDigit] >> kCodeDigit & 1) != 0) add_digit_pairs(value);
  }
  [[nodiscard]] bool has(Gram pair) const { return (followers[pair / 64] >> pair % 64 & 1) != 0; }

 private:
  /// Without branches and shifts, as digits are random: a byte for each pair, and one for all else.
  void add_digit_pairs(base::Bytes value) {
    alignas(16) std::uint8_t seen[128] = {};
    unsigned before = value[0] - unsigned{'0'};
    for (const std::uint8_t byte : value.subspan(1)) {
      const unsigned digit = byte - unsigned{'0'};
      seen[before < 10 && digit < 10 ? before * 10 + digit : 127] = 0xff;
      before = digit;
    }
    std::uint64_t words[2] = {};
    for (unsigned i = 0; i < 7; ++i) {
      const __m128i lanes = _mm_load_si128(reinterpret_cast<const __m128i*>(seen) + i);
      words[i / 4] |= std::uint64_t{static_cast<std::uint32_t>(_mm_movemask_epi8(lanes))}
                      << i % 4 * 16;
    }
    // As digit_gram() has them.
    followers[63] |= words[0] & ((std::uint64_t{1} << 62) - 1);
    for (std::uint64_t rest = words[0] >> 62 | words[1] << 2; rest != 0; rest &= rest - 1) {
      followers[static_cast<unsigned>(std::countr_zero(rest))] |= std::uint64_t{1} << 63;
    }
  }
};

}  // namespace sluice::rules
