// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

constexpr std::uint32_t kReplacement = 0xfffd;

/// The code point of 1-6 hexadecimal digits. Full width forms fold; what Unicode does not have
/// becomes U+FFFD (CSS Syntax Module Level 3, section 4.3.7). Zero stays zero: the rules remove
/// NULs behind this step, and so look through it.
std::uint32_t code_point(const std::uint8_t* digits, std::size_t count) {
  std::uint32_t code = 0;
  for (std::size_t i = 0; i < count; ++i) {
    code = code << 4 | static_cast<std::uint32_t>(kHexDigits[digits[i]]);
  }
  if (code >= 0xff01 && code <= 0xff5e) return code - 0xfee0;
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return kReplacement;
  return code;
}

std::uint8_t* write_utf8(std::uint8_t* out, std::uint32_t code) {
  const auto tail = [&](unsigned shift) {
    return static_cast<std::uint8_t>(0x80 | (code >> shift & 0x3f));
  };
  if (code < 0x80) {
    *out++ = static_cast<std::uint8_t>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<std::uint8_t>(0xc0 | code >> 6);
    *out++ = tail(0);
  } else if (code < 0x10000) {
    *out++ = static_cast<std::uint8_t>(0xe0 | code >> 12);
    *out++ = tail(6);
    *out++ = tail(0);
  } else {
    *out++ = static_cast<std::uint8_t>(0xf0 | code >> 18);
    *out++ = tail(12);
    *out++ = tail(6);
    *out++ = tail(0);
  }
  return out;
}

}  // namespace

/// CSS escapes: `\` and 1-6 hexadecimal digits to the character, with one white space behind them;
/// `\` LF dropped, `\c` to c, a lone final backslash dropped. An escape is never shorter than its
/// UTF-8 form.
TransformResult css_decode(Bytes input, Arena& arena) {
  using Special = ByteSet<'\\'>;
  const std::size_t first = find_first<Special>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  const std::uint8_t* in = input.data();
  const std::size_t size = input.size();
  for (std::size_t i = first; i < size; i = copy_plain<Special>(input, i, out)) {
    ++i;
    if (i == size) break;
    std::size_t digits = 0;
    while (digits < 6 && i + digits < size && is_hex(in[i + digits])) ++digits;
    if (digits > 0) {
      out = write_utf8(out, code_point(in + i, digits));
      i += digits;
      if (i < size && WhitespaceSet::has(in[i])) ++i;
    } else if (in[i] == '\n') {
      ++i;
    } else {
      *out++ = in[i++];
    }
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
