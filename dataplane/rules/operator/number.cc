// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

namespace {

struct Number {
  std::int64_t value = 0;  ///< saturated
  bool found = false;      ///< there was a digit
};

/// White space, a sign, decimal digits, as strtoll() of the C locale reads them.
Number read_number(Bytes text) {
  std::size_t i = 0;
  while (i < text.size() && (text[i] == ' ' || (text[i] >= 0x09 && text[i] <= 0x0d))) ++i;
  const bool negative = i < text.size() && text[i] == '-';
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  Number number;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    const int digit = text[i] - '0';
    number.found = true;
    std::int64_t next = 0;
    // Built up on the side of its sign, so that the smallest number fits.
    if (__builtin_mul_overflow(number.value, std::int64_t{10}, &next) ||
        __builtin_add_overflow(next, negative ? -digit : digit, &next)) {
      number.value = negative ? INT64_MIN : INT64_MAX;
      return number;
    }
    number.value = next;
  }
  return number;
}

}  // namespace

std::int32_t eq_number(Bytes text) {
  const std::int64_t value = read_number(text).value;
  return value < INT32_MIN || value > INT32_MAX ? 0 : static_cast<std::int32_t>(value);
}

std::int64_t order_number(Bytes text) { return read_number(text).value; }

}  // namespace sluice::rules
