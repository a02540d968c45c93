// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/net/craft.h"
#include "dataplane/net/packet.h"
#include "dataplane/stream/handshake.h"
#include "dataplane/stream/tcp_connection.h"
#include "tests/support/packet_builder.h"

namespace sluice::stream {

inline constexpr Direction kUp = Direction::kToServer, kDown = Direction::kToClient;

/// What left the appliance towards one end.
struct Sent {
  std::uint32_t sequence;
  std::uint8_t flags;
  std::string payload;
  std::uint8_t reserved;         ///< bits behind the data offset
  std::uint16_t urgent_pointer;  ///< whatever the flag says
  net::TcpOptions options;
};

/// One connection with its handshake table, pools and a sink, fed with built frames. Everything
/// that leaves is written down. Sequence numbers of tests count from the ends' initial ones.
class TestLink {
 public:
  std::uint32_t client_isn = 1000, server_isn = 5000;
  std::uint16_t client_window = 65535, server_window = 65535;
  test::Frame client_options, server_options;  ///< of the SYN and the SYN-ACK
  bool enforce = true;
  base::Nanos now = 1'000'000'000;

  // The sink's answers.
  std::int64_t hold_from = std::numeric_limits<std::int64_t>::max();
  std::int64_t block_from = std::numeric_limits<std::int64_t>::max();
  std::int64_t skip_until = 0;
  std::uint32_t consume_max = 0xffffffff;
  bool block_end = false;
  bool wait = false;  ///< the sink has work to do on what it is shown next, until go_on()

  // What happened.
  std::string seen[2];
  bool ended[2] = {false, false};
  std::vector<Sent> sent[2];
  std::vector<std::pair<std::int64_t, std::int64_t>> lost;
  std::vector<abi::Reason> discarded;

  explicit TestLink(PoolSizes sizes = {1024, 64})
      : pool_memory_(Pools::memory_bytes(sizes) + 64),
        pools(aligned(pool_memory_), sizes),
        table_memory_(HandshakeTable::memory_bytes(64) + 64),
        handshakes(aligned(table_memory_), 64) {}

  Progress on_bytes(Direction direction, std::int64_t offset, base::Bytes chunk) {
    auto& text = seen[static_cast<unsigned>(direction)];
    const auto take = std::min<std::size_t>(chunk.size(), consume_max);
    if (offset < (1 << 24)) text.resize(static_cast<std::size_t>(offset), '?');
    text += base::as_text(chunk.first(take));
    const std::int64_t end = offset + static_cast<std::int64_t>(take);
    Progress progress;
    progress.consumed = static_cast<std::uint32_t>(take);
    progress.allowed = direction == kUp ? std::min({end, hold_from, block_from}) : end;
    progress.blocked = direction == kUp && end > block_from;
    if (std::exchange(wait, false)) {
      progress.waits = true;
      progress.allowed = offset;
    }
    if (direction == kDown) {
      progress.skip_until = skip_until;
      progress.allowed = std::max(progress.allowed, skip_until);
    }
    return progress;
  }
  Progress on_end(Direction direction, std::int64_t offset) {
    ended[static_cast<unsigned>(direction)] = true;
    EXPECT_EQ(offset, connection.half(direction).fin);
    Progress progress;
    progress.blocked = block_end;
    progress.allowed = block_end ? offset : 0;
    return progress;
  }
  void on_lost(Direction, std::int64_t offset, std::int64_t end) { lost.emplace_back(offset, end); }
  void release(Direction direction, net::PacketRef ref, std::uint32_t payload_bytes) {
    Stored& stored = *frames_[ref.handle - 1];
    net::trim_payload(stored.frame, stored.packet, payload_bytes);
    record(direction, stored.packet);
    stored.live = false;
  }
  void discard(Direction, net::PacketRef ref, abi::Reason reason) {
    discarded.push_back(reason);
    frames_[ref.handle - 1]->live = false;
  }

  /// A frame of one direction with numbers as they are on the wire.
  test::PacketBuilder segment(Direction direction, std::uint32_t sequence,
                              std::uint32_t acknowledgment, unsigned flags,
                              std::string_view payload = {}) const {
    test::PacketBuilder builder;
    if (direction == kDown) builder.from("198.51.100.2", 80).to("192.0.2.1", 40000);
    builder.tcp(sequence, acknowledgment, flags).data(payload);
    builder.window = direction == kUp ? client_window : server_window;
    return builder;
  }

  /// Judges a frame as the engine does: handshake table, then the connection.
  Outcome pass(Direction direction, const test::PacketBuilder& builder) {
    frames_.push_back(std::make_unique<Stored>(builder.build()));
    Stored& stored = *frames_.back();
    net::parse(stored.frame, {}, stored.packet);
    EXPECT_EQ(stored.packet.reason, abi::Reason::kNone);
    Segment segment{stored.packet, stored.frame, {frames_.size()}, now, enforce};
    const Outcome outcome = judge(direction, segment);
    if (outcome.fate == Fate::kForward) record(direction, stored.packet);
    stored.live = outcome.fate == Fate::kHold;
    return outcome;
  }

