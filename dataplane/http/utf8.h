// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

namespace sluice::http {

/// Well-formed UTF-8, byte by byte across chunks (Unicode 15, table 3-7: no overlong form, no
/// surrogate, nothing beyond U+10FFFF).
class Utf8Checker {
 public:
  /// False for the byte at which the text stops being UTF-8; the checker is then as new.
  bool take(std::uint8_t byte) {
    if (need_ > 0) {
      const bool fits = byte >= low_ && byte <= high_;
      low_ = 0x80;
      high_ = 0xbf;
      need_ = fits ? static_cast<std::uint8_t>(need_ - 1) : std::uint8_t{0};
      return fits;
    }
    if (byte < 0x80) return true;
    low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    high_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
      need_ = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
      need_ = 2;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
      need_ = 3;
    }
    return need_ > 0;
  }
  /// No character is half read.
  [[nodiscard]] bool complete() const { return need_ == 0; }

 private:
  std::uint8_t need_ = 0, low_ = 0x80, high_ = 0xbf;
};

}  // namespace sluice::http
