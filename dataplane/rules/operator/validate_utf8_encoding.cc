// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <cstring>

namespace sluice::rules {

namespace {

/// Bytes of the character at `at`, or 0 if it is none. RFC 3629 section 4 gives the ranges of the
/// second byte that rule out overlong forms, surrogates and what lies above U+10FFFF.
std::size_t character_bytes(const std::uint8_t* at, std::size_t left) {
  const std::uint8_t lead = at[0];
  std::size_t bytes = 0;
  std::uint8_t low = 0x80, high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    bytes = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    bytes = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    bytes = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (left < bytes || at[1] < low || at[1] > high) return 0;
  for (std::size_t i = 2; i < bytes; ++i) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  return bytes;
}

}  // namespace

bool has_bad_utf8(Bytes value) {
  std::size_t i = 0;
  while (i < value.size()) {
    if (value[i] < 0x80) {
      std::uint64_t word = 0;  // ASCII eight bytes at a time
      if (i + sizeof word <= value.size()) {
        std::memcpy(&word, value.data() + i, sizeof word);
        if ((word & 0x8080808080808080) == 0) {
          i += sizeof word;
          continue;
        }
      }
      ++i;
      continue;
    }
    const std::size_t bytes = character_bytes(value.data() + i, value.size() - i);
    if (bytes == 0) return true;
    i += bytes;
  }
  return false;
}

}  // namespace sluice::rules
