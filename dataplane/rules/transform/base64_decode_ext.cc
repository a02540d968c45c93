// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// Forgiving: every byte that is no digit is skipped, `=` too.
/// What is left is one stream of six-bit groups. As in the reference a `=` that no other follows,
/// with one digit behind the last full group, makes the result empty.
TransformResult base64_decode_ext(Bytes input, Arena& arena) {
  if (input.empty()) return unchanged(input);
  const std::size_t size = input.size();
  Output output(input, max_output(abi::TransformId::kBase64DecodeExt, size), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  std::uint32_t bits = 0;
  unsigned digits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (input[i] == '=') {
      if (digits % 4 == 1 && (i + 1 == size || input[i + 1] != '=')) {
        return output.finish_changed(output.start());
      }
      continue;
    }
    const int digit = kBase64Digits[input[i]];
    if (digit < 0) continue;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    const unsigned place = digits++ % 4;
    if (place > 0) *out++ = static_cast<std::uint8_t>(bits >> (6 - 2 * place));
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
