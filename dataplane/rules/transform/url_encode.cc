// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

bool is_kept(std::uint8_t byte) {
  const auto lower = static_cast<std::uint8_t>(byte | 0x20);
  return (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'z') || byte == '*';
}

}  // namespace

/// Blank to `+`; letters, digits and `*` stay; all else `%xx` in lower case.
TransformResult url_encode(Bytes input, Arena& arena) {
  Output output(input, max_output(abi::TransformId::kUrlEncode, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  for (const std::uint8_t byte : input) {
    if (is_kept(byte)) {
      *out++ = byte;
    } else if (byte == ' ') {
      *out++ = '+';
    } else {
      *out++ = '%';
      *out++ = static_cast<std::uint8_t>(kLowerHex[byte >> 4]);
      *out++ = static_cast<std::uint8_t>(kLowerHex[byte & 15]);
    }
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
