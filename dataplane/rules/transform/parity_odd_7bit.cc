// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <bit>

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// Sets bit 7 of each byte where the number of its bits is even, else clears it. The old bit 7
/// counts, as in the reference.
TransformResult parity_odd_7bit(Bytes input, Arena& arena) {
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  for (const std::uint8_t byte : input) {
    const bool odd = (std::popcount(byte) & 1) != 0;
    *out++ = static_cast<std::uint8_t>(odd ? (byte & 0x7fu) : (byte | 0x80u));
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
