// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/make_appliance.h"

#include <algorithm>
#include <optional>

#include "dataplane/flow/flow_table.h"
#include "dataplane/net/craft.h"
#include "dataplane/net/fragments.h"
#include "dataplane/stream/handshake.h"
#include "dataplane/stream/tcp_connection.h"
#include "tests/sim/http.h"

namespace sluice::sim {
namespace {

using stream::Direction;

constexpr std::size_t kFlowsMax = 16;
constexpr stream::PoolSizes kPoolSizes = {256, 64};
constexpr std::size_t kFewHeld = 2;

net::FragmentLimits fragment_limits() {
  net::FragmentLimits limits;
  limits.datagrams = 8;
  limits.blocks = 64;
  limits.packets = 64;
  limits.tombstones = 64;
  return limits;
}

/// Memory of one room, 64-byte aligned.
class Memory {
 public:
  explicit Memory(std::size_t bytes) : words_(bytes / 64 + 1) {}
  std::span<std::uint8_t> span() {
    return {reinterpret_cast<std::uint8_t*>(words_.data()), words_.size() * 64};
  }

 private:
  struct alignas(64) Line {
    std::uint8_t bytes[64];
  };
  std::vector<Line> words_;
};

struct Flow {
  stream::Connection tcp;
  std::size_t record = 0;          ///< in Appliance::inspected
  std::int64_t message_begin = 0;  ///< of the request under way
  bool late = false;               ///< a verdict was put off
  bool waits_for_server = false;   ///< until the server has all that has left
  bool block_next = false;
  std::int64_t allow = 0;
  bool more_work = false;
  bool ended[2] = {false, false};
  /// Towards the server: how far bytes may leave since the connection was blocked; -1: it is not.
  std::int64_t stop = -1;
  bool fin_left = false;
};

class StreamAppliance final : public Appliance {
 public:
  StreamAppliance()
      : pool_memory_(stream::Pools::memory_bytes(kPoolSizes)),
        table_memory_(flow::FlowTable<Flow>::memory_bytes(kFlowsMax)),
        handshake_memory_(stream::HandshakeTable::memory_bytes(64)),
        fragment_memory_(net::FragmentTable::memory_bytes(fragment_limits())) {
    base::seeded_hash_key(hash_key_, 1);
  }

  [[nodiscard]] bool has_small_pools() const override { return true; }

  void start(std::uint64_t seed, const Conditions& conditions) override {
    random_ = Random(seed);
    wait_random_ = Random(seed ^ 0x333);
    late_verdicts_ = conditions.late_verdicts;
    const stream::PoolSizes few = {conditions.blocks, kFewHeld};
    pools_.emplace(pool_memory_.span(), conditions.blocks != 0 ? few : kPoolSizes);
    flows_.emplace(table_memory_.span(), kFlowsMax, hash_key_);
    handshakes_.emplace(handshake_memory_.span(), 64);
    fragments_.emplace(fragment_memory_.span(), hash_key_, fragment_limits());
    frames_.clear();
    kept_ = 0;
    problem_.clear();
    outbox.clear();
    inspected.clear();
  }

  void on_frame(bool from_outside, const Frame& frame, Nanos now) override {
    frames_.push_back({frame, from_outside});
    const net::PacketRef ref{frames_.size()};
    net::ParsedPacket packet;
    net::parse(frames_.back().bytes, {}, packet);
    net::Protection protection;
    protection.from_outside = from_outside;
    protection.to_service = from_outside;
    protection.from_service = !from_outside;
    const net::Classification classification = net::classify(packet, protection);
    switch (classification.action) {
      case net::Action::kForward:
        outbox.emplace_back(from_outside, frames_.back().bytes);
        return;
      case net::Action::kInspect:
        judge(from_outside, packet, frames_.back().bytes, ref, now);
        return;
      case net::Action::kReassemble:
        join(from_outside, packet, ref, now);
        return;
      case net::Action::kDrop:
        return;
    }
  }

  void poll(Nanos now) override {
    now_ = now;
    for (std::uint32_t i = 0; i < kFlowsMax; ++i) {
      Flow* flow = flows_->at(i);
      if (flow == nullptr) continue;
      current_ = flow;
      if (flow->late && verdict_is_there(*flow)) {
        flow->late = false;
        if (flow->block_next) {
          note_block(flow->allow);
          flow->tcp.block_at(*pools_, Direction::kToServer, flow->allow, *this);
        } else {
          flow->tcp.allow_until(*pools_, Direction::kToServer, flow->allow, true, *this);
        }
      }
      flow->more_work = flow->tcp.poll(*pools_, true, *this);
    }
  }

