// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/compact.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// Where the first white space stands that is no blank or that follows white space; input.size() if
/// there is none. Most texts have single blanks only and stay as they are.
std::size_t find_compressible(Bytes input) {
  const std::uint8_t* in = input.data();
  std::uint32_t carry = 0;  // the byte before was white space
  std::size_t i = 0;
  for (; i + kBlockBytes <= input.size(); i += kBlockBytes) {
    const __m128i block = load_block(in + i);
    const std::uint32_t blank = mask_of(lanes_equal(block, ' '));
    const std::uint32_t white = blank | mask_of(lanes_in_range(block, 0x09, 0x0d));
    const std::uint32_t found = (white & ~blank) | (white & (white << 1 | carry));
    if (found != 0) return i + static_cast<std::size_t>(std::countr_zero(found));
    carry = white >> 15;
  }
  for (bool white_before = carry != 0; i < input.size(); ++i) {
    const bool white = WhitespaceSet::has(in[i]);
    if (white && (in[i] != ' ' || white_before)) return i;
    white_before = white;
  }
  return i;
}

}  // namespace

/// Each run of white space becomes one blank.
TransformResult compress_whitespace(Bytes input, Arena& arena) {
  const std::size_t first = find_compressible(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  const std::uint8_t* in = input.data();
  std::size_t i = first;
  std::uint32_t carry = first > 0 && WhitespaceSet::has(in[first - 1]) ? 1 : 0;
  for (; i + kBlockBytes <= input.size(); i += kBlockBytes) {
    const __m128i block = load_block(in + i);
    const __m128i white_lanes = WhitespaceSet::lanes(block);
    const std::uint32_t white = mask_of(white_lanes);
    const __m128i blanked = _mm_or_si128(_mm_andnot_si128(white_lanes, block),
                                         _mm_and_si128(white_lanes, _mm_set1_epi8(' ')));
    out = write_kept(out, blanked, ~(white & (white << 1 | carry)) & 0xffff);
    carry = white >> 15;
  }
  for (; i < input.size(); ++i) {
    const bool white = WhitespaceSet::has(in[i]);
    if (!white) *out++ = in[i];
    if (white && carry == 0) *out++ = ' ';
    carry = white ? 1 : 0;
  }
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
