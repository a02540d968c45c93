// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/stream/tcp_connection.h"

#include <algorithm>

#include "dataplane/base/check.h"
#include "dataplane/net/craft.h"

namespace sluice::stream {
namespace {

using abi::Reason;

/// Acknowledgements this far below the newest are still sound when the window is smaller: what old
/// kernels accept (evasion TS10).
constexpr std::int64_t kOldAckBytes = 65536;
/// How far below the acknowledged bytes a retransmission may lie: the largest window there is.
constexpr std::int64_t kOldDataBytes = std::int64_t{1} << 30;
/// A probe of a closed window is at most one segment (evasion TS24).
constexpr std::int64_t kBeyondWindowBytes = 1460;

Outcome dropped(const Segment& segment, Reason reason) {
  Outcome outcome;
  outcome.fate = segment.enforce ? Fate::kDrop : Fate::kForward;
  outcome.reason = reason;
  return outcome;
}

}  // namespace

void Connection::open(const Handshake& handshake, base::Nanos now) {
  *this = Connection();
  last_seen_ = now;
  const SynOptions &client = handshake.client, &server = handshake.server;
  timestamps_ = client.timestamps && server.timestamps;
  sack_ = client.sack && server.sack;
  const bool scaled = client.has_window_scale && server.has_window_scale;
  const auto start = [&](Half& sender, std::uint32_t isn, const SynOptions& own,
                         const SynOptions& other) {
    sender.isn = isn;
    sender.mss = own.mss;
    sender.timestamp = own.timestamp_value;
    sender.window_scale = scaled ? own.window_scale : std::uint8_t{0};
    // The window of a SYN is never scaled (RFC 7323 section 2.2).
    sender.window_bytes = sender.window_max = own.window;
    sender.window_edge = other.window;
  };
  start(halves_[0], handshake.client_isn, client, server);
  start(halves_[1], handshake.server_isn, server, client);
}

std::int64_t Connection::offset_of(const Half& sender, std::uint32_t sequence) const {
  const std::uint32_t reference = sender.isn + 1 + static_cast<std::uint32_t>(sender.received);
  return sender.received + static_cast<std::int32_t>(sequence - reference);
}

GapRanges* Connection::gap_ranges(Pools& pools, const Half& sender) const {
  return sender.ranges == Pools::kNone ? nullptr
                                       : reinterpret_cast<GapRanges*>(pools.block(sender.ranges));
}

std::int64_t Connection::highest_forwarded(Pools& pools, Direction direction) const {
  const Half& sender = half(direction);
  const GapRanges* gaps = gap_ranges(pools, sender);
  return gaps == nullptr ? sender.forwarded : std::max(sender.forwarded, gaps->highest());
}

std::int64_t Connection::deliverable_end(Pools& pools, const Half& sender, std::int64_t end) const {
  const std::int64_t reach = std::max(sender.forwarded, end);
  const GapRanges* gaps = gap_ranges(pools, sender);
  return gaps == nullptr ? reach : gaps->extend(reach);
}

bool Connection::closing() const { return halves_[0].reset || halves_[1].reset || finished(); }

bool Connection::finished() const {
  return std::all_of(halves_.begin(), halves_.end(), [](const Half& sender) {
    return fin_passed(sender) && sender.acknowledged > sender.fin;
  });
}

bool Connection::icmp_plausible(Pools& pools, Direction direction, std::uint32_t sequence) const {
  const Half& sender = half(direction);
  const std::int64_t offset = offset_of(sender, sequence);
  return offset >= sender.acknowledged && offset <= highest_forwarded(pools, direction);
}

/// Flags, window and timestamp. RFC 9293 section 3.10.7.4, RFC 7323 section 5.3.
Reason Connection::check_header(const Placed& placed, const net::ParsedPacket& packet) const {
  if (!packet.has_flag(net::kAck)) return Reason::kTcpNoAck;
  const Half& sender = half(placed.direction);
  const Half& receiver = half(flow::opposite(placed.direction));
  const std::int64_t beyond = std::max<std::int64_t>(kBeyondWindowBytes, receiver.mss);
  if (placed.end > sender.window_edge + beyond ||
      placed.end < sender.acknowledged - kOldDataBytes) {
    return Reason::kTcpWindow;
  }
  // A bare acknowledgement that was overtaken is no harm (Linux tcp_disordered_ack).
  if (timestamps_ && (placed.end != placed.begin || placed.fin) &&
      packet.options.has(net::TcpOptions::kTimestamp) &&
      static_cast<std::int32_t>(packet.options.timestamp_value - sender.timestamp) < -1) {
    return Reason::kTcpPaws;
  }
  return Reason::kNone;
}

/// offset: of the other end's stream. RFC 5961 section 5.2; evasions TS10, TD6.
Reason Connection::check_acknowledgment(Direction direction, std::int64_t offset) const {
  const Half& acknowledged = half(flow::opposite(direction));
  const std::int64_t sent = acknowledged.forwarded + (fin_passed(acknowledged) ? 1 : 0);
  if (offset > sent) {
    return direction == Direction::kToServer ? Reason::kTcpAckAhead : Reason::kTcpAckUnseen;
  }
  const std::int64_t window = std::max<std::int64_t>(kOldAckBytes, half(direction).window_max);
  return offset < acknowledged.acknowledged - window ? Reason::kTcpAckOld : Reason::kNone;
}

void Connection::accept_acknowledgment(Pools& pools, Direction direction,
                                       const net::ParsedPacket& packet, std::int64_t offset) {
  Half& receiver = half_of(direction);
  Half& acknowledged = half_of(flow::opposite(direction));
  receiver.window_bytes = std::uint32_t{packet.window} << receiver.window_scale;
  receiver.window_max = std::max(receiver.window_max, receiver.window_bytes);
  acknowledged.window_edge =
      std::max(acknowledged.window_edge, offset + std::int64_t{receiver.window_bytes});
  if (offset <= acknowledged.acknowledged) return;
  acknowledged.acknowledged = offset;
  free_known(pools, acknowledged);
}

void Connection::accept_timestamp(Direction direction, const net::ParsedPacket& packet) {
  Half& sender = half_of(direction);
  if (!timestamps_ || !packet.options.has(net::TcpOptions::kTimestamp)) return;
  const std::uint32_t value = packet.options.timestamp_value;
  if (static_cast<std::int32_t>(value - sender.timestamp) > 0) sender.timestamp = value;
}

/// A reset is let through where the other end may expect it, and ends nothing here by itself: RFC
/// 5961 section 3, evasions TS1, TS18-TS20. A client that resets while its bytes wait is answered
/// for once they have left: it resets again by the number that the server acknowledges.
Outcome Connection::on_reset(Pools& pools, const Placed& placed, Segment& segment) {
  Half& sender = half_of(placed.direction);
  const std::int64_t sent =
      highest_forwarded(pools, placed.direction) + (sender.fin_forwarded ? 1 : 0);
  if (placed.begin < sender.acknowledged || placed.begin > sent) {
    return dropped(segment, Reason::kTcpRstInvalid);
  }
  if (segment.packet.has_flag(net::kAck)) {
    const std::int64_t offset =
        offset_of(half(flow::opposite(placed.direction)), segment.packet.acknowledgment);
    if (check_acknowledgment(placed.direction, offset) != Reason::kNone) {
      return dropped(segment, Reason::kTcpRstInvalid);
    }
  }
  if (segment.enforce && segment.packet.payload_bytes != 0) {
    net::trim_payload(segment.frame, segment.packet, 0);
  }
  sender.reset = true;
  Outcome outcome;
  outcome.reset_taken = segment.packet.sequence == next_sequence(placed.direction);
  return outcome;
}

/// A FIN takes a place like a byte: no byte lies at or behind it, and it lies at one place
/// (evasions TS2, TS3).
Reason Connection::check_fin(Pools& pools, Placed& placed) const {
  const Half& sender = half(placed.direction);
  if (sender.fin >= 0) {
    const bool sound = placed.end <= sender.fin && (!placed.fin || placed.end == sender.fin);
    return sound ? Reason::kNone : Reason::kTcpFinDiffers;
  }
  if (!placed.fin) return Reason::kNone;
  placed.new_fin = true;
  const std::int64_t known = std::max(sender.received, highest_forwarded(pools, placed.direction));
  return placed.end < known ? Reason::kTcpFinDiffers : Reason::kNone;
}

/// Whether a byte differs from what is known for its place: retransmissions, overlaps beyond a gap
/// and copies of held segments alike (evasions TD1-TD4). Bytes already acknowledged are not looked
/// at: every receiver has them and takes no others.
bool Connection::differs(Pools& pools, const Placed& placed, base::Bytes payload) const {
  const Half& sender = half(placed.direction);
  const auto same = [&](std::int64_t begin, std::int64_t end) {
    if (begin >= end) return true;
    return sender.store.matches(pools, begin,
                                payload.subspan(static_cast<std::size_t>(begin - placed.begin),
                                                static_cast<std::size_t>(end - begin)));
  };
  const std::int64_t begin = std::max({placed.begin, sender.acknowledged, std::int64_t{0}});
  if (!same(begin, std::min(placed.end, sender.received))) return true;
  const GapRanges* gaps = gap_ranges(pools, sender);
  if (gaps == nullptr) return false;
  for (std::uint32_t i = 0; i < gaps->count; ++i) {
    if (!same(std::max(begin, gaps->ranges[i].begin), std::min(placed.end, gaps->ranges[i].end))) {
      return true;
    }
  }
  return false;
}

/// A segment beyond a gap is copied and leaves at once: nothing beyond a gap can reach the
/// application, and the ends need it for fast retransmit.
Outcome Connection::on_beyond_gap(Pools& pools, const Placed& placed, Segment& segment) {
  Half& sender = half_of(placed.direction);
  // Bytes that have left may leave again, but not with an end that has not.
  const bool new_end = placed.fin && !sender.fin_forwarded;
  if (sender.blocked && new_end) return dropped(segment, Reason::kBlockedFlow);
  Outcome outcome;
  GapRanges* gaps = gap_ranges(pools, sender);
  if (placed.begin != placed.end && gaps != nullptr && gaps->contains(placed.begin, placed.end)) {
    outcome.retransmission = true;
  } else {
    if (sender.blocked) return dropped(segment, Reason::kBlockedFlow);
    outcome.out_of_order = true;
    const std::int64_t from = std::max(sender.received, sender.skip_until);
    if (placed.end - from > static_cast<std::int64_t>(abi::kOutOfOrderBytesMax)) {
      return dropped(segment, Reason::kTcpOooFull);
    }
    if (placed.begin != placed.end) {
      if (gaps == nullptr) {
        const std::uint32_t block =
            pools.blocks_free_for_gaps() != 0 ? pools.take_block() : Pools::kNone;
        if (block == Pools::kNone) return dropped(segment, Reason::kTcpOooFull);
        sender.ranges = block;
        gaps = gap_ranges(pools, sender);
        gaps->count = 0;
      }
      const bool kept =
          gaps->fits(placed.begin, placed.end) &&
          sender.store.put(pools, placed.begin, segment.packet.payload(), sender.skip_until, true);
      if (!kept || !gaps->insert(placed.begin, placed.end)) {
        mark_forwarded(pools, sender, sender.forwarded);  // gives an empty list back
        return dropped(segment, Reason::kTcpOooFull);
      }
    }
  }
  if (placed.fin) {
    sender.fin = placed.end;
    sender.fin_forwarded = true;
  }
  return outcome;
}

/// Nothing new: it leaves again as far as it has left before. A copy of what waits is not needed,
/// since that will leave; but what had to be dropped when it should have waited leaves now.
Outcome Connection::on_known(Pools& pools, const Placed& placed, Segment& segment) {
  Half& sender = half_of(placed.direction);
  const bool end_left = !placed.fin || sender.fin_forwarded;
  const bool left = placed.end <= sender.forwarded && end_left;
  const GapRanges* gaps = gap_ranges(pools, sender);
  const bool left_beyond = end_left && gaps != nullptr && gaps->contains(placed.begin, placed.end);
  if (left || left_beyond || !segment.enforce) return {};
  if (placed.begin < sender.forwarded && placed.end > sender.forwarded) {
    const std::int64_t end = deliverable_end(pools, sender, placed.end);
    if (end > sender.allowed || sender.held_count != 0 || placed.fin) {
      net::trim_payload(segment.frame, segment.packet,
                        static_cast<std::uint32_t>(sender.forwarded - placed.begin));
      return {};
    }
  }
  if (sender.held_count != 0) return dropped(segment, Reason::kTcpHeldDup);
  return leave_or_hold(pools, placed, segment);
}

/// The segment leaves if everything that it makes deliverable is allowed, behind those that came
/// before it; else it waits. Of a blocked stream only what is allowed leaves.
Outcome Connection::leave_or_hold(Pools& pools, const Placed& placed, Segment& segment) {
  Half& sender = half_of(placed.direction);
  const std::int64_t end = deliverable_end(pools, sender, placed.end);
  // Where others wait, they end beyond what is allowed, and this segment behind them.
  const bool leaves = placed.begin <= sender.forwarded && end <= sender.allowed &&
                      (!placed.fin || end_allowed(sender));
  if (!segment.enforce || leaves) {
    mark_forwarded(pools, sender, end);
    if (placed.fin) sender.fin_forwarded = true;
    free_known(pools, sender);
    return {};
  }
  if (!sender.blocked) {
    // Only behind what waits already, so that all leave without a hole between them.
    const std::int64_t behind =
        sender.held_count == 0 ? sender.forwarded
                               : deliverable_end(pools, sender, pools.held(sender.held_last).end);
    if (placed.begin > behind || sender.held_count >= abi::kHeldPerDirectionMax ||
        pools.held_free() == 0) {
      return dropped(segment, Reason::kTcpHoldFull);
    }
    push_held(pools, sender, placed, segment.ref);
    Outcome outcome;
    outcome.fate = Fate::kHold;
    return outcome;
  }
  const std::int64_t stop = blocked_stop(pools, placed.direction, placed.begin, placed.end);
  if (stop <= placed.begin) return dropped(segment, Reason::kBlockedFlow);
  net::trim_payload(segment.frame, segment.packet, static_cast<std::uint32_t>(stop - placed.begin));
  mark_forwarded(pools, sender, stop);
  Outcome outcome;
  outcome.reason = Reason::kBlockedFlow;
  return outcome;
}

/// How far a segment of a blocked stream may leave; `begin`: not at all. Contract 5: the good bytes
/// before the bad ones, unless bad ones have left already.
std::int64_t Connection::blocked_stop(Pools& pools, Direction direction, std::int64_t begin,
                                      std::int64_t end) const {
  const Half& sender = half(direction);
  const bool bad_left = highest_forwarded(pools, direction) > sender.allowed;
  const std::int64_t stop = bad_left ? sender.forwarded : sender.allowed;
  return begin > sender.forwarded || stop <= begin || stop >= end ? begin : stop;
}

/// True: one too many in this request (evasion TD9).
bool Connection::count_small(const Placed& placed) {
  const std::int64_t bytes = placed.end - placed.begin;
  if (placed.direction != Direction::kToServer || bytes == 0 ||
      bytes >= static_cast<std::int64_t>(abi::kSmallSegmentBytes)) {
    return false;
  }
  return ++half_of(placed.direction).small_segments > abi::kSmallSegmentsMax;
}

/// Keeps the new bytes of a segment that starts at or before `received`, and moves that on.
Reason Connection::store_new(Pools& pools, const Placed& placed, const Segment& segment) {
  Half& sender = half_of(placed.direction);
  Reason reason = Reason::kNone;
  if (placed.end > sender.received) {
    const base::Bytes fresh =
        segment.packet.payload().subspan(static_cast<std::size_t>(sender.received - placed.begin));
    if (!sender.store.put(pools, sender.received, fresh, sender.skip_until, false)) {
      reason = Reason::kTcpRetainFull;
      if (segment.enforce) return reason;
    }
    sender.received = placed.end;
    const GapRanges* gaps = gap_ranges(pools, sender);
    if (gaps != nullptr) sender.received = gaps->extend(sender.received);
  }
  if (placed.fin) sender.fin = placed.end;
  return reason;
}

void Connection::mark_forwarded(Pools& pools, Half& sender, std::int64_t end) {
  sender.forwarded = std::max(sender.forwarded, end);
  if (sender.ranges == Pools::kNone) return;
  GapRanges* gaps = gap_ranges(pools, sender);
  gaps->drop_below(sender.forwarded);
  if (gaps->count != 0) return;
  pools.give_block(sender.ranges);
  sender.ranges = Pools::kNone;
}

void Connection::free_known(Pools& pools, Half& sender) {
  if (!sender.store.empty()) {
    sender.store.free_below(pools, std::min(sender.acknowledged, sender.inspected));
    // All acknowledged and seen: nothing of the last block is needed either.
    if (sender.acknowledged >= sender.received && sender.inspected == sender.received &&
        sender.ranges == Pools::kNone) {
      sender.store.free_all(pools);
    }
  }
}

void Connection::release_memory(Pools& pools, Half& sender) {
  sender.store.free_all(pools);
  if (sender.ranges != Pools::kNone) pools.give_block(sender.ranges);
  sender.ranges = Pools::kNone;
}

/// Needs a free entry.
void Connection::push_held(Pools& pools, Half& sender, const Placed& placed, net::PacketRef ref) {
  const std::uint32_t index = pools.take_held();
  SLUICE_CHECK(index != Pools::kNone);
  pools.held(index) = {ref, placed.begin, placed.end, Pools::kNone, placed.fin};
  if (sender.held_first == Pools::kNone) {
    sender.held_first = index;
  } else {
    pools.held(sender.held_last).next = index;
  }
  sender.held_last = index;
  ++sender.held_count;
}

Pools::Held Connection::pop_held(Pools& pools, Half& sender) {
  const std::uint32_t index = sender.held_first;
  const Pools::Held held = pools.held(index);
  sender.held_first = held.next;
  if (held.next == Pools::kNone) sender.held_last = Pools::kNone;
  --sender.held_count;
  pools.give_held(index);
  return held;
}

}  // namespace sluice::stream
