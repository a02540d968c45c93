// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// Four digits as a number; negative if one of them is none.
int four_digits(const std::uint8_t* at) {
  const int first = kBase64Digits[at[0]], second = kBase64Digits[at[1]];
  const int third = kBase64Digits[at[2]], fourth = kBase64Digits[at[3]];
  const int all = first | second | third | fourth;
  return all < 0 ? all : first << 18 | second << 12 | third << 6 | fourth;
}

}  // namespace

/// Strict: CR LF, LF and blanks at a line end are skipped, at most two `=` may follow the last
/// digit; any other foreign byte makes the result empty. An incomplete last group is lost, and the
/// value ends at its first NUL, as in the reference (mbed TLS behind a C string).
TransformResult base64_decode(Bytes input, Arena& arena) {
  if (input.empty()) return unchanged(input);
  const std::size_t size = find_first<ByteSet<0>>(input);
  Output output(input, max_output(abi::TransformId::kBase64Decode, size), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.start();
  std::uint32_t bits = 0;
  unsigned in_group = 0, pads = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (in_group == 0 && pads == 0) {
      for (; i + 4 <= size; i += 4) {
        const int four = four_digits(&input[i]);
        if (four < 0) break;
        *out++ = static_cast<std::uint8_t>(four >> 16);
        *out++ = static_cast<std::uint8_t>(four >> 8);
        *out++ = static_cast<std::uint8_t>(four);
      }
      if (i == size) break;
    }
    bool blank = false;
    for (; i < size && input[i] == ' '; ++i) blank = true;
    if (i == size) break;
    if (input[i] == '\n') continue;
    if (input[i] == '\r' && i + 1 < size && input[i + 1] == '\n') continue;
    const int digit = kBase64Digits[input[i]];
    const bool pad = input[i] == '=';
    if (blank || (pad && ++pads > 2) || (!pad && (digit < 0 || pads > 0))) {
      return output.finish_changed(output.start());
    }
    bits = bits << 6 | (pad ? 0u : static_cast<std::uint32_t>(digit));
    if (++in_group < 4) continue;
    in_group = 0;
    *out++ = static_cast<std::uint8_t>(bits >> 16);
    if (pads < 2) *out++ = static_cast<std::uint8_t>(bits >> 8);
    if (pads < 1) *out++ = static_cast<std::uint8_t>(bits);
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
