// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <rte_cycles.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/counters.h"

namespace sluice::worker {

/// The cycle account of one worker: each stop() charges what passed since the last one to a stage.
/// About 20 cycles a call; a poll makes six, idle polls are charged as one.
class StageClock {
 public:
  explicit StageClock(abi::WorkerCounters& counters) : counters_(counters) {}

  void start() { last_ = rte_rdtsc(); }
  void stop(abi::Stage stage) {
    const std::uint64_t now = rte_rdtsc();
    counters_.stage_cycles[static_cast<std::size_t>(stage)].add(now - last_);
    last_ = now;
  }

 private:
  abi::WorkerCounters& counters_;
  std::uint64_t last_ = 0;
};

}  // namespace sluice::worker
