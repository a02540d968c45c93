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

/// The pairs that are looked for.
struct WantedGrams {
  /// bits: kGramCount of them, which must stay.
  explicit WantedGrams(const std::uint64_t* bits);
  [[nodiscard]] bool has(unsigned pair) const { return (words[pair / 64] >> pair % 64 & 1) != 0; }

  const std::uint64_t* words;
  std::uint8_t numbers[16] = {};  ///< a bit for each number whose digit_gram() is wanted
};

/// The pairs of one value. Nothing is cleared between values: a pair is there if it bears the stamp
/// of the last one.
class GramSet {
 public:
  /// Takes a value, and notes in `hits` those of its pairs that are wanted, each once. hits: room
  /// for 4096. Returns how many. The bytes must stay until the next assign(). O(n), no allocation;
  /// 64 pairs a step with AVX-512 VBMI, 32 with AVX2, chosen once for this machine.
  std::size_t assign(base::Bytes value, const WantedGrams& wanted, Gram* hits);
  /// Whether the value has a pair, or kAnyGram is asked for. The first call after assign() is O(n).
  [[nodiscard]] bool has(Gram pair) {
    if (pair == kAnyGram) return true;
    if (!is_filled_ && codes_.count > 0) return has_here(pair);
    if (!is_filled_) fill();
    return seen_.has(pair);
  }

  /// The codes of the bytes of a short value: comparing them all with a pair is cheaper than noting
  /// each of them.
  struct Codes {
    static constexpr std::size_t kMax = 1024;             ///< pairs
    alignas(64) std::array<std::uint8_t, kMax + 128> of;  ///< what lies behind is read, not used
    std::size_t count = 0;                                ///< of pairs; 0: not kept
  };

 private:
  /// A set of pairs that is emptied in O(1).
  class Stamps {
   public:
    void clear() {
      if (++stamp_ != 0) return;
      stamps_.fill(0);
      stamp_ = 1;
    }
    void add(unsigned pair) { stamps_[pair] = stamp_; }
    [[nodiscard]] bool has(unsigned pair) const { return stamps_[pair] == stamp_; }

   private:
    std::array<std::uint8_t, 4096> stamps_{};
    std::uint8_t stamp_ = 0;
  };
  [[nodiscard]] bool has_here(Gram pair) const;
  void fill();

  Stamps seen_, noted_;
  Codes codes_{};
  base::Bytes value_;
  bool is_filled_ = false;
};

}  // namespace sluice::rules
