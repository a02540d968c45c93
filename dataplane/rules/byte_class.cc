// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/byte_class.h"

namespace sluice::rules {

// A table of 2 KB that stays in the first-level cache: 0.22 ns a byte. Eight 128-byte look-ups of
// AVX-512 VBMI and a transposition were tried: 25 ns to begin with, even at 256 bytes, 1.7 times as
// fast at 4 KB. Values are short.
std::uint64_t class_bitmap(base::Bytes value) {
  const std::uint8_t* bytes = value.data();
  const std::size_t size = value.size();
  std::uint64_t one = 0, two = 0;  // two chains, so that loads overlap
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    one |= kByteClasses[bytes[i]] | kByteClasses[bytes[i + 1]] | kByteClasses[bytes[i + 2]] |
           kByteClasses[bytes[i + 3]];
    two |= kByteClasses[bytes[i + 4]] | kByteClasses[bytes[i + 5]] | kByteClasses[bytes[i + 6]] |
           kByteClasses[bytes[i + 7]];
  }
  for (; i < size; ++i) one |= kByteClasses[bytes[i]];
  return one | two;
}

}  // namespace sluice::rules
