// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/verdict.h"

/// Counters in shared memory, one page set per worker, written only by that worker with relaxed
/// stores (a plain add) and read by sluiced with relaxed loads: each value is exact, the set is not
/// a snapshot. docs/operations.md names each.
namespace sluice::abi {

/// One writer, many readers: no locked instruction on the packet path.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// X(enumerator, name, meaning)
#define SLUICE_COUNTERS(X)                                                                       \
  X(kRxPackets, "rx_packets", "frames received by this worker")                                  \
  X(kRxBytes, "rx_bytes", "bytes of them")                                                       \
  X(kTxPackets, "tx_packets", "frames transmitted, crafted ones included")                       \
  X(kTxBytes, "tx_bytes", "bytes of them")                                                       \
  X(kSteeredOut, "steered_out", "frames handed to the flow's worker")                            \
  X(kSteeredIn, "steered_in", "frames taken over from another worker")                           \
  X(kCrafted, "crafted", "segments that we made: replies, resets, acknowledgements")             \
  X(kHeldSegments, "held_segments", "segments that waited for a verdict")                        \
  X(kOutOfOrder, "out_of_order", "segments beyond a gap, copied and forwarded")                  \
  X(kRetransmitted, "retransmitted", "segments of bytes forwarded before")                       \
  X(kFragments, "fragments", "fragments taken for reassembly")                                   \
  X(kDatagrams, "datagrams", "datagrams put together from fragments")                            \
  X(kUninspected, "uninspected", "frames of no protected service")                               \
  X(kFlowsCreated, "flows_created", "connections whose handshake completed")                     \
  X(kFlowsClosed, "flows_closed", "connections forgotten after their end")                       \
  X(kRequests, "requests", "requests judged")                                                    \
  X(kResponses, "responses", "final responses paired with their request")                        \
  X(kReplies, "replies", "replies sent in the server's place")                                   \
  X(kResets, "resets", "connections reset by us")                                                \
  X(kScans, "scans", "Hyperscan scans")                                                          \
  X(kScanBytes, "scan_bytes", "bytes of them")                                                   \
  X(kRegexConfirms, "regex_confirms", "PCRE2 matches run")                                       \
  X(kMemoHits, "memo_hits", "values known to match nothing")                                     \
  X(kMemoMisses, "memo_misses", "values looked up in the memo and not found")                    \
  X(kPolls, "polls", "calls of poll_once")                                                       \
  X(kIdlePolls, "idle_polls", "calls that found nothing")                                        \
  X(kStallMs, "stall_ms", "longest time between two polls, ms")                                  \
  X(kGenerationsSeen, "generations_seen", "generation changes observed")                         \
  X(kMisdirected, "misdirected", "frames that RSS gave to another worker")                       \
  X(kPartialForwards, "partial_forwards", "blocked requests of which a part had been forwarded") \
  X(kCollectionUpdates, "collection_updates", "changes of persistent collections")               \
  X(kCollectionEvictions, "collection_evictions", "live collections that made room for others")  \
  X(kCollectionsFull, "collections_full", "changes that a collection had no room for")

enum class CounterId : std::uint16_t {
#define SLUICE_X(enumerator, name, meaning) enumerator,
  SLUICE_COUNTERS(SLUICE_X)
#undef SLUICE_X
      kCount
};
inline constexpr std::size_t kCounterCount = static_cast<std::size_t>(CounterId::kCount);

struct CounterText {
  std::string_view name, meaning;
};
inline constexpr std::array<CounterText, kCounterCount> kCounterTexts = {{
#define SLUICE_X(enumerator, name, meaning) CounterText{name, meaning},
    SLUICE_COUNTERS(SLUICE_X)
#undef SLUICE_X
}};

/// Stages of Worker::poll_once() for the cycle account.
enum class Stage : std::uint8_t {
  kIdle,
  kObserve,
  kReceive,
  kSteer,
  kParse,
  kFlow,
  kStream,
  kHttp,
  kLimit,
  kRules,
  kEvents,
  kTransmit,
  kTimers,
  kCount
};
inline constexpr std::size_t kStageCount = static_cast<std::size_t>(Stage::kCount);
inline constexpr std::array<std::string_view, kStageCount> kStageNames = {
    "idle", "observe", "receive", "steer",  "parse",    "flow",  "stream",
    "http", "limit",   "rules",   "events", "transmit", "timers"};

inline constexpr std::size_t kActionCount = 3;
inline constexpr std::size_t kLatencyBuckets = 28;  ///< bucket i: added latency < 2^i * 64 ns
inline constexpr std::size_t kRuleHitsMax = 8192;   ///< rules beyond it are not counted one by one

/// Per port direction of each link: 0 = outside port, 1 = inside port.
struct PortCounters {
  Counter rx_packets, rx_bytes, tx_packets, tx_bytes;
};

/// All counters of one worker. Writer: that worker. Readers: sluiced.
struct alignas(kCacheLineBytes) WorkerCounters {
  std::array<Counter, kCounterCount> values;
  std::array<Counter, kReasonCount> drops;  ///< frames not forwarded, by reason
  /// Frames of protected services forwarded all the same: changed, uninspected or let pass by
  /// monitor; and what befalls without a frame being dropped (kFlowIdle, kFlowEmbryonicFull).
  std::array<Counter, kReasonCount> noted;
  std::array<Counter, kStageCount> stage_cycles;
  std::array<Counter, kLatencyBuckets> added_latency;
  Counter added_latency_sum_ns;
  std::array<std::array<PortCounters, 2>, kLinksMax> ports;
  Counter flows, flows_embryonic, held_bytes, held_segments, retained_bytes, transactions;
  /// Gauge: newest generation observed; the quiescent point.
  Counter generation;
  Counter heartbeat_ns;  ///< monotonic time of the latest poll
  /// requests[service][action][reason]; service kServicesMax stands for none.
  std::array<std::array<std::array<Counter, kReasonCount>, kActionCount>, kServicesMax + 1>
      requests;
  /// limit decisions: allowed, limited, full
  std::array<std::array<Counter, 3>, kLimitsMax> limits;
  /// by index of the rule in the live image; reset when the generation changes
  std::array<Counter, kRuleHitsMax> rule_hits;
  Counter rule_hits_generation;

  void count(CounterId id, std::uint64_t n = 1) { values[static_cast<std::size_t>(id)].add(n); }
  void drop(Reason reason, std::uint64_t n = 1) { drops[static_cast<std::size_t>(reason)].add(n); }
  void note(Reason reason) { noted[static_cast<std::size_t>(reason)].add(); }
};

}  // namespace sluice::abi
