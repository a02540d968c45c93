// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <rte_mempool.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/abi/counters.h"
#include "dataplane/abi/limits.h"
#include "dataplane/base/clock.h"
#include "dataplane/config/settings.h"
#include "dataplane/engine/packet_port.h"
#include "dataplane/io/burst.h"
#include "dataplane/worker/snapshot.h"
#include "dataplane/worker/stage_clock.h"

namespace sluice::worker {

/// One side of one link, as a worker sees it.
struct WorkerPort {
  std::uint16_t id = 0;
  bool polled = false;  ///< it has a receive queue of this worker's index
};
struct WorkerLink {
  std::array<WorkerPort, 2> sides;  ///< by engine::Side
  bool bypass_on_failure = false;
};

struct WorkerSetup {
  std::uint16_t index = 0;
  std::uint16_t worker_count = 1;
  std::span<const WorkerLink> links;
  config::Idle idle = config::Idle::kSpin;
  SharedState* shared = nullptr;
  abi::WorkerCounters* counters = nullptr;
};

/// One poll-mode worker: takes bursts from its queues, decides every frame, sends what is
/// forwarded. Runs to completion on one lcore.
class Worker {
 public:
  explicit Worker(const WorkerSetup& setup);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Polls until SharedState::stop, then gives back what it holds.
  void run();
  /// One round of all stages. False: nothing was there to do. No allocation, lock, system call
  /// (those of a device's driver apart) or log line; at most kBurstMax frames a queue.
  bool poll_once();

 private:
  struct Out {
    io::TxBuffer buffer;
    std::uint16_t link = 0, side = 0;
  };

  void observe();
  std::size_t receive_all();
  void decide(std::size_t link, engine::Side side, rte_mbuf** frames, std::size_t count);
  void send(std::size_t link, engine::Side out, rte_mbuf* frame);
  void drop(rte_mbuf* frame, abi::Reason reason);
  std::size_t transmit_all();
  void wait_idle();
  Out& out(std::size_t link, engine::Side side) {
    return outs_[link * 2 + static_cast<std::size_t>(side)];
  }

  WorkerSetup setup_;
  abi::WorkerCounters& counters_;
  StageClock stages_;
  const Snapshot* snapshot_ = nullptr;
  base::Nanos now_ = 0;
  std::uint64_t idle_polls_ = 0;
  std::unique_ptr<Out[]> outs_;
};

}  // namespace sluice::worker
