// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/verify.h"

namespace sluice::rules {

bool is_social_security(Bytes text) {
  unsigned digits[9] = {};
  std::size_t count = 0;
  for (const std::uint8_t byte : text) {
    if (byte < '0' || byte > '9') continue;
    if (count == 9) return false;
    digits[count++] = byte - unsigned{'0'};
  }
  if (count != 9) return false;
  bool ascending = true, repeated = true;
  for (std::size_t i = 1; i < 9; ++i) {
    ascending &= digits[i] == digits[i - 1] + 1;
    repeated &= digits[i] == digits[i - 1];
  }
  const unsigned area = digits[0] * 100 + digits[1] * 10 + digits[2];
  const unsigned group = digits[3] * 10 + digits[4];
  const unsigned serial = digits[5] * 1000 + digits[6] * 100 + digits[7] * 10 + digits[8];
  return !ascending && !repeated && area != 0 && group != 0 && serial != 0 && area < 740 &&
         area != 666;
}

}  // namespace sluice::rules
