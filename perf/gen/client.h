// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/bytes.h"
#include "perf/gen/histogram.h"
#include "perf/gen/plan.h"
#include "perf/gen/port.h"
#include "perf/gen/script.h"
#include "perf/gen/timer.h"
#include "perf/gen/wire.h"

namespace sluice::gen {

/// How a transaction ended.
enum class Outcome : std::uint8_t {
  kServed,   ///< every byte of the expected response arrived, in order and right
  kRefused,  ///< another response came: the status says which
  kReset,    ///< RST before a response was complete
  kTimeout,  ///< no complete response in time
  kCorrupt,  ///< the right status, other bytes
};
inline constexpr std::size_t kOutcomes = 5;

struct ClientStats {
  using Outcomes = std::array<std::uint64_t, kOutcomes>;

  Outcomes honest{}, attacks{};                    ///< over the whole run
  Outcomes measured_honest{}, measured_attacks{};  ///< begun in the sustain phase
  std::array<std::uint64_t, 600> statuses{};       ///< of refusals
  std::uint64_t refusals_with_event = 0;           ///< that named an event (X-Sluice-Event)
  std::uint64_t requests = 0;                      ///< sent, retransmissions not counted
  std::uint64_t connections_tried = 0, connections_made = 0, connections_failed = 0;
  std::uint64_t connections_closed = 0;  ///< both FINs exchanged
  std::uint64_t connections_aborted = 0;
  std::uint64_t body_bytes = 0;  ///< response bytes verified, heads included
  std::uint64_t retransmitted = 0, out_of_order = 0, duplicates = 0, bad_checksums = 0;
  std::uint64_t strays = 0;                            ///< segments of no connection of ours
  std::uint64_t foreign = 0;                           ///< frames that are no TCP segment
  std::uint32_t established = 0, established_max = 0;  ///< now, and at most

  [[nodiscard]] std::uint64_t served() const { return honest[0] + attacks[0]; }
};

/// Latencies of the transactions begun in the sustain phase, in nanoseconds. In an open loop they
/// count from the time the transaction was due, whether or not it could begin then.
struct ClientLatency {
  Histogram connect;         ///< SYN to SYN-ACK
  Histogram first_byte_syn;  ///< SYN to first response byte: time to first byte of RFC 9411
  Histogram first_byte;      ///< request to first response byte
  Histogram last_byte;       ///< request to last response byte
};

/// The clients of all connections.
class Client {
 public:
  struct Options {
    std::uint32_t mss = segment_payload(1500);
    std::uint32_t keepalive = 10;  ///< transactions per connection; 0: without end
    base::Nanos timeout = 10 * base::kNanosPerSecond;
    bool closed_loop = false;  ///< a finished transaction is followed by the next at once
  };

  /// All references must outlive the client.
  Client(const Script& script, const AddressPlan& plan, const Options& options,
         Transmitter& transmitter);

  /// Takes what the client port received. frames: at most 64, borrowed.
  void receive(std::span<const base::Bytes> frames, base::Nanos now);
  /// Fires timers up to `now`.
  void tick(base::Nanos now);

  /// Begins a transaction that was due at `due` (<= now), on an idle connection or a new one. False
  /// when neither is to be had.
  bool start(base::Nanos due, base::Nanos now);
  /// Opens one connection that waits idle; false if all are open.
  bool open_idle(base::Nanos now);
  /// Closed loop: how many connections shall be busy; begins at most 64 a call.
  void keep_busy(std::uint32_t connections, base::Nanos now);
  /// Begins nothing more; closes idle connections, at most 64 a call. True when none is left.
  bool drain(base::Nanos now);
  /// Counts what is still going on as timed out.
  void abandon(base::Nanos now);

  /// Whether transactions that begin from now on belong to the sustain phase.
  void set_measuring(bool measuring) { measuring_ = measuring; }

