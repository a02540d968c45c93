// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/base/ulid.h"

namespace sluice::base {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

std::uint64_t splitmix64(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15ULL;
  std::uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31);
}

}  // namespace

UlidText to_text(const Ulid& ulid) {
  UlidText text;
  std::uint64_t high = ulid.high, low = ulid.low;
  for (std::size_t i = kUlidChars; i-- > 0;) {
    text[i] = kDigits[low & 31];
    low = (low >> 5) | (high << 59);
    high >>= 5;
  }
  return text;
}

bool parse_ulid(std::string_view text, Ulid& ulid) {
  if (text.size() != kUlidChars || text[0] < '0' || text[0] > '7') return false;
  Ulid value;
  for (const char c : text) {
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    const std::size_t digit = kDigits.find(upper);
    if (digit == std::string_view::npos) return false;
    value.high = (value.high << 5) | (value.low >> 59);
    value.low = (value.low << 5) | digit;
  }
  ulid = value;
  return true;
}

Ulid UlidGenerator::next(std::uint64_t wall_ms) {
  const std::uint64_t random = splitmix64(state_);
  return {(wall_ms << 16) | (random & 0xffff), splitmix64(state_)};
}

}  // namespace sluice::base
