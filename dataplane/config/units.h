// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

/// Quantities as configuration files write them: a number with its unit, nothing between but
/// blanks. The errors say what was expected.
namespace sluice::config {

namespace detail {

struct Scale {
  std::string_view unit;
  std::uint64_t factor;
};

/// Takes the digits off the front of `text`. False: none, or beyond 64 bits.
inline bool take_number(std::string_view& text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return true;
}

template <std::size_t kCount>
base::Result<std::uint64_t> parse_scaled(std::string_view text, const Scale (&scales)[kCount],
                                         const char* expected) {
  std::uint64_t number = 0;
  if (!take_number(text, number)) return base::Error{expected};
  for (const Scale& scale : scales) {
    if (text != scale.unit) continue;
    std::uint64_t product = 0;
    if (__builtin_mul_overflow(number, scale.factor, &product)) {
      return base::Error{"too large"};
    }
    return product;
  }
  return base::Error{expected};
}

}  // namespace detail

/// "250ms", "10s", "5min", "2h", "7d", "300us", "50ns": nanoseconds. "0" needs no unit.
inline base::Result<std::uint64_t> parse_duration_ns(std::string_view text) {
  if (text == "0") return std::uint64_t{0};
  static constexpr detail::Scale kScales[] = {{"ns", 1},
                                              {"us", 1'000},
                                              {"ms", 1'000'000},
                                              {"s", 1'000'000'000},
                                              {"min", 60'000'000'000},
                                              {"m", 60'000'000'000},
                                              {"h", 3'600'000'000'000},
                                              {"d", 86'400'000'000'000}};
  return detail::parse_scaled(text, kScales,
                              "expected a duration with its unit, such as 250ms, 10s, 5min or 2h");
}

/// "512B", "64KiB", "1MiB", "2GiB", "10kB", "5MB": bytes. "0" needs no unit.
inline base::Result<std::uint64_t> parse_size_bytes(std::string_view text) {
  if (text == "0") return std::uint64_t{0};
  static constexpr detail::Scale kScales[] = {
      {"B", 1},      {"KiB", 1u << 10}, {"MiB", 1u << 20},    {"GiB", 1u << 30},
      {"kB", 1'000}, {"MB", 1'000'000}, {"GB", 1'000'000'000}};
  return detail::parse_scaled(text, kScales,
                              "expected a size with its unit, such as 512B, 64KiB or 1MiB");
}

/// `count` events in `period_ns`.
struct Rate {
  std::uint64_t count = 0;
  std::uint64_t period_ns = 0;
};

/// "100/s", "600/min", "5/h", "1000/d", "20/10s". The count is at least 1.
inline base::Result<Rate> parse_rate(std::string_view text) {
  constexpr const char* kExpected = "expected a rate such as 100/s, 600/min, 5/h or 20/10s";
  Rate rate;
  if (!detail::take_number(text, rate.count) || rate.count == 0) return base::Error{kExpected};
  if (text.empty() || text.front() != '/') return base::Error{kExpected};
  text.remove_prefix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (text.empty()) return base::Error{kExpected};
  const bool counted = text.front() >= '0' && text.front() <= '9';
  const auto period = parse_duration_ns(counted ? std::string(text) : "1" + std::string(text));
  if (!period.ok() || period.value() == 0) return base::Error{kExpected};
  rate.period_ns = period.value();
  return rate;
}

}  // namespace sluice::config