  [[nodiscard]] const ClientStats& stats() const { return stats_; }
  [[nodiscard]] const ClientLatency& latency() const { return latency_; }
  [[nodiscard]] std::uint32_t open_connections() const { return open_; }

 private:
  enum class State : std::uint8_t { kClosed, kSynSent, kIdle, kWaiting, kRefused, kClosing };
  enum Flag : std::uint8_t {
    kPending = 1,  ///< a transaction waits for the handshake
    kMeasured = 2,
    kAttack = 4,
    kFinSent = 8,
    kFinReceived = 16,
    kFirst = 32,  ///< the connection's first transaction: measured from the SYN too
  };
  struct Connection {
    std::uint64_t key = 0;
    base::Nanos due = 0;     ///< of the transaction
    base::Nanos syn = 0;     ///< when the SYN went out
    base::Nanos resend = 0;  ///< when to send again what is not acknowledged
    std::uint32_t send_una = 0, send_next = 0, receive_next = 0;
    std::uint32_t echo = 0;
    std::uint32_t offset = 0;  ///< response bytes taken
    std::uint32_t index = 0;   ///< transactions done
    std::uint32_t openings = 0;
    Step step{};
    std::uint16_t port = 0;
    std::uint16_t unacknowledged = 0;  ///< segments taken since our last acknowledgement
    State state = State::kClosed;
    std::uint8_t flags = 0;
    std::uint8_t retries = 0;
    bool queued = false;  ///< stands in idle_
  };
  static_assert(sizeof(Connection) <= 96);

  struct Fifo {
    std::vector<std::uint32_t> entries;
    std::uint64_t head = 0, tail = 0;
    void push(std::uint32_t slot) { entries[tail++ % entries.size()] = slot; }
    [[nodiscard]] bool empty() const { return head == tail; }
    std::uint32_t pop() { return entries[head++ % entries.size()]; }
  };

  void open(std::uint32_t slot, base::Nanos now);
  void begin(std::uint32_t slot, base::Nanos due, base::Nanos now);
  void send_request(std::uint32_t slot, base::Nanos now);
  void send(std::uint32_t slot, std::uint8_t flags, std::uint32_t sequence, base::Nanos now);
  void acknowledge(std::uint32_t slot, base::Nanos now);
  void send_fin(std::uint32_t slot, base::Nanos now);
  void receive_one(std::uint32_t slot, const InSegment& in, base::Nanos now);
  void receive_syn_ack(std::uint32_t slot, const InSegment& in, base::Nanos now);
  bool take_payload(std::uint32_t slot, const InSegment& in, base::Nanos now);
  void take_response(std::uint32_t slot, base::Bytes bytes, base::Nanos now);
  void take_refusal(std::uint32_t slot, base::Bytes bytes, base::Nanos now);
  void answer_stray(const InSegment& in, base::Nanos now);
  void count(Connection& connection, Outcome outcome);
  void after_response(std::uint32_t slot, base::Nanos now);
  void rest(std::uint32_t slot);
  void abort(std::uint32_t slot, base::Nanos now);
  void release(std::uint32_t slot, base::Nanos now);
  std::uint32_t fire(std::uint32_t slot, base::Nanos now);
  [[nodiscard]] bool known_payload_sum(const Connection& connection, const InSegment& in,
                                       net::ChecksumSum& sum) const;
  void set_established(std::uint32_t count) {
    stats_.established = count;
    stats_.established_max = std::max(stats_.established_max, count);
  }

  const Script& script_;
  const AddressPlan& plan_;
  Options options_;
  Transmitter& transmitter_;
  std::vector<Connection> connections_;
  TimerWheel timers_;
  Fifo idle_, closed_;
  std::uint32_t open_ = 0;
  std::uint32_t busy_target_ = 0;
  bool measuring_ = false, draining_ = false;
  ClientStats stats_;
  ClientLatency latency_;
  std::vector<std::uint8_t> scratch_;
};

}  // namespace sluice::gen
