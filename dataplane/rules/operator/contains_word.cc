// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <cstring>

namespace sluice::rules {

namespace {

bool is_letter(std::uint8_t byte) {
  const auto lower = static_cast<std::uint8_t>(byte | 0x20);
  return lower >= 'a' && lower <= 'z';
}

}  // namespace

bool contains_word(Bytes argument, Bytes value) {
  if (argument.empty()) return true;
  const std::uint8_t* at = value.data();
  const std::uint8_t* const end = at + value.size();
  while (static_cast<std::size_t>(end - at) >= argument.size() && at != end) {
    const std::size_t starts = static_cast<std::size_t>(end - at) - argument.size() + 1;
    at = static_cast<const std::uint8_t*>(std::memchr(at, argument[0], starts));
    if (at == nullptr) return false;
    const std::uint8_t* const behind = at + argument.size();
    if ((at == value.data() || !is_letter(at[-1])) && (behind == end || !is_letter(*behind)) &&
        std::memcmp(at, argument.data(), argument.size()) == 0) {
      return true;
    }
    ++at;
  }
  return false;
}

}  // namespace sluice::rules
