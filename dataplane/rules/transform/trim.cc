// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// White space at both ends; a part of the input, never a copy.
TransformResult trim(Bytes input) {
  const Bytes output = trim_right(trim_left(input).output).output;
  if (output.size() == input.size()) return unchanged(input);
  return {output, TransformOutcome::kChanged};
}

}  // namespace sluice::rules::detail
