// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <cstring>

namespace sluice::rules {

namespace {

bool is_hex(std::uint8_t byte) {
  const auto lower = static_cast<std::uint8_t>(byte | 0x20);
  return (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'f');
}

}  // namespace

bool has_bad_url_encoding(Bytes value) {
  const std::uint8_t* at = value.data();
  const std::uint8_t* const end = at + value.size();
  while (at != end) {
    at = static_cast<const std::uint8_t*>(std::memchr(at, '%', static_cast<std::size_t>(end - at)));
    if (at == nullptr) return false;
    if (end - at < 3 || !is_hex(at[1]) || !is_hex(at[2])) return true;
    at += 3;
  }
  return false;
}

}  // namespace sluice::rules
