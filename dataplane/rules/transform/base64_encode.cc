// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

/// RFC 4648 section 4, padded.
TransformResult base64_encode(Bytes input, Arena& arena) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (input.empty()) return unchanged(input);
  Output output(input, max_output(abi::TransformId::kBase64Encode, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  for (std::size_t i = 0; i < input.size(); i += 3) {
    const std::size_t have = input.size() - i < 3 ? input.size() - i : 3;
    std::uint32_t bits = static_cast<std::uint32_t>(input[i]) << 16;
    if (have > 1) bits |= static_cast<std::uint32_t>(input[i + 1]) << 8;
    if (have > 2) bits |= input[i + 2];
    for (std::size_t k = 0; k < 4; ++k, bits <<= 6) {
      *out++ = static_cast<std::uint8_t>(k <= have ? kAlphabet[bits >> 18 & 63] : '=');
    }
  }
  return output.finish_changed(out);
}

}  // namespace sluice::rules::detail
