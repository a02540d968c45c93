// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/byte_class.h"

namespace sluice::rules {

std::uint64_t class_bitmap(base::Bytes value) {
  const std::uint8_t* bytes = value.data();
  const std::size_t size = value.size();
  std::uint64_t one = 0, two = 0;  // two chains, so that loads overlap
  std::size_t i = 0;
  for (; i + 4 <= size; i += 4) {
    one |= kByteClasses[bytes[i]] | kByteClasses[bytes[i + 1]];
    two |= kByteClasses[bytes[i + 2]] | kByteClasses[bytes[i + 3]];
  }
  for (; i < size; ++i) one |= kByteClasses[bytes[i]];
  return one | two;
}

}  // namespace sluice::rules