  std::string finish(Nanos) override {
    for (std::uint32_t i = 0; i < kFlowsMax; ++i) {
      Flow* flow = flows_->at(i);
      if (flow == nullptr) continue;
      current_ = flow;
      flow->tcp.close(*pools_, abi::Reason::kFlowIdle, *this);
      flows_->erase(*flow);
    }
    if (pools_->blocks_free() != pools_->blocks_total()) return "blocks did not come back";
    if (pools_->held_free() != pools_->held_total()) return "held entries did not come back";
    if (kept_ != 0) return "held packets did not come back";
    return problem_;
  }

  // The sink.
  stream::Progress on_bytes(Direction direction, std::int64_t offset, base::Bytes chunk) {
    Inspected& record = inspected[current_->record];
    std::string& text = direction == Direction::kToServer ? record.up : record.down;
    stream::Progress progress;
    progress.consumed = static_cast<std::uint32_t>(chunk.size());
    const std::int64_t end = offset + static_cast<std::int64_t>(chunk.size());
    if (static_cast<std::int64_t>(text.size()) != offset) text += "<hole>";
    if (current_->ended[direction == Direction::kToServer ? 0 : 1]) text += "<behind the end>";
    text += base::as_text(chunk);
    progress.allowed = end;
    if (direction == Direction::kToClient) return progress;
    Flow& flow = *current_;
    if (flow.late) {
      // Nothing more is judged until the verdict is there.
      text.resize(static_cast<std::size_t>(offset));
      return {};
    }
    while (true) {
      const std::string_view rest =
          std::string_view(text).substr(static_cast<std::size_t>(flow.message_begin));
      const std::size_t bytes = message_bytes(rest);
      if (bytes == 0) return progress;
      const bool bad = is_bad(rest.substr(0, bytes));
      const std::int64_t begin = flow.message_begin;
      flow.message_begin += static_cast<std::int64_t>(bytes);
      if (late_verdicts_ && random_.chance(40)) {
        if (counts != nullptr) ++(*counts)[static_cast<std::size_t>(Oddity::kLateVerdict)];
        flow.late = true;
        flow.waits_for_server = wait_random_.chance(30);
        flow.block_next = bad;
        flow.allow = bad ? begin : flow.message_begin;
        progress.allowed = flow.message_begin - 1;
        progress.consumed = static_cast<std::uint32_t>(flow.message_begin - offset);
        text.resize(static_cast<std::size_t>(flow.message_begin));
        return progress;
      }
      if (bad) {
        note_block(begin);
        progress.blocked = true;
        progress.allowed = begin;
        return progress;
      }
    }
  }
  stream::Progress on_end(Direction direction, std::int64_t offset) {
    current_->ended[direction == Direction::kToServer ? 0 : 1] = true;
    stream::Progress progress;
    progress.allowed = current_->late ? 0 : offset;
    return progress;
  }
  void on_lost(Direction direction, std::int64_t, std::int64_t) {
    Inspected& record = inspected[current_->record];
    (direction == Direction::kToServer ? record.up : record.down) += "<lost>";
  }
  void release(Direction direction, net::PacketRef ref, std::uint32_t payload_bytes) {
    Stored& stored = frames_[ref.handle - 1];
    net::ParsedPacket packet;
    net::parse(stored.bytes, {}, packet);
    const std::size_t bytes = net::trim_payload(stored.bytes, packet, payload_bytes);
    stored.bytes.resize(bytes);
    net::parse(stored.bytes, {}, packet);
    check_block(direction, packet);
    outbox.emplace_back(direction == Direction::kToServer, stored.bytes);
    --kept_;
  }
  void discard(Direction, net::PacketRef, abi::Reason) { --kept_; }

 private:
  struct Stored {
    Frame bytes;
    bool from_outside;
  };

  void join(bool from_outside, const net::ParsedPacket& packet, net::PacketRef ref, Nanos now) {
    const net::FragmentResult result = fragments_->add(packet, ref, now);
    if (result.outcome != net::FragmentOutcome::kComplete) return;
    // The whole datagram goes on in one piece.
    frames_.push_back({Frame(result.datagram.begin(), result.datagram.end()), from_outside});
    net::ParsedPacket whole;
    net::parse(frames_.back().bytes, {}, whole);
    net::Protection protection;
    protection.from_outside = from_outside;
    protection.to_service = from_outside;
    protection.from_service = !from_outside;
    if (net::classify(whole, protection).action != net::Action::kInspect) return;
    judge(from_outside, whole, frames_.back().bytes, {frames_.size()}, now);
  }

