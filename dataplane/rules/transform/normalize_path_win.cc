// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// Every backslash becomes a slash, then as normalizePath.
TransformResult normalize_path_win(Bytes input, Arena& arena) {
  using Backslash = ByteSet<'\\'>;
  const std::size_t first = find_first<Backslash>(input);
  if (first == input.size()) return normalize_path(input, arena);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  for (std::size_t i = first; i < input.size();) {
    *out++ = '/';
    i = copy_plain<Backslash>(input, i + 1, out);
  }
  const TransformResult slashes = output.finish_changed(out);
  const TransformResult result = normalize_path(slashes.output, arena);
  return result.outcome == TransformOutcome::kUnchanged ? slashes : result;
}

}  // namespace sluice::rules::detail
