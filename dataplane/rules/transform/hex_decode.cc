// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// The reference's digit formula, which takes any byte and wraps.
unsigned digit_of(std::uint8_t byte) {
  return byte >= 'A' ? (byte & 0xdfu) - 'A' + 10 : byte - unsigned{'0'};
}

}  // namespace

/// Pairs of characters, unchecked as in the reference; an odd last one is dropped.
TransformResult hex_decode(Bytes input, Arena& arena) {
  if (input.empty()) return unchanged(input);
  Output output(input, input.size() / 2, arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  for (std::size_t i = 0; i + 1 < input.size(); i += 2) {
    *out++ = static_cast<std::uint8_t>(digit_of(input[i]) * 16 + digit_of(input[i + 1]));
  }
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
