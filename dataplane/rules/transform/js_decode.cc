// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// The byte that `\c` stands for.
std::uint8_t simple_escape(std::uint8_t letter) {
  switch (letter) {
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    default:
      return letter;
  }
}

struct Escape {
  std::uint8_t byte;
  std::size_t bytes;  ///< input taken, the backslash included
};

/// 1-3 octal digits; the third is left out where the value would exceed 0377.
Escape octal_escape(Bytes rest) {
  unsigned value = 0;
  std::size_t i = 1;
  const std::size_t digits_max = rest[1] > '3' ? 2 : 3;
  for (; i < rest.size() && i <= digits_max && is_octal(rest[i]); ++i) {
    value = value * 8 + (rest[i] - '0');
  }
  return {static_cast<std::uint8_t>(value), i};
}

/// `rest` begins with a backslash.
Escape escape_at(Bytes rest) {
  const std::uint8_t* in = rest.data();
  if (rest.size() == 1) return {'\\', 1};
  if (in[1] == 'u' && rest.size() >= 6 && (hex_pair(in + 2) | hex_pair(in + 4)) >= 0) {
    return {fold_full_width(static_cast<std::uint8_t>(hex_pair(in + 2)),
                            static_cast<std::uint8_t>(hex_pair(in + 4))),
            6};
  }
  if (in[1] == 'x' && rest.size() >= 4 && hex_pair(in + 2) >= 0) {
    return {static_cast<std::uint8_t>(hex_pair(in + 2)), 4};
  }
  if (is_octal(in[1])) return octal_escape(rest);
  return {simple_escape(in[1]), 2};
}

}  // namespace

/// Escapes of JavaScript strings: `\uHHHH` to its low byte (plus 0x20 for full width forms),
/// `\xHH`, octal, `\a \b \f \n \r \t \v`, `\c` to c. A lone final backslash stays.
TransformResult js_decode(Bytes input, Arena& arena) {
  using Special = ByteSet<'\\'>;
  const std::size_t first = find_first<Special>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  for (std::size_t i = first; i < input.size(); i = copy_plain<Special>(input, i, out)) {
    const Escape escape = escape_at(input.subspan(i));
    *out++ = escape.byte;
    i += escape.bytes;
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
