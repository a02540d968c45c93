// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

/// Character classes of RFC 9110 section 5.6.2 and RFC 3986, as tables.
namespace sluice::http {

enum : std::uint8_t {
  kClassToken = 1,  ///< tchar
  kClassHexDigit = 2,
  kClassDigit = 4,
  kClassHost = 8,        ///< of a registered name as servers agree on it: letters, digits, "-._"
  kClassOddTarget = 32,  ///< raw in a target, servers differ on it: HH20
  kClassBoundary = 16,   ///< bchars of RFC 2046 without the blank
};

inline constexpr std::array<std::uint8_t, 256> kClasses = [] {
  std::array<std::uint8_t, 256> classes{};
  const auto add = [&classes](std::string_view bytes, std::uint8_t bits) {
    for (const char byte : bytes) {
      auto& entry = classes[static_cast<std::uint8_t>(byte)];
      entry = static_cast<std::uint8_t>(entry | bits);
    }
  };
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  add(kDigits, kClassToken | kClassHexDigit | kClassDigit | kClassHost | kClassBoundary);
  add(kLetters, kClassToken | kClassHost | kClassBoundary);
  add("abcdefABCDEF", kClassHexDigit);
  add("!#$%&'*+-.^_`|~", kClassToken);
  add("-._", kClassHost);
  add("'()+_,-./:=?", kClassBoundary);
  add("\"<>\\`", kClassOddTarget);
  return classes;
}();

constexpr bool is_class(std::uint8_t byte, std::uint8_t bits) {
  return (kClasses[byte] & bits) != 0;
}
constexpr bool is_class(char byte, std::uint8_t bits) {
  return is_class(static_cast<std::uint8_t>(byte), bits);
}
constexpr bool all_of_class(std::string_view text, std::uint8_t bits) {
  for (const char byte : text) {
    if (!is_class(byte, bits)) return false;
  }
  return true;
}
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }
/// 0..15, or -1.
constexpr int hex_value(std::uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int letter = c | 0x20;
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}
/// Without the blanks and tabs (OWS) around it.
constexpr std::string_view trim_ows(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace sluice::http
