// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <string_view>

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

struct Escape {
  std::uint8_t byte;
  std::size_t bytes;  ///< input taken, the backslash included
};

/// `rest` begins with a backslash.
Escape escape_at(Bytes rest) {
  const std::uint8_t* in = rest.data();
  if (rest.size() == 1) return {'\\', 1};
  if ((in[1] | 0x20) == 'x' && rest.size() >= 4 && hex_pair(in + 2) >= 0) {
    return {static_cast<std::uint8_t>(hex_pair(in + 2)), 4};
  }
  if (is_octal(in[1])) {
    unsigned value = 0;  // up to 0777, cut to a byte
    std::size_t i = 1;
    for (; i < rest.size() && i <= 3 && is_octal(rest[i]); ++i) value = value * 8 + (rest[i] - '0');
    return {static_cast<std::uint8_t>(value), i};
  }
  constexpr std::string_view kLetters = "abfnrtv";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v";
  const std::size_t letter = kLetters.find(static_cast<char>(in[1]));
  if (letter == std::string_view::npos) return {in[1], 2};
  return {static_cast<std::uint8_t>(kMeanings[letter]), 2};
}

}  // namespace

/// Escapes of ANSI C: letters, `\xHH`, 1-3 octal digits; the backslash of any other is dropped. A
/// lone final backslash stays.
TransformResult escape_seq_decode(Bytes input, Arena& arena) {
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
