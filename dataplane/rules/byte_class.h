// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/base/bytes.h"

/// Byte classes: 64 sets of bytes. The class bitmap of a value says which of them occur in it, and
/// answers for all transformations and patterns together whether they need a look at the value.
namespace sluice::rules {

/// Bits of a class bitmap. Letters count without case, one class each; every printable sign is a
/// class of its own but for `^` and `~`, which share one (both are rare in honest values).
enum class ByteClass : std::uint8_t {
  kLetterA = 0,  // ... kLetterA + 25 for z and Z
  kDigit = 26,
  kUpper,  ///< A-Z; these also count as their letter
  kSpace,
  kOtherWhitespace,  ///< \t \n \v \f \r
  kNul,
  kOtherControl,  ///< other bytes below 0x20, and 0x7f
  kHigh,          ///< 0x80-0xff
  kExclamation,
  kDoubleQuote,
  kHash,
  kDollar,
  kPercent,
  kAmpersand,
  kSingleQuote,
  kOpenParenthesis,
  kCloseParenthesis,
  kAsterisk,
  kPlus,
  kComma,
  kMinus,
  kDot,
  kSlash,
  kColon,
  kSemicolon,
  kLess,
  kEqual,
  kGreater,
  kQuestion,
  kAt,
  kOpenBracket,
  kBackslash,
  kCloseBracket,
  kCaretOrTilde,
  kUnderscore,
  kBacktick,
  kOpenBrace,
  kBar,
  kCloseBrace,
  kCount
};
static_assert(static_cast<int>(ByteClass::kCount) <= 64);

constexpr std::uint64_t class_bit(ByteClass byte_class) {
  return std::uint64_t{1} << static_cast<unsigned>(byte_class);
}

namespace detail {
constexpr std::array<std::uint64_t, 256> make_class_table() {
  std::array<std::uint64_t, 256> table{};
  for (unsigned byte = 0; byte < 0x20; ++byte) {
    table[byte] = class_bit(byte == 0                      ? ByteClass::kNul
                            : byte >= 0x09 && byte <= 0x0d ? ByteClass::kOtherWhitespace
                                                           : ByteClass::kOtherControl);
  }
  table[0x7f] = class_bit(ByteClass::kOtherControl);
  for (unsigned byte = 0x80; byte < 0x100; ++byte) table[byte] = class_bit(ByteClass::kHigh);
  for (unsigned byte = '0'; byte <= '9'; ++byte) table[byte] = class_bit(ByteClass::kDigit);
  for (unsigned letter = 0; letter < 26; ++letter) {
    table['a' + letter] = std::uint64_t{1} << letter;
    table['A' + letter] = std::uint64_t{1} << letter | class_bit(ByteClass::kUpper);
  }
  table[' '] = class_bit(ByteClass::kSpace);
  constexpr std::string_view kSigns = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}";
  for (unsigned i = 0; i < kSigns.size(); ++i) {
    table[static_cast<std::uint8_t>(kSigns[i])] =
        std::uint64_t{1} << (static_cast<unsigned>(ByteClass::kExclamation) + i);
  }
  table['~'] = class_bit(ByteClass::kCaretOrTilde);
  return table;
}
}  // namespace detail

static_assert(detail::make_class_table()['}'] == class_bit(ByteClass::kCloseBrace));

/// The classes of each byte: one bit, or two for A-Z.
inline constexpr std::array<std::uint64_t, 256> kByteClasses = detail::make_class_table();

/// The classes of one byte, for compilers and tests.
constexpr std::uint64_t classes_of(std::uint8_t byte) { return kByteClasses[byte]; }

/// The union over a set of bytes written as text, for tables: classes_of_any("%+").
constexpr std::uint64_t classes_of_any(std::string_view bytes) {
  std::uint64_t classes = 0;
  for (const char byte : bytes) classes |= kByteClasses[static_cast<std::uint8_t>(byte)];
  return classes;
}

/// The class bitmap of a value: bit c is set exactly if a byte of class c occurs. 0 for an empty
/// value. O(n), no allocation.
std::uint64_t class_bitmap(base::Bytes value);

}  // namespace sluice::rules
