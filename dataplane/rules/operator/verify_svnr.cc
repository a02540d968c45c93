// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/verify.h"

namespace sluice::rules {

bool is_svnr(Bytes text) {
  constexpr std::size_t kDigits = 10;
  constexpr unsigned kWeights[kDigits] = {3, 7, 9, 0, 5, 8, 4, 2, 1, 6};
  unsigned digits[kDigits] = {};
  std::size_t count = 0;
  for (const std::uint8_t byte : text) {
    if (byte >= '0' && byte <= '9' && count < kDigits) digits[count++] = byte - unsigned{'0'};
  }
  if (count != kDigits) return false;
  unsigned sum = 0;
  bool repeated = true, ascending = true;
  for (std::size_t i = 0; i < kDigits; ++i) {
    sum += digits[i] * kWeights[i];
    repeated &= digits[i] == digits[0];
    ascending &= digits[i] == (digits[0] + i) % 10;
  }
  if (repeated || (ascending && digits[0] <= 1)) return false;  // 0123456789, 1234567890
  const unsigned rest = sum % 11;
  return (rest == 10 ? 0 : rest) == digits[3];
}

}  // namespace sluice::rules
