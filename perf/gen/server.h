// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/bytes.h"
#include "perf/gen/noise.h"
#include "perf/gen/plan.h"
#include "perf/gen/port.h"
#include "perf/gen/script.h"
#include "perf/gen/timer.h"
#include "perf/gen/wire.h"

namespace sluice::gen {

struct ServerStats {
  std::uint64_t connections = 0;       ///< handshakes completed
  std::uint64_t requests = 0;          ///< whole requests received, every byte as sent
  std::uint64_t attacks = 0;           ///< of these, requests that had to be stopped
  std::uint64_t requests_cut = 0;      ///< begun, and then the connection ended
  std::uint64_t requests_corrupt = 0;  ///< other bytes than the client sends
  std::uint64_t responses = 0;         ///< begun
  std::uint64_t body_bytes = 0;        ///< response bytes handed out, heads included
  std::uint64_t retransmitted = 0;     ///< segments sent again
  std::uint64_t fast_retransmits = 0;  ///< times three duplicates made us send again
  std::uint64_t out_of_order = 0, bad_checksums = 0;
  std::uint64_t resets = 0;      ///< RST that ended a connection
  std::uint64_t strays = 0;      ///< segments of no connection
  std::uint64_t foreign = 0;     ///< frames that are no TCP segment and no noise of ours
  std::uint64_t flood_syns = 0;  ///< SYNs of a flood that came through
  std::array<std::uint64_t, kMalformations> malformed{};  ///< that came through, by kind
};

/// The server of all connections: knows from the script which bytes it must receive.
class Server {
 public:
  struct Options {
    std::uint32_t mss = segment_payload(1500);
    std::uint32_t window_segments_max = 256;  ///< congestion window at most
  };

  Server(const Script& script, const AddressPlan& plan, const Options& options,
         Transmitter& transmitter);

  /// Takes what the server port received. frames: at most 64, borrowed.
  void receive(std::span<const base::Bytes> frames, base::Nanos now);
  /// Fires timers, and goes on with responses that waited for room.
  void tick(base::Nanos now);

  [[nodiscard]] const ServerStats& stats() const { return stats_; }

 private:
  enum class State : std::uint8_t { kClosed, kSynReceived, kOpen, kClosing };
  struct Connection {
    std::uint64_t key = 0;
    base::Nanos resend = 0;
    std::uint32_t send_una = 0, send_next = 0, send_max = 0, receive_next = 0;
    std::uint32_t echo = 0;
    std::uint32_t response_start = 0, response_bytes = 0;  ///< 0 bytes: none begun
    std::uint32_t offset = 0;                              ///< request bytes taken
    std::uint32_t index = 0;
    std::uint32_t window = 0, threshold = 0, peer_window = 0, recover = 0;
    Step step{};
    std::uint16_t port = 0;
    std::uint16_t mss = 0;
    State state = State::kClosed;
    std::uint8_t retries = 0, duplicates = 0, peer_scale = 0;
    bool waiting = false;  ///< stands in waiting_
    bool fin_sent = false;
  };
  static_assert(sizeof(Connection) <= 96);

  void send(std::uint32_t slot, std::uint8_t flags, std::uint32_t sequence, base::Nanos now);
  void receive_one(std::uint32_t slot, const InSegment& in, base::Nanos now);
  void accept(std::uint32_t slot, const InSegment& in, base::Nanos now);
  bool take_acknowledgment(std::uint32_t slot, const InSegment& in, base::Nanos now);
  void take_request(std::uint32_t slot, const InSegment& in, base::Nanos now);
  void respond(std::uint32_t slot, base::Nanos now);
  void pump(std::uint32_t slot, base::Nanos now);
  void close(std::uint32_t slot);
  void refuse(const InSegment& in, base::Nanos now);
  void take_noise(const base::Bytes& frame, const InSegment* in, base::Nanos now);
  std::uint32_t fire(std::uint32_t slot, base::Nanos now);
  /// The request's bytes as they must arrive. Valid until the next call.
  base::Bytes expected(const Step& step);
  [[nodiscard]] bool payload_right(const Connection& connection, const InSegment& in);

  const Script& script_;
  const AddressPlan& plan_;
  Options options_;
  Transmitter& transmitter_;
  std::vector<Connection> connections_;
  TimerWheel timers_;
  std::vector<std::uint32_t> waiting_;  ///< responses that found no room
  std::vector<std::vector<std::uint8_t>> filled_;
  ServerStats stats_;
};

}  // namespace sluice::gen
