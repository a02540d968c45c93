// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/verify.h"

namespace sluice::rules {

bool is_credit_card(Bytes text) {
  unsigned sums[2] = {0, 0};  // doubling the digits at even places, and at odd places
  unsigned digits = 0;
  for (const std::uint8_t byte : text) {
    if (byte < '0' || byte > '9') continue;
    const unsigned digit = byte - unsigned{'0'};
    const unsigned doubled = digit < 5 ? 2 * digit : 2 * digit - 9;
    sums[digits & 1] += doubled;
    sums[~digits & 1] += digit;
    ++digits;
  }
  // Counted from the right every second digit is doubled, beginning with the second.
  return digits != 0 && sums[digits & 1] % 10 == 0;
}

}  // namespace sluice::rules
