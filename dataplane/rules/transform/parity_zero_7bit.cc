// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// Clears bit 7 of each byte.
TransformResult parity_zero_7bit(Bytes input, Arena& arena) {
  struct High {
    static bool has(std::uint8_t byte) { return byte >= 0x80; }
    static __m128i lanes(__m128i block) { return block; }  // movemask takes bit 7
  };
  const std::size_t first = find_first<High>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  for (std::size_t i = first; i < input.size(); ++i) *out++ = input[i] & 0x7f;
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