  /// Data of the client at `offset` of its stream, acknowledging all that the server sent.
  Outcome up(std::int64_t offset, std::string_view payload, unsigned flags = 0x18) {
    return pass(kUp, segment(kUp, client_isn + 1 + static_cast<std::uint32_t>(offset),
                             connection.next_sequence(kDown), flags, payload));
  }
  Outcome down(std::int64_t offset, std::string_view payload, unsigned flags = 0x18) {
    return pass(kDown, segment(kDown, server_isn + 1 + static_cast<std::uint32_t>(offset),
                               connection.next_sequence(kUp), flags, payload));
  }
  /// The server acknowledges the client's bytes below `offset`.
  Outcome server_ack(std::int64_t offset) {
    return pass(kDown, segment(kDown, connection.next_sequence(kDown),
                               client_isn + 1 + static_cast<std::uint32_t>(offset), net::kAck));
  }
  Outcome client_ack(std::int64_t offset) {
    return pass(kUp, segment(kUp, connection.next_sequence(kUp),
                             server_isn + 1 + static_cast<std::uint32_t>(offset), net::kAck));
  }

  /// The work on the client's bytes before `offset` has ended well.
  void go_on(std::int64_t offset) {
    (void)connection.go_on(pools, kUp, {0, offset, 0, false}, enforce, *this);
  }

  Outcome syn() {
    auto builder = segment(kUp, client_isn, 0, net::kSyn);
    builder.options = client_options;
    return pass(kUp, builder);
  }
  Outcome syn_ack() {
    auto builder = segment(kDown, server_isn, client_isn + 1, net::kSyn | net::kAck);
    builder.options = server_options;
    return pass(kDown, builder);
  }
  Outcome last_ack() { return pass(kUp, segment(kUp, client_isn + 1, server_isn + 1, net::kAck)); }
  void shake_hands() {
    syn();
    syn_ack();
    last_ack();
    ASSERT_TRUE(is_open);
    sent[0].clear();
    sent[1].clear();
  }

  /// The bytes that left towards the server, laid out by sequence number, later ones winning; '?'
  /// where nothing went.
  [[nodiscard]] std::string server_view() const {
    std::string text;
    for (const Sent& one : sent[0]) {
      const auto at = static_cast<std::int32_t>(one.sequence - (client_isn + 1));
      if (at < 0 || one.payload.empty()) continue;
      const auto offset = static_cast<std::size_t>(at);
      if (text.size() < offset + one.payload.size()) text.resize(offset + one.payload.size(), '?');
      text.replace(offset, one.payload.size(), one.payload);
    }
    return text;
  }
  /// Drops what was written down, for tests of many packets. Nothing may be held.
  void forget() {
    frames_.clear();
    sent[0].clear();
    sent[1].clear();
  }
  [[nodiscard]] std::size_t held() const {
    return static_cast<std::size_t>(
        std::count_if(frames_.begin(), frames_.end(), [](const auto& one) { return one->live; }));
  }
  /// Whether every block and entry is back in its pool.
  [[nodiscard]] bool memory_returned() const {
    return pools.blocks_free() == pools.blocks_total() && pools.held_free() == pools.held_total();
  }

 private:
  struct Stored {
    explicit Stored(test::Frame bytes) : frame(std::move(bytes)) {}
    test::Frame frame;
    net::ParsedPacket packet;
    bool live = false;
  };

  static std::span<std::uint8_t> aligned(std::vector<std::uint8_t>& memory) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::size_t skip = (64 - address % 64) % 64;
    return std::span(memory).subspan(skip);
  }

  Outcome judge(Direction direction, Segment& segment) {
    Connection* existing = is_open ? &connection : nullptr;
    if (segment.packet.has_flag(net::kSyn) || existing == nullptr || existing->reopening()) {
      const flow::FlowKey key = flow::flow_key(segment.packet, direction, 0);
      const HandshakeOutcome made = handshakes.on_segment(direction, key, 77, segment, existing);
      Outcome outcome;
      outcome.reason = made.reason;
      if (made.fate == HandshakeFate::kForward) return outcome;
      outcome.fate = Fate::kDrop;
      if (made.fate == HandshakeFate::kDrop) return outcome;
      if (made.fate == HandshakeFate::kComplete) {
        if (is_open) connection.close(pools, abi::Reason::kBlockedFlow, *this);
        connection.open(made.handshake, now);
        is_open = true;
      } else if (!is_open) {
        outcome.reason = abi::Reason::kTcpNoFlow;
        return outcome;
      }
    }
    return connection.on_segment(pools, direction, segment, *this);
  }

  void record(Direction direction, const net::ParsedPacket& packet) {
    EXPECT_TRUE(net::verify_tcp_checksum(packet));
    sent[static_cast<unsigned>(direction)].push_back(
        {packet.sequence, packet.tcp_flags, std::string(base::as_text(packet.payload())),
         packet.tcp_reserved, packet.urgent_pointer, packet.options});
  }

  std::vector<std::uint8_t> pool_memory_;

 public:
  Pools pools;

 private:
  std::vector<std::uint8_t> table_memory_;

 public:
  HandshakeTable handshakes;
  Connection connection;
  bool is_open = false;

 private:
  std::vector<std::unique_ptr<Stored>> frames_;
};

/// Sees to it that a test says what it means about an outcome.
inline void expect_forwarded(const Outcome& outcome) {
  EXPECT_EQ(outcome.fate, Fate::kForward) << abi::reason_name(outcome.reason);
}
inline void expect_dropped(const Outcome& outcome, abi::Reason reason) {
  EXPECT_EQ(outcome.fate, Fate::kDrop);
  EXPECT_EQ(abi::reason_name(outcome.reason), abi::reason_name(reason));
}

}  // namespace sluice::stream
