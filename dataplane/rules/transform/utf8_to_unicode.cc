// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// Bytes of the sequence that a lead byte announces by its top bits; 0: no lead byte.
std::size_t sequence_bytes(std::uint8_t lead) {
  if ((lead & 0xe0) == 0xc0) return 2;
  if ((lead & 0xf0) == 0xe0) return 3;
  if ((lead & 0xf8) == 0xf0) return 4;
  return 0;
}

bool is_continuation(std::uint8_t byte) { return (byte & 0xc0) == 0x80; }

/// `%u` and at least four lower case digits.
std::uint8_t* write_code_point(std::uint8_t* out, std::uint32_t code) {
  *out++ = '%';
  *out++ = 'u';
  for (int shift = code > 0xfffff ? 20 : code > 0xffff ? 16 : 12; shift >= 0; shift -= 4) {
    *out++ = static_cast<std::uint8_t>(kLowerHex[code >> shift & 15]);
  }
  return out;
}

bool is_overlong(std::uint32_t code, std::size_t bytes) {
  return code < (bytes == 2 ? 0x80u : bytes == 3 ? 0x800u : 0x10000u);
}

}  // namespace

/// Each multi-byte character becomes `%uHHHH`. Overlong forms and surrogates are converted, and
/// their lead byte follows; a lead byte without its continuation is dropped, as is NUL; other bytes
/// that begin no character stay.
TransformResult utf8_to_unicode(Bytes input, Arena& arena) {
  struct Special {
    static bool has(std::uint8_t byte) { return byte == 0 || byte >= 0x80; }
    static __m128i lanes(__m128i block) {
      return _mm_cmpgt_epi8(_mm_set1_epi8(1), block);  // signed: 0 and all above 0x7f
    }
  };
  const std::size_t first = find_first<Special>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, max_output(abi::TransformId::kUtf8ToUnicode, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  const std::uint8_t* in = input.data();
  const std::size_t size = input.size();
  for (std::size_t i = first; i < size; i = copy_plain<Special>(input, i, out)) {
    const std::uint8_t lead = in[i];
    const std::size_t bytes = sequence_bytes(lead);
    if (bytes == 0) {
      if (lead != 0) *out++ = lead;
      ++i;
      continue;
    }
    if (lead >= 0xf5) *out++ = lead;
    std::uint32_t code = lead & (0x7fu >> bytes);
    std::size_t have = 1;
    while (have < bytes && i + have < size && is_continuation(in[i + have])) {
      code = code << 6 | (in[i + have] & 0x3f);
      ++have;
    }
    if (have < bytes) {
      ++i;
      continue;
    }
    out = write_code_point(out, code);
    if (code >= 0xd800 && code <= 0xdfff) *out++ = lead;
    if (is_overlong(code, bytes)) *out++ = lead;
    i += bytes;
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
