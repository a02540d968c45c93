// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

TransformResult trim_left(Bytes input) {
  std::size_t from = 0;
  while (from < input.size() && WhitespaceSet::has(input[from])) ++from;
  if (from == 0) return unchanged(input);
  return {input.subspan(from), TransformOutcome::kChanged};
}

}  // namespace sluice::rules::detail
