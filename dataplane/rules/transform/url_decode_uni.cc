// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// The byte for `%uHHHH`; `digits`: the four, all hexadecimal.
std::uint8_t decode_code_point(const std::uint8_t* digits, const abi::UnicodeMap* map) {
  const auto high = static_cast<std::uint8_t>(hex_pair(digits));
  const auto low = static_cast<std::uint8_t>(hex_pair(digits + 2));
  if (map != nullptr) {
    const std::int16_t mapped = map->codes[high << 8 | low];
    if (mapped != abi::UnicodeMap::kUnmapped) return static_cast<std::uint8_t>(mapped);
  }
  return fold_full_width(high, low);
}

}  // namespace

/// As urlDecode, and `%uHHHH` / `%UHHHH`: the mapped byte, or else the low byte (plus 0x20 for full
/// width forms). `%u` without four digits: both bytes are copied.
TransformResult url_decode_uni(Bytes input, const abi::UnicodeMap* map, Arena& arena) {
  using Special = ByteSet<'%', '+'>;
  const std::size_t first = find_first<Special>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  const std::uint8_t* in = input.data();
  const std::size_t size = input.size();
  for (std::size_t i = first; i < size; i = copy_plain<Special>(input, i, out)) {
    if (in[i] == '+') {
      *out++ = ' ';
      ++i;
    } else if (const int byte = i + 2 < size ? hex_pair(in + i + 1) : -1; byte >= 0) {
      *out++ = static_cast<std::uint8_t>(byte);
      i += 3;
    } else if (i + 1 < size && (in[i + 1] | 0x20) == 'u') {
      if (i + 5 < size && (hex_pair(in + i + 2) | hex_pair(in + i + 4)) >= 0) {
        *out++ = decode_code_point(in + i + 2, map);
        i += 6;
      } else {
        *out++ = in[i++];
        *out++ = in[i++];
      }
    } else {
      *out++ = in[i++];
    }
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
