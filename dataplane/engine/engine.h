// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/abi/counters.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/ring.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/result.h"
#include "dataplane/engine/events.h"
#include "dataplane/engine/generation.h"
#include "dataplane/engine/packet_port.h"
#include "dataplane/engine/stage_clock.h"
#include "dataplane/net/packet.h"

/// One worker's engine: frames in, verdicts out, without ports, hugepages or root. The worker,
/// `sluicectl check` and `replay`, the simulator and the benchmarks run this same class.
///
///   engine.observe(live, staged, switches);         // once a burst: the quiescent point
///   for (auto& p : burst) engine.parse(p);          // and steer by p.flow_hash where needed
///   engine.process(burst, now, wall);               // every packet has a fate now
///   engine.poll(now, wall);                         // timers, a bounded number
namespace sluice::limit {
class Table;
}

namespace sluice::http {
struct RequestHead;
}

namespace sluice::rules {
class CollectionTable;
struct RuleCost;
}  // namespace sluice::rules

namespace sluice::engine {

/// Sizes of one worker's pools. Everything is allocated by create(); nothing grows.
struct EngineConfig {
  std::uint16_t worker = 0;
  std::size_t flows_max = 65536;           ///< connections; beyond: flow_full
  std::size_t embryonic_max = 16384;       ///< handshakes; beyond: flow_embryonic_full
  std::size_t streams_max = 16384;         ///< connections with HTTP under way; worker_memory
  std::size_t transactions_max = 2048;     ///< requests under way, 80 KiB each; worker_memory
  std::size_t reply_slots = 1024;          ///< reply_slots: reset instead of a reply
  std::size_t retained_bytes = 64u << 20;  ///< unacknowledged and out-of-order bytes; tcp_*_full
  std::size_t held_packets_max = 4096;     ///< tcp_hold_full
  std::size_t fragment_datagrams = 256;    ///< ip_frag_full
  std::size_t fragment_blocks = 1024;      ///< ip_frag_full
  std::size_t joined_max = 64;          ///< joined datagrams under way, 64 KiB each; ip_frag_full
  std::size_t rules_bytes = 64u << 20;  ///< what rules keep of transactions; worker_memory
  /// How long the rules go on at a stretch for what one segment brings, before others are served:
  /// poll() goes on with the rest. 0: to the end. 1: one unit of work each time, for tests. Other
  /// values take 2 ms of create(), which measures the TSC.
  base::Nanos slice_ns = 0;
  EventOptions events;
  /// By link: what happens while there is no generation. True: drop (no_generation).
  std::array<bool, abi::kLinksMax> block_on_failure = {};
};

/// What lies outside the engine. All of it outlives the engine.
struct EngineEnvironment {
  PacketPort port;
  const base::HashKey* hash_key = nullptr;
  abi::WorkerCounters* counters = nullptr;
  StageClock* stages = nullptr;    ///< null: no account of cycles
  limit::Table* limits = nullptr;  ///< null: limits are not checked (offline without policy)
  const rules::CollectionTable* collections = nullptr;  ///< null: they stay empty
  abi::RingWriter verdict_ring;                         ///< default constructed: records go nowhere
  abi::RingWriter http_ring;
  std::uint64_t event_id_seed = 1;
  std::uint64_t rules_hash_seed = 0;  ///< 0: from the kernel
  base::Nanos start_time = 0;         ///< the clock that process() goes on with
  /// Memory of one pool, 64-byte aligned, zeroed, never given back before the engine ends. Null:
  /// the C++ heap. Called by create() only.
  void* memory_context = nullptr;
  std::span<std::uint8_t> (*allocate_pool)(void* context, std::size_t bytes,
                                           const char* name) = nullptr;
};

/// For the start message: flows_max and so on, as bytes.
struct PoolSize {
  const char* name;
  std::size_t items;
  std::size_t bytes;
};

/// Datagrams that were put together from fragments; the worker may hand one to the flow's worker.
struct JoinedDatagram {
  base::Bytes frame;                          ///< borrowed for the call
  std::span<const net::PacketRef> fragments;  ///< owned by the callee when it returns true
  std::uint16_t link = 0;
  Side side = Side::kOutside;
  std::uint64_t flow_hash = 0;
};
struct JoinedHook {
  void* context = nullptr;
  /// True: taken, another worker will call process_joined(). False: it is this worker's own.
  bool (*take)(void* context, const JoinedDatagram& datagram) = nullptr;
};

class Engine {
 public:
  /// Allocates every pool. Errors: a size of 0 or not enough memory, with what to change.
  static base::Result<std::unique_ptr<Engine>> create(const EngineConfig& config,
                                                      const EngineEnvironment& environment);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] std::span<const PoolSize> pools() const;
  void set_joined_hook(JoinedHook hook);

