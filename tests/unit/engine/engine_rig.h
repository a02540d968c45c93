// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/abi/events.h"
#include "dataplane/abi/policy.h"
#include "dataplane/engine/engine.h"
#include "dataplane/net/packet.h"
#include "tests/support/packet_builder.h"

namespace sluice::test {

/// What a rig's policy says; one service at 198.51.100.2 and 2001:db8::2, port 80.
struct RigOptions {
  abi::Mode mode = abi::Mode::kBlock;
  abi::Midstream midstream = abi::Midstream::kReset;
  bool allow_websocket = false;
  std::uint32_t reply_wait_ms = 1000, linger_ms = 500, head_timeout_ms = 10'000;
  std::uint32_t body_timeout_ms = 20'000, idle_timeout_ms = 600'000, body_rate_min = 500;
  std::uint32_t response_hold_bytes = 0;
  std::string rules;  ///< SecLang; empty: the rig's own, which block "attack" everywhere
  std::string staged_rules;
  std::string trusted, client_header;
  std::uint32_t limit_burst = 0;  ///< 0: no limit
  std::uint64_t strict = 0;       ///< abi::strict_bit()
  std::vector<std::string> hosts;
  engine::EngineConfig config;
};

/// One record of a ring, taken apart.
struct RigRecord {
  abi::RecordType type;
  abi::EventHeader header;
  std::vector<std::pair<abi::EventFieldId, std::string>> fields;
  std::vector<std::uint32_t> rules;
  [[nodiscard]] std::string field(abi::EventFieldId id) const;
};

/// A frame that left, with what it says.
struct Left {
  std::uint64_t order;  ///< how many left before it, on either side
  Frame frame;
  net::ParsedPacket parsed;  ///< views into `frame`
  [[nodiscard]] std::string payload() const { return std::string(base::as_text(parsed.payload())); }
  [[nodiscard]] bool has(net::TcpFlag flag) const { return parsed.has_flag(flag); }
};

/// An engine with its port, generation, rings and clock, all real but for the cable.
class EngineRig {
 public:
  explicit EngineRig(const RigOptions& options = {});
  ~EngineRig();

  /// Gives one frame to the engine; what leaves is in to_server and to_client.
  engine::Packet push(engine::Side side, const Frame& frame);
  /// Lets time pass in steps of at most 100 ms, polling.
  void advance_ms(std::uint64_t milliseconds);
  void poll();
  /// Engine::close_all().
  void close_all();
  /// Polls until the rules have no work left that they have put off. How often that was.
  std::size_t judge_on();
  void set_switches(std::uint32_t mode, bool bypass);
  void publish(const std::string& rules);
  /// Makes the generation that was the index-th to be opened the live one.
  void go_live(std::size_t index);

  [[nodiscard]] std::vector<RigRecord> records();
  [[nodiscard]] std::vector<RigRecord> records(abi::RecordType type);
  [[nodiscard]] std::uint64_t dropped(abi::Reason reason) const {
    return counters->drops[static_cast<std::size_t>(reason)].get();
  }
  [[nodiscard]] std::uint64_t noted(abi::Reason reason) const {
    return counters->noted[static_cast<std::size_t>(reason)].get();
  }
  [[nodiscard]] std::uint64_t count(abi::CounterId id) const {
    return counters->values[static_cast<std::size_t>(id)].get();
  }
  /// Packets that the engine owns now.
  [[nodiscard]] std::size_t kept() const;
  /// Transactions that hold one of the generations.
  [[nodiscard]] std::uint32_t pins() const;
  [[nodiscard]] std::string observed(int direction) const { return observed_[direction]; }

  std::vector<std::unique_ptr<Left>> to_server, to_client;
  std::unique_ptr<abi::WorkerCounters> counters;
  std::unique_ptr<engine::Engine> engine;
  base::Nanos now = 1'000'000'000'000;
  static constexpr base::Nanos kWallOffset = 1'700'000'000'000'000'000;
  bool starve_crafted = false;  ///< allocate() finds nothing

 private:
  struct Slot {
    Frame frame;
    bool used = false;
  };
  void leave(engine::Side out, base::Bytes frame);
  net::PacketRef store(const Frame& frame, std::size_t room);
  std::unique_ptr<engine::Generation> open(const std::string& rules, std::uint64_t number);

  RigOptions options_;
  std::uint64_t frames_left_ = 0;
  base::HashKey key_{};
  std::vector<Slot> slots_;
  struct Ring {
    std::vector<std::uint64_t> memory;
    abi::RingReader reader;
  };
  Ring verdicts_, http_;
  static abi::RingWriter make_ring(Ring& ring);
  void read(Ring& ring, std::vector<RigRecord>& into);
  std::vector<std::uint64_t> limit_memory_;
  std::vector<std::uint8_t*> images_;
  std::vector<std::unique_ptr<engine::Generation>> generations_;
  engine::Generation* live_ = nullptr;
  engine::Generation* staged_ = nullptr;
  engine::Switches switches_;
  std::unique_ptr<limit::Table> limits_;
  std::string observed_[2];
};

/// One TCP connection through a rig, both ends written by hand: what each end has sent so far, and
/// helpers that go on from there. Sequence offsets count from the byte behind the SYN.
class Dialog {
 public:
  explicit Dialog(EngineRig& rig, unsigned client_port = 40000, bool v6 = false,
                  bool timestamps = false, unsigned client_mss = 1460);

  void handshake();
  /// Client data at the end of what it has sent, or at `offset` of its stream.
  engine::Packet client(std::string_view data, unsigned flags = 0x18);
  engine::Packet client_at(std::uint64_t offset, std::string_view data, unsigned flags = 0x18);
  engine::Packet server(std::string_view data, unsigned flags = 0x18);
  engine::Packet server_at(std::uint64_t offset, std::string_view data, unsigned flags = 0x18);
  /// Bare acknowledgements of all that the other end has sent through the engine.
  engine::Packet client_ack();
  engine::Packet server_ack();
  [[nodiscard]] Frame client_frame(std::uint64_t offset, std::string_view data,
                                   unsigned flags = 0x18) const;
  [[nodiscard]] Frame server_frame(std::uint64_t offset, std::string_view data,
                                   unsigned flags = 0x18) const;
  void set_tags(std::vector<std::pair<unsigned, unsigned>> tags) { tags_ = std::move(tags); }

  /// What a server with that much sense has read: bytes in order from the frames that left, the
  /// first copy of each.
  [[nodiscard]] std::string server_read() const;
  [[nodiscard]] std::string client_read() const;
  /// Payload of the segments towards the client, as text, from the engine alone too.
  [[nodiscard]] bool client_reset() const;
  [[nodiscard]] bool server_reset() const;

  static constexpr std::uint32_t kClientIsn = 0xfffffff0, kServerIsn = 7000;
  std::uint64_t client_sent = 0, server_sent = 0;
  std::uint64_t client_acked = 0;  ///< of the server's bytes, as the client says
  std::uint64_t server_acked = 0;
  std::uint32_t timestamp = 100;
  std::uint32_t client_isn = kClientIsn, server_isn = kServerIsn;

 private:
  [[nodiscard]] PacketBuilder builder(bool from_client) const;
  [[nodiscard]] std::string read(const std::vector<std::unique_ptr<Left>>& left,
                                 std::uint32_t isn) const;

  EngineRig& rig_;
  unsigned client_port_;
  bool v6_, timestamps_;
  unsigned client_mss_;
  std::vector<std::pair<unsigned, unsigned>> tags_;
};

}  // namespace sluice::test
