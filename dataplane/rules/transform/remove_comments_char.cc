// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <string_view>

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

bool starts(Bytes input, std::size_t i, std::string_view with) {
  return input.size() - i >= with.size() &&
         std::memcmp(input.data() + i, with.data(), with.size()) == 0;
}

/// Bytes of the comment sign at `i`, or 0.
std::size_t sign_bytes(Bytes input, std::size_t i) {
  switch (input[i]) {
    case '#':
      return 1;
    case '/':
      return starts(input, i, "/*") ? 2 : 0;
    case '*':
      return starts(input, i, "*/") ? 2 : 0;
    case '<':
      return starts(input, i, "<!--") ? 4 : 0;
    case '-':
      return starts(input, i, "-->") ? 3 : starts(input, i, "--") ? 2 : 0;
    default:
      return 0;
  }
}

}  // namespace

/// Deletes the signs `/*`, `*/`, `<!--`, `-->`, `--` and `#`, in one pass: signs that the deletion
/// forms stay.
TransformResult remove_comments_char(Bytes input, Arena& arena) {
  using Special = ByteSet<'/', '*', '<', '-', '#'>;
  std::size_t first = find_first<Special>(input);
  while (first < input.size() && sign_bytes(input, first) == 0) {
    first = find_first<Special>(input, first + 1);
  }
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  for (std::size_t i = first; i < input.size(); i = copy_plain<Special>(input, i, out)) {
    const std::size_t bytes = sign_bytes(input, i);
    if (bytes == 0) *out++ = input[i];
    i += bytes == 0 ? 1 : bytes;
  }
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
