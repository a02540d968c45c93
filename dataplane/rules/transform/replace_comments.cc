// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// Each `/* ... */` becomes one blank, an unterminated one too; comments do not nest and a stray
/// `*/` stays. Also where databases run the content (`/*!`).
TransformResult replace_comments(Bytes input, Arena& arena) {
  using Star = ByteSet<'*'>;
  const std::uint8_t* in = input.data();
  const std::size_t size = input.size();
  // "/*" is looked for by its rarer byte.
  std::size_t star = find_first<Star>(input);
  while (star < size && (star == 0 || in[star - 1] != '/'))
    star = find_first<Star>(input, star + 1);
  if (star == size) return unchanged(input);
  Output output(input, size, arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  std::size_t copied = 0;
  while (star < size) {
    if (star == copied || in[star - 1] != '/') {  // a slash that ended a comment begins none
      star = find_first<Star>(input, star + 1);
      continue;
    }
    const std::size_t plain = star - 1 - copied;
    std::memcpy(out, in + copied, plain);
    out += plain;
    *out++ = ' ';
    std::size_t end = find_first<Star>(input, star + 1);
    while (end + 1 < size && in[end + 1] != '/') end = find_first<Star>(input, end + 1);
    copied = end + 1 < size ? end + 2 : size;
    star = find_first<Star>(input, copied);
  }
  if (copied < size) {
    std::memcpy(out, in + copied, size - copied);
    out += size - copied;
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
