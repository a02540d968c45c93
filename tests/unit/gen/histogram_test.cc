// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/histogram.h"

#include <gtest/gtest.h>

#include <random>

namespace sluice::gen {
namespace {

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (std::uint64_t value = 0; value < 128; ++value) histogram.record(value);
  EXPECT_EQ(histogram.quantile(0.5), 63U);
  EXPECT_EQ(histogram.max(), 127U);
  EXPECT_EQ(histogram.min(), 0U);
}

TEST(Histogram, QuantilesLieWithinOnePartIn128) {
  std::mt19937_64 random(7);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 100'000; ++i) {
    values.push_back(std::uint64_t{1} << (random() % 38));
    values.back() += random() % values.back();
    histogram.record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(share * static_cast<double>(values.size()));
    const double exact = static_cast<double>(values[std::max<std::size_t>(rank, 1) - 1]);
    const double told = static_cast<double>(histogram.quantile(share));
    EXPECT_GE(told, exact) << share;
    EXPECT_LE(told, exact * (1 + 1.0 / 128) + 1) << share;
  }
}

TEST(Histogram, ValuesBeyondTheRangeCountAsTheLargest) {
  Histogram histogram;
  histogram.record(~std::uint64_t{0});
  EXPECT_EQ(histogram.quantile(1), (std::uint64_t{1} << Histogram::kValueBits) - 1);
}

}  // namespace
}  // namespace sluice::gen
