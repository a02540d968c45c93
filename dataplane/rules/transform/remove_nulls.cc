// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/compact.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

TransformResult remove_nulls(Bytes input, Arena& arena) {
  using Nul = ByteSet<0>;
  const std::size_t first = find_first<Nul>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  return output.finish_changed(copy_without<Nul>(input, first, output.copy_prefix(first)));
}

}  // namespace sluice::rules::detail