  void judge(bool from_outside, net::ParsedPacket& packet, Frame& frame, net::PacketRef ref,
             Nanos now) {
    now_ = now;
    const Direction direction = from_outside ? Direction::kToServer : Direction::kToClient;
    const flow::FlowKey key = flow::flow_key(packet, direction, 0);
    const std::uint64_t hash = flows_->hash(key);
    Flow* flow = flows_->find(key, hash);
    stream::Segment segment{packet, frame, ref, now, true};
    if (packet.has_flag(net::kSyn) || flow == nullptr || flow->tcp.reopening()) {
      const stream::HandshakeOutcome made = handshakes_->on_segment(
          direction, key, hash, segment, flow == nullptr ? nullptr : &flow->tcp);
      switch (made.fate) {
        case stream::HandshakeFate::kForward:
          send(from_outside, packet);
          return;
        case stream::HandshakeFate::kDrop:
          return;
        case stream::HandshakeFate::kComplete:
          flow = open(flow, key, hash, made.handshake, now);
          break;
        case stream::HandshakeFate::kPass:
          break;
      }
    }
    if (flow == nullptr) return;
    current_ = flow;
    const stream::Outcome outcome = flow->tcp.on_segment(*pools_, direction, segment, *this);
    flow->more_work = flow->more_work || outcome.more_work;
    if (outcome.block_connection && from_outside) {
      note_block(flow->tcp.half(direction).forwarded);
    }
    if (outcome.fate == stream::Fate::kForward) {
      check_block(direction, packet);
      send(from_outside, packet);
    }
    if (outcome.fate == stream::Fate::kHold) ++kept_;
  }

  /// Some verdicts wait until the server has all that has left, as what is behind an upgrade or a
  /// full pipeline does: then that must not wait for the verdict in turn.
  [[nodiscard]] static bool verdict_is_there(const Flow& flow) {
    const stream::Half& sender = flow.tcp.half(Direction::kToServer);
    return !flow.waits_for_server || sender.acknowledged >= sender.forwarded;
  }

  /// From here on no byte of the client's leaves at or behind `allowed` that had not left before.
  void note_block(std::int64_t allowed) {
    Flow& flow = *current_;
    if (flow.stop >= 0) return;
    flow.stop = std::max(allowed, flow.tcp.highest_forwarded(*pools_, Direction::kToServer));
  }
  void check_block(Direction direction, const net::ParsedPacket& packet) {
    Flow& flow = *current_;
    if (direction == Direction::kToClient || packet.has_flag(net::kRst)) return;
    const stream::Half& sender = flow.tcp.half(direction);
    const auto begin = static_cast<std::int32_t>(packet.sequence - (sender.isn + 1));
    const bool beyond = begin + static_cast<std::int64_t>(packet.payload_bytes) > flow.stop;
    const bool new_fin = packet.has_flag(net::kFin) && !flow.fin_left;
    if (flow.stop >= 0 && ((packet.payload_bytes != 0 && beyond) || new_fin)) {
      problem_ = "bytes or a FIN left behind a block";
    }
    flow.fin_left = flow.fin_left || new_fin;
  }

  Flow* open(Flow* flow, const flow::FlowKey& key, std::uint64_t hash,
             const stream::Handshake& handshake, Nanos now) {
    if (flow != nullptr) {
      current_ = flow;
      flow->tcp.close(*pools_, abi::Reason::kFlowIdle, *this);
      *flow = Flow();
    } else {
      flow = flows_->insert(key, hash);
      if (flow == nullptr) return nullptr;
    }
    flow->tcp.open(handshake, now);
    flow->record = inspected.size();
    inspected.push_back({handshake.client_isn, handshake.server_isn, {}, {}, {}});
    return flow;
  }

  void send(bool from_outside, const net::ParsedPacket& packet) {
    outbox.emplace_back(from_outside, Frame(packet.frame.begin(), packet.frame.end()));
  }

  base::HashKey hash_key_;
  Memory pool_memory_, table_memory_, handshake_memory_, fragment_memory_;
  std::optional<stream::Pools> pools_;
  std::optional<flow::FlowTable<Flow>> flows_;
  std::optional<stream::HandshakeTable> handshakes_;
  std::optional<net::FragmentTable> fragments_;
  std::vector<Stored> frames_;
  std::size_t kept_ = 0;
  std::string problem_;
  Flow* current_ = nullptr;
  Random random_{1}, wait_random_{1};
  bool late_verdicts_ = false;
  Nanos now_ = 0;
};

}  // namespace

std::unique_ptr<Appliance> make_appliance(bool monitor) {
  return monitor ? nullptr : std::make_unique<StreamAppliance>();
}

}  // namespace sluice::sim
