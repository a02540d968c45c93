// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace sluice::gen {

/// Counts of durations in buckets of at most 1/128 relative width (the layout of HdrHistogram: a
/// power of two split into equal parts). Records in O(1) without allocation.
class Histogram {
 public:
  static constexpr unsigned kPartBits = 7;
  static constexpr std::uint64_t kParts = 1U << kPartBits;
  static constexpr unsigned kValueBits = 40;  ///< up to 2^40 ns, 18 minutes; beyond counts as that

  Histogram() : counts_((kValueBits - kPartBits + 1) * kParts, 0) {}

  /// value: nanoseconds.
  void record(std::uint64_t value) {
    value = std::min(value, (std::uint64_t{1} << kValueBits) - 1);
    ++counts_[bucket(value)];
    ++count_;
    sum_ += value;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
  }

  /// The value at or below which `share` (0..1) of the records lie, to the bucket's upper end and
  /// never above the largest record; 0 without records.
  [[nodiscard]] std::uint64_t quantile(double share) const {
    if (count_ == 0) return 0;
    const double wanted = share * static_cast<double>(count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) return std::min(upper(i), max_);
    }
    return max_;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] double mean() const {
    return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

 private:
  static std::size_t bucket(std::uint64_t value) {
    if (value < kParts) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kPartBits - 1;
    // The leading one and the kPartBits behind it; buckets below kParts are exact.
    return (static_cast<std::size_t>(shift) << kPartBits) + (value >> shift);
  }
  static std::uint64_t upper(std::size_t index) {
    if (index < 2 * kParts) return index;
    const auto shift = static_cast<unsigned>(index >> kPartBits) - 1;
    const std::uint64_t part = (index & (kParts - 1)) + kParts;
    return ((part + 1) << shift) - 1;
  }

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0, sum_ = 0, min_ = ~std::uint64_t{0}, max_ = 0;
};

}  // namespace sluice::gen
