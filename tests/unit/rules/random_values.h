// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::rules::test {

/// Values built around what transformations look at: escapes, comment signs, path segments and
/// entities in pieces, plain runs longer than a vector block, and any byte. One seed, one sequence.
class RandomValues {
 public:
  explicit RandomValues(std::uint64_t seed) : state_(seed * 2 + 1) {}

  std::uint32_t below(std::uint32_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>((state_ >> 33) % limit);
  }

  /// 0 to about 100 bytes.
  std::string next() {
    static constexpr std::string_view kPieces[] = {
        "%",      "%4",    "%41",     "%zz",       "%u0041", "%u00",
        "%uff1c", "+",     "&",       "&lt;",      "&#60",   "&#x3c;",
        "&ltx",   "&#",    "&#x",     "&amp",      "&nbsp;", "&#00065;",
        "\\",     "\\x41", "\\u0041", "\\uff21",   "\\101",  "\\400",
        "\\8",    "\\n",   "\\61 ",   "\\0000610", "/*",     "*/",
        "/",      "*",     "<!--",    "-->",       "--",     "-",
        "#",      "/../",  "/./",     "//",        "..",     ".",
        "a.",     "...",   "/a/",     " ",         "  ",     "\t",
        "\r\n",   "\"",    "'",       "^",         ",",      ";",
        "(",      "0x41",  "0x4",     "0x",        "YWJj",   "=",
        "==",     "QUJD",  "A",       "Zz",        "select", "abcdefghijklmnopqrstuvwxyz012345",
        "9",      "\v\f"};
    std::string value;
    for (std::uint32_t pieces = below(9); pieces > 0; --pieces) {
      const std::uint32_t kind = below(16);
      if (kind < 13) {
        value += kPieces[below(static_cast<std::uint32_t>(std::size(kPieces)))];
      } else if (kind == 13) {
        value += static_cast<char>(below(256));
      } else if (kind == 14) {
        value += utf8_like();
      } else {
        value += '\0';
      }
    }
    return value;
  }

 private:
  /// A lead byte and up to three bytes that mostly continue it.
  std::string utf8_like() {
    std::string bytes(1, static_cast<char>(0xc0 + below(64)));
    for (std::uint32_t count = below(4); count > 0; --count) {
      bytes += static_cast<char>(below(8) == 0 ? below(256) : 0x80 + below(64));
    }
    return bytes;
  }

  std::uint64_t state_;
};

}  // namespace sluice::rules::test
