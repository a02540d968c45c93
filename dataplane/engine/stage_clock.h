// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <x86intrin.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/counters.h"
#include "dataplane/base/clock.h"

namespace sluice::engine {

/// How fast the TSC runs; waits for 2 ms.
inline double cycles_per_nano() {
  const base::Nanos begun = base::monotonic_now();
  const std::uint64_t first = __rdtsc();
  base::Nanos now = begun;
  while (now < begun + 2 * base::kNanosPerMilli) now = base::monotonic_now();
  return static_cast<double>(__rdtsc() - first) / static_cast<double>(now - begun);
}
/// EngineConfig::slice_ns in cycles of the TSC; 0 and 1 as they are.
inline std::uint64_t slice_cycles(base::Nanos slice) {
  if (slice <= 1) return slice;
  return static_cast<std::uint64_t>(static_cast<double>(slice) * cycles_per_nano()) + 2;
}

/// The cycle account of one worker: each stop() charges what passed since the last one to a stage.
/// About 20 cycles a call; a poll makes two for itself and five for a burst, a transaction about
/// ten.
class StageClock {
 public:
  explicit StageClock(abi::WorkerCounters& counters)
      : counters_(counters), nanos_per_cycle_(1 / cycles_per_nano()) {}

  /// Of a poll.
  void start() { started_ = last_ = __rdtsc(); }
  /// From there to the last stop(). Reads no clock.
  [[nodiscard]] base::Nanos since_start() const {
    return static_cast<base::Nanos>(static_cast<double>(last_ - started_) * nanos_per_cycle_);
  }
  void stop(abi::Stage stage) {
    const std::uint64_t now = __rdtsc();
    counters_.stage_cycles[static_cast<std::size_t>(stage)].add(now - last_);
    last_ = now;
  }

 private:
  abi::WorkerCounters& counters_;
  double nanos_per_cycle_;
  std::uint64_t started_ = 0, last_ = 0;
};

/// Charges its own lifetime to a stage, and what came before it to the stream that called.
class StageSpan {
 public:
  /// clock: null where nobody asks (offline, simulators).
  StageSpan(StageClock* clock, abi::Stage stage) : clock_(clock), stage_(stage) {
    if (clock_ != nullptr) clock_->stop(abi::Stage::kStream);
  }
  ~StageSpan() {
    if (clock_ != nullptr) clock_->stop(stage_);
  }
  StageSpan(const StageSpan&) = delete;
  StageSpan& operator=(const StageSpan&) = delete;

 private:
  StageClock* clock_;
  abi::Stage stage_;
};

}  // namespace sluice::engine
