// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/verify.h"

namespace sluice::rules {

namespace {

constexpr std::size_t kDigits = 11;

/// The check digit behind `count` digits, weights count + 1 down to 2.
unsigned check_digit(const unsigned* digits, unsigned count) {
  unsigned sum = 0;
  for (unsigned i = 0; i < count; ++i) sum += digits[i] * (count + 1 - i);
  const unsigned rest = sum % 11;
  return rest < 2 ? 0 : 11 - rest;
}

}  // namespace

bool is_cpf(Bytes text) {
  unsigned digits[kDigits] = {};
  std::size_t count = 0;
  for (const std::uint8_t byte : text) {
    if (byte >= '0' && byte <= '9' && count < kDigits) digits[count++] = byte - unsigned{'0'};
  }
  if (count != kDigits) return false;
  bool repeated = true, ascending = true;  // 11111111111 and 01234567890 pass the sum
  for (std::size_t i = 1; i < kDigits; ++i) {
    repeated &= digits[i] == digits[0];
    ascending &= digits[i] == (digits[0] + i) % 10;
  }
  if (repeated || (ascending && digits[0] == 0)) return false;
  return check_digit(digits, 9) == digits[9] && check_digit(digits, 10) == digits[10];
}

}  // namespace sluice::rules
