// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// `+` to blank, `%XX` with two hexadecimal digits to the byte; every other `%` stays.
TransformResult url_decode(Bytes input, Arena& arena) {
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
    } else {
      *out++ = in[i++];
    }
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
