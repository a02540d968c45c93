// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/rates.h"

namespace sluice::telemetry {

void RateWindow::sample(std::uint64_t now_ns, const CounterSums& sums) {
  samples_[count_++ % kSamplesMax] = {now_ns, sums};
}

Rates RateWindow::rates() const {
  if (count_ < 2) return {};
  const Sample& newest = samples_[(count_ - 1) % kSamplesMax];
  const Sample& oldest = samples_[count_ < kSamplesMax ? 0 : count_ % kSamplesMax];
  if (newest.now_ns <= oldest.now_ns) return {};
  const double seconds = static_cast<double>(newest.now_ns - oldest.now_ns) / 1e9;
  const auto rate = [&](std::uint64_t CounterSums::*of) {
    return static_cast<double>(newest.sums.*of - oldest.sums.*of) / seconds;
  };
  return {rate(&CounterSums::requests), rate(&CounterSums::rx_packets),
          8 * rate(&CounterSums::rx_bytes), rate(&CounterSums::drops)};
}

}  // namespace sluice::telemetry
