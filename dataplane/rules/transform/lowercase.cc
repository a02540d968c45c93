// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// ASCII letters only; other bytes stay.
TransformResult lowercase(Bytes input, Arena& arena) {
  const std::size_t first = find_first<UpperSet>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  const std::uint8_t* in = input.data();
  std::size_t i = first;
  const __m128i bit = _mm_set1_epi8(0x20);
  for (; i + kBlockBytes <= input.size(); i += kBlockBytes, out += kBlockBytes) {
    const __m128i block = load_block(in + i);
    store_block(out, _mm_or_si128(block, _mm_and_si128(UpperSet::lanes(block), bit)));
  }
  for (; i < input.size(); ++i) {
    *out++ = UpperSet::has(in[i]) ? static_cast<std::uint8_t>(in[i] | 0x20) : in[i];
  }
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
