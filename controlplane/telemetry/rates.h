// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>

namespace sluice::telemetry {

/// CounterSums over all workers of one dataplane.
struct CounterSums {
  std::uint64_t requests = 0, rx_packets = 0, rx_bytes = 0, drops = 0;
};

struct Rates {
  double requests_per_s = 0, rx_packets_per_s = 0, rx_bits_per_s = 0, drops_per_s = 0;
};

/// What the counters grew by over the last seconds.
class RateWindow {
 public:
  static constexpr std::size_t kSamplesMax = 6;  ///< one a second: the last 5 s

  /// Another dataplane counts from zero.
  void reset() { count_ = 0; }
  void sample(std::uint64_t now_ns, const CounterSums& sums);
  /// Of the time between the oldest and the newest sample; with one sample none.
  [[nodiscard]] Rates rates() const;

 private:
  struct Sample {
    std::uint64_t now_ns = 0;
    CounterSums sums;
  };
  std::array<Sample, kSamplesMax> samples_;  ///< the newest at (count_ - 1) % kSamplesMax
  std::size_t count_ = 0;
};

}  // namespace sluice::telemetry
