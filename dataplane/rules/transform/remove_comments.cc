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

/// Behind the end of the comment whose content begins at `i`; input.size() + 1 if it has none.
std::size_t comment_end(Bytes input, std::size_t i) {
  using Ends = ByteSet<'*', '-'>;
  for (i = find_first<Ends>(input, i); i < input.size(); i = find_first<Ends>(input, i + 1)) {
    if (starts(input, i, "*/")) return i + 2;
    if (starts(input, i, "-->")) return i + 3;
  }
  return input.size() + 1;
}

}  // namespace

/// Drops `/*..*/` and `<!--..-->` (either end closes either), and from `--` or `#` on everything.
/// An unterminated comment becomes a blank. As in the reference the byte behind a comment is copied
/// without a look, a NUL standing for the end of the value.
TransformResult remove_comments(Bytes input, Arena& arena) {
  using Special = ByteSet<'/', '<', '-', '#'>;
  const std::size_t first = find_first<Special>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, max_output(abi::TransformId::kRemoveComments, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  const std::size_t size = input.size();
  for (std::size_t i = first; i < size; i = copy_plain<Special>(input, i, out)) {
    if (input[i] == '#' || starts(input, i, "--")) break;
    std::size_t content = 0;
    if (starts(input, i, "/*")) content = i + 2;
    if (starts(input, i, "<!--")) content = i + 4;
    if (content == 0) {
      *out++ = input[i++];
      continue;
    }
    i = comment_end(input, content);
    if (i > size) {
      *out++ = ' ';
      break;
    }
    *out++ = i < size ? input[i] : std::uint8_t{0};
    if (++i >= size) break;
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
