// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

using Deleted = ByteSet<'"', '\'', '\\', '^'>;
using Blank = ByteSet<' ', ',', ';', '\t', '\r', '\n'>;
using Special = UnionSet<Deleted, Blank>;

/// copy_plain() that also makes letters lower case.
std::size_t copy_lower(Bytes input, std::size_t i, std::uint8_t*& out) {
  const std::uint8_t* in = input.data();
  const __m128i bit = _mm_set1_epi8(0x20);
  while (i + kBlockBytes <= input.size()) {
    const __m128i block = load_block(in + i);
    store_block(out, _mm_or_si128(block, _mm_and_si128(UpperSet::lanes(block), bit)));
    const std::uint32_t found = mask_of(Special::lanes(block));
    if (found != 0) {
      const auto plain = static_cast<std::size_t>(std::countr_zero(found));
      out += plain;
      return i + plain;
    }
    out += kBlockBytes;
    i += kBlockBytes;
  }
  for (; i < input.size() && !Special::has(in[i]); ++i) {
    *out++ = UpperSet::has(in[i]) ? static_cast<std::uint8_t>(in[i] | 0x20) : in[i];
  }
  return i;
}

}  // namespace

/// Deletes `" ' \ ^`, makes each run of `, ;` blank, tab, CR and LF one blank (deleted bytes do not
/// break a run), drops it before `/` and `(`, and makes the rest lower case.
TransformResult cmd_line(Bytes input, Arena& arena) {
  const std::size_t first = find_first<UnionSet<Special, UpperSet>>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  const std::uint8_t* in = input.data();
  const std::size_t size = input.size();
  for (std::size_t i = copy_lower(input, first, out); i < size; i = copy_lower(input, i, out)) {
    bool blank = false;
    for (; i < size && Special::has(in[i]); ++i) blank |= Blank::has(in[i]);
    if (blank && (i == size || (in[i] != '/' && in[i] != '('))) *out++ = ' ';
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
