// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

TransformResult hex_encode(Bytes input, Arena& arena) {
  if (input.empty()) return unchanged(input);
  Output output(input, max_output(abi::TransformId::kHexEncode, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  for (const std::uint8_t byte : input) {
    *out++ = static_cast<std::uint8_t>(kLowerHex[byte >> 4]);
    *out++ = static_cast<std::uint8_t>(kLowerHex[byte & 15]);
  }
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
