// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/compact.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// Drops white space and, as the reference does, every byte 0xA0 and 0xC2 (U+00A0 in UTF-8 and
/// Latin-1).
TransformResult remove_whitespace(Bytes input, Arena& arena) {
  using Dropped = UnionSet<WhitespaceSet, ByteSet<0xa0, 0xc2>>;
  const std::size_t first = find_first<Dropped>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  return output.finish_changed(copy_without<Dropped>(input, first, output.copy_prefix(first)));
}

}  // namespace sluice::rules::detail
