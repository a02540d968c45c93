// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// `0x` and pairs of hexadecimal digits to bytes; an odd digit and a `0x` without a pair stay.
TransformResult sql_hex_decode(Bytes input, Arena& arena) {
  using Special = ByteSet<'x', 'X'>;
  const std::uint8_t* in = input.data();
  const std::size_t size = input.size();
  const auto is_literal = [&](std::size_t x) {
    return x > 0 && in[x - 1] == '0' && x + 2 < size && hex_pair(in + x + 1) >= 0;
  };
  std::size_t x = find_first<Special>(input);
  while (x < size && !is_literal(x)) x = find_first<Special>(input, x + 1);
  if (x == size) return unchanged(input);
  Output output(input, size, arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(x - 1);
  std::size_t i = x - 1;
  while (i < size) {
    if (in[i] == '0' && i + 1 < size && Special::has(in[i + 1]) && is_literal(i + 1)) {
      for (i += 2; i + 1 < size && hex_pair(in + i) >= 0; i += 2) {
        *out++ = static_cast<std::uint8_t>(hex_pair(in + i));
      }
    } else {
      *out++ = in[i++];
    }
  }
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
