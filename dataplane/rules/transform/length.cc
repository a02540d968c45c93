// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// The number of bytes in decimal.
TransformResult length(Bytes input, Arena& arena) {
  Output output(input, max_output(abi::TransformId::kLength, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint8_t digits[20];
  std::size_t count = 0;
  std::size_t rest = input.size();
  do {
    digits[count++] = static_cast<std::uint8_t>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  std::uint8_t* out = output.start();
  while (count > 0) *out++ = digits[--count];
  return output.finish(out);
}

}  // namespace sluice::rules::detail
