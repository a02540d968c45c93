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
#include "dataplane/base/static_vector.h"
#include "dataplane/config/settings.h"
#include "dataplane/engine/engine.h"
#include "dataplane/engine/packet_port.h"
#include "dataplane/engine/stage_clock.h"
#include "dataplane/io/burst.h"
#include "dataplane/worker/snapshot.h"
#include "dataplane/worker/steering.h"

namespace sluice::worker {

/// One side of one link, as a worker sees it.
struct WorkerPort {
  std::uint16_t id = 0;
  bool polled = false;  ///< it has a receive queue of this worker's index
};
struct WorkerLink {
  std::array<WorkerPort, 2> sides;  ///< by engine::Side
  bool bypass_on_failure = false;
  std::uint16_t reta_size =
      0;  ///< both ports have symmetric RSS over a table of this size; 0: none
};

struct WorkerSetup {
  std::uint16_t index = 0;
  std::uint16_t worker_count = 1;
  std::span<const WorkerLink> links;
  config::Idle idle = config::Idle::kSpin;
  SharedState* shared = nullptr;
  const Steering* steering = nullptr;  ///< null with one worker
  rte_mempool* crafted_pool = nullptr;
  abi::WorkerCounters* counters = nullptr;
};

/// One poll-mode worker: takes bursts from its queues and from other workers, lets the engine
/// decide every frame, sends what is forwarded. Runs to completion on one lcore.
class Worker {
 public:
  explicit Worker(const WorkerSetup& setup);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Makes the engine with all its pools. environment.port is filled in here. Before run().
  base::Status open_engine(const engine::EngineConfig& config,
                           engine::EngineEnvironment environment);
  [[nodiscard]] const engine::Engine& engine() const { return *engine_; }

  /// Polls until SharedState::stop, then gives back what waits to be sent.
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
  std::size_t receive_steered();
  std::size_t receive_joined();
  void decide(std::size_t link, engine::Side side, rte_mbuf** frames, std::size_t count);
  /// Puts a frame into burst_[index]. False: the frame is gone (dropped, or another worker's).
  bool admit(std::size_t index, std::size_t link, engine::Side side, rte_mbuf* frame, bool steered);
  bool steer(engine::Packet& packet, rte_mbuf* frame);
  std::size_t owner_of(const engine::Packet& packet) const;
  void process(std::size_t count);
  void send(std::size_t link, engine::Side out, rte_mbuf* frame);
  void drop(rte_mbuf* frame, abi::Reason reason);
  std::size_t transmit_all();
  void wait_idle();

  // Called by the engine, with this worker as context.
  static base::MutableBytes port_frame(void* context, net::PacketRef packet);
  static void port_transmit(void* context, net::PacketRef packet, std::size_t frame_bytes,
                            std::uint16_t link, engine::Side out);
  static void port_free(void* context, net::PacketRef packet);
  static net::PacketRef port_allocate(void* context, std::size_t bytes, base::MutableBytes& frame);
  static bool take_joined(void* context, const engine::JoinedDatagram& datagram);
  bool hand_over(const engine::JoinedDatagram& datagram, std::size_t owner);

  Out& out(std::size_t link, engine::Side side) {
    return outs_[link * 2 + static_cast<std::size_t>(side)];
  }

  WorkerSetup setup_;
  abi::WorkerCounters& counters_;
  engine::StageClock stages_;
  const Snapshot* snapshot_ = nullptr;
  base::Nanos now_ = 0, wall_ = 0;
  base::Nanos wall_offset_ = 0, wall_checked_ = 0;  ///< wall - monotonic, and when it was read
  std::uint64_t idle_polls_ = 0;
  std::unique_ptr<Out[]> outs_;
  std::unique_ptr<engine::Packet[]> burst_;  ///< kBurstMax
  std::unique_ptr<engine::Engine> engine_;
  base::StaticVector<JoinedSlot*, kJoinedSlots> free_slots_;
};

}  // namespace sluice::worker
