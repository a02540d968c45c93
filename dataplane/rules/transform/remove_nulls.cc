// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

TransformResult remove_nulls(Bytes input, Arena& arena) {
  using Nul = ByteSet<0>;
  const std::size_t first = find_first<Nul>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  for (std::size_t i = first; i < input.size();) i = copy_plain<Nul>(input, i + 1, out);
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
