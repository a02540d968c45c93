// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
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

/// The pairs of one value. Nothing is cleared between values: a pair is there if it bears the stamp
/// of the last one.
class GramSet {
 public:
  /// Takes the pairs of a value, and notes in `hits` those of them that have a bit in `wanted`
  /// (64 words). hits: room for 4096. Returns how many. O(n), no allocation.
  std::size_t assign(base::Bytes value, const std::uint64_t* wanted, Gram* hits) {
    if (++stamp_ == 0) {
      seen_.fill(0);
      stamp_ = 1;
    }
    seen_[kAnyGram] = stamp_;
    if (value.empty()) return 0;
    // Without branches: what is no hit is written over by the next.
    std::size_t count = 0;
    unsigned last = kByteCodes[value[0]];
    const auto note = [&](unsigned pair) {
      const bool is_new = seen_[pair] != stamp_;
      seen_[pair] = stamp_;
      hits[count] = static_cast<Gram>(pair);
      count += is_new & (wanted[pair / 64] >> pair % 64 & 1);
    };
    for (const std::uint8_t byte : value.subspan(1)) {
      const unsigned code = kByteCodes[byte];
      note(last * 64 + code);
      last = code;
    }
    if (seen_[gram(kCodeDigit, kCodeDigit)] != stamp_) return count;
    unsigned before = value[0] - unsigned{'0'};
    for (const std::uint8_t byte : value.subspan(1)) {
      const unsigned digit = byte - unsigned{'0'};
      note(before < 10 && digit < 10 ? digit_gram(before, digit) : kAnyGram);
      before = digit;
    }
    return count;
  }
  [[nodiscard]] bool has(Gram pair) const { return seen_[pair] == stamp_; }

 private:
  std::array<std::uint8_t, 4096> seen_{};
  std::uint8_t stamp_ = 0;
};

}  // namespace sluice::rules