  /// The quiescent point: from here on new transactions start with `live` (null: no valid
  /// generation), and `staged` (null: none) is evaluated beside it. Both stay valid until a newer
  /// one was observed and Generation::pins() of this worker is 0. O(1) unless something changed.
  void observe(Generation* live, Generation* staged, const Switches& switches);
  /// Transactions of generation number `generation`, unless it is live or staged, give it back as
  /// if pin_max_s were over (0: none). poll() looks for them, abi::kBurstMax flows each time.
  void end_pins(std::uint64_t generation);

  /// Reads the frame's headers and sets `parsed` and `flow_hash`. O(headers). Touches no state of
  /// the engine, so that any worker may parse for steering.
  void parse(Packet& packet) const;
  /// Whether the packet belongs to a service, so that it must reach the worker of its flow_hash.
  [[nodiscard]] bool needs_steering(const Packet& packet) const;

  /// Decides every packet of a burst (at most abi::kBurstMax, parsed). now: monotonic, never
  /// decreasing; wall: ns since 1970, for records and rules.
  void process(std::span<Packet> burst, base::Nanos now, base::Nanos wall);
  /// A datagram joined by another worker.
  void process_joined(const JoinedDatagram& datagram, base::Nanos now, base::Nanos wall);

  /// Timers, waiting replies, work left over from large gaps: at most abi::kTimersPerPoll; and one
  /// slice for the rules that have stopped longest ago. Returns how many were handled.
  std::size_t poll(base::Nanos now, base::Nanos wall);
  /// Ends every connection, with the records of what was under way and judged to its end: for those
  /// who run the engine offline and are done. O(flows_max).
  void close_all(base::Nanos now, base::Nanos wall);
  /// Whether rules have stopped at the end of a slice, for poll() to go on with.
  [[nodiscard]] bool judging() const;
  /// When poll() has something to do next, for sleeping workers; now + 1 s at most.
  [[nodiscard]] base::Nanos next_timer(base::Nanos now) const;

  /// What rooms are given, for the simulator and replay. Null: nobody looks.
  struct Observer {
    void* context = nullptr;
    /// Bytes that the parsers have taken: of requests (direction 0) or responses (1) of connection
    /// `flow_id`, in order, from stream offset `offset` of that direction (0 = first byte behind
    /// the SYN).
    void (*inspected)(void* context, std::uint64_t flow_id, int direction, std::uint64_t offset,
                      base::Bytes bytes) = nullptr;
    /// What enters the live rules: the head of a request, then its body piece by piece. Called
    /// ahead of the `inspected` of the same bytes; the views live for the call.
    void (*rules_head)(void* context, const http::RequestHead& head) = nullptr;
    void (*rules_body)(void* context, base::Bytes bytes) = nullptr;
    /// A transaction has its record. The view lives for the call.
    void (*transaction)(void* context, const TransactionRecord& record) = nullptr;
  };
  void set_observer(const Observer& observer);
  /// WorkerState::set_rule_costs(), for `sluicectl rules cost`.
  void set_rule_costs(std::span<rules::RuleCost> costs);

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::engine
