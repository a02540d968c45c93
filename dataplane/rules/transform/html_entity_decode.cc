// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <string_view>

#include "dataplane/rules/transform/block.h"
#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

bool is_alphanumeric(std::uint8_t byte) {
  const auto lower = static_cast<std::uint8_t>(byte | 0x20);
  return (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'z');
}

/// Compares without ASCII case; `name` is lower case.
bool is_name(Bytes run, std::string_view name) {
  if (run.size() != name.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if ((run[i] | 0x20) != static_cast<std::uint8_t>(name[i])) return false;
  }
  return true;
}

/// The byte for a name, or -1.
int named_entity(Bytes run) {
  if (is_name(run, "lt")) return '<';
  if (is_name(run, "gt")) return '>';
  if (is_name(run, "amp")) return '&';
  if (is_name(run, "quot")) return '"';
  if (is_name(run, "nbsp")) return 0xa0;
  return -1;
}

/// What stands at an ampersand: `byte` >= 0 is the decoded byte and `end` where to go on; else the
/// input up to `end` is copied as it is.
struct Entity {
  int byte;
  std::size_t end;
};

/// Digits from `i` on, any number of them. The value saturates as strtol() does, and so its low
/// byte is 0xff when it overflows 63 bits.
Entity numeric_entity(Bytes input, std::size_t i, std::uint32_t base) {
  constexpr std::uint64_t kMax = 0x7fffffffffffffff;
  std::uint64_t value = 0;
  const std::size_t start = i;
  for (; i < input.size(); ++i) {
    const int digit = kHexDigits[input[i]];
    if (digit < 0 || static_cast<std::uint32_t>(digit) >= base) break;
    const auto add = static_cast<std::uint64_t>(digit);
    value = value > (kMax - add) / base ? kMax : value * base + add;
  }
  if (i == start) return {-1, start};
  return {static_cast<int>(value & 0xff), i};
}

Entity entity_at(Bytes input, std::size_t ampersand) {
  const std::size_t i = ampersand + 1;
  if (i >= input.size()) return {-1, i};
  if (input[i] == '#') {
    if (i + 1 < input.size() && (input[i + 1] | 0x20) == 'x') {
      return numeric_entity(input, i + 2, 16);
    }
    return numeric_entity(input, i + 1, 10);
  }
  std::size_t end = i;
  while (end < input.size() && is_alphanumeric(input[end])) ++end;
  return {named_entity(input.subspan(i, end - i)), end};
}

}  // namespace

/// `&#D..;`, `&#xH..;` with any number of digits, cut to one byte; the names quot, amp, lt, gt and
/// nbsp without case, where the name is the whole run of letters and digits. The semicolon may
/// lack. One pass: what a decoded ampersand begins is not decoded again.
TransformResult html_entity_decode(Bytes input, Arena& arena) {
  using Special = ByteSet<'&'>;
  const std::size_t first = find_first<Special>(input);
  if (first == input.size()) return unchanged(input);
  Output output(input, input.size(), arena);
  if (output.full()) return arena_full();
  std::uint8_t* out = output.copy_prefix(first);
  for (std::size_t i = first; i < input.size(); i = copy_plain<Special>(input, i, out)) {
    const Entity entity = entity_at(input, i);
    if (entity.byte < 0) {
      while (i < entity.end && i < input.size()) *out++ = input[i++];
      continue;
    }
    *out++ = static_cast<std::uint8_t>(entity.byte);
    i = entity.end;
    if (i < input.size() && input[i] == ';') ++i;
  }
  return output.finish(out);
}

}  // namespace sluice::rules::detail
