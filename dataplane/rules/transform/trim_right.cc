// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

TransformResult trim_right(Bytes input) {
  std::size_t to = input.size();
  while (to > 0 && WhitespaceSet::has(input[to - 1])) --to;
  if (to == input.size()) return unchanged(input);
  return {input.first(to), TransformOutcome::kChanged};
}

}  // namespace sluice::rules::detail
