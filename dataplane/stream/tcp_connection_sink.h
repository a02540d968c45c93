// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

// The part of Connection that calls the sink. Included by tcp_connection.h alone.

#include <algorithm>

#include "dataplane/net/craft.h"
#include "dataplane/stream/tcp_connection.h"

namespace sluice::stream {

template <SegmentSink Sink>
Outcome Connection::on_segment(Pools& pools, Direction direction, Segment& segment, Sink& sink) {
  net::ParsedPacket& packet = segment.packet;
  last_seen_ = segment.now;
  Half& sender = half_of(direction);
  Placed placed{direction, offset_of(sender, packet.sequence), 0, packet.has_flag(net::kFin),
                false};
  placed.end = placed.begin + packet.payload_bytes;
  const bool urgent = packet.has_flag(net::kUrg);
  if (segment.enforce && net::needs_normalising(packet)) net::normalise(segment.frame, packet);
  const bool in_order = placed.begin <= sender.received;
  Outcome outcome;
  if (packet.has_flag(net::kRst)) {
    outcome = on_reset(pools, placed, segment);
  } else {
    outcome.reason = check_header(placed, packet);
    // In monitor an overtaken segment passes, and a receiver without PAWS takes its bytes.
    const bool passes_old = outcome.reason == abi::Reason::kTcpPaws && !segment.enforce;
    if (outcome.reason == abi::Reason::kNone || passes_old) {
      outcome = on_sound_header(pools, placed, segment, sink);
      if (passes_old) outcome.reason = abi::Reason::kTcpPaws;
    } else if (segment.enforce) {
      outcome.fate = Fate::kDrop;
    }
  }
  if (outcome.fate != Fate::kDrop) {
    if (in_order) accept_timestamp(direction, packet);
    if (urgent && outcome.reason == abi::Reason::kNone) outcome.reason = abi::Reason::kTcpUrgent;
  }
  return outcome;
}

template <SegmentSink Sink>
Outcome Connection::on_sound_header(Pools& pools, Placed& placed, Segment& segment, Sink& sink) {
  const Direction acknowledged = flow::opposite(placed.direction);
  const std::int64_t offset = offset_of(half(acknowledged), segment.packet.acknowledgment);
  Outcome outcome;
  outcome.reason = check_acknowledgment(placed.direction, offset);
  if (outcome.reason != abi::Reason::kNone) {
    if (segment.enforce) {
      outcome.fate = Fate::kDrop;
      return outcome;
    }
    if (outcome.reason == abi::Reason::kTcpAckOld) return outcome;
    // Monitor: what was acknowledged has passed without being kept, a bound was full.
    lose_until(pools, acknowledged, offset, sink);
  }
  accept_acknowledgment(pools, placed.direction, segment.packet, offset);
  if (placed.begin == placed.end && !placed.fin) return outcome;
  Outcome data = on_data(pools, placed, segment, sink);
  if (data.reason == abi::Reason::kNone) data.reason = outcome.reason;
  return data;
}

/// Monitor: the receiver has bytes up to `offset`, seen or not. Goes on behind them.
template <SegmentSink Sink>
void Connection::lose_until(Pools& pools, Direction direction, std::int64_t offset, Sink& sink) {
  Half& sender = half_of(direction);
  inspect(pools, direction, {}, sink);
  if (sender.fin >= 0) offset = std::min(offset, sender.fin);
  if (offset <= sender.inspected) return;
  sink.on_lost(direction, sender.inspected, offset);
  sender.inspected = offset;
  sender.received = std::max(sender.received, offset);
  const GapRanges* gaps = gap_ranges(pools, sender);
  if (gaps != nullptr) sender.received = gaps->extend(sender.received);
  mark_forwarded(pools, sender, sender.received);
  inspect(pools, direction, {}, sink);
}

template <SegmentSink Sink>
Outcome Connection::on_data(Pools& pools, Placed& placed, Segment& segment, Sink& sink) {
  Half& sender = half_of(placed.direction);
  Outcome checked;
  checked.reason = check_fin(pools, placed);
  if (checked.reason == abi::Reason::kNone && differs(pools, placed, segment.packet.payload())) {
    checked.reason = abi::Reason::kTcpOverlapDiffers;
    if (sender.conflicts < abi::kOverlapConflictsMax) ++sender.conflicts;
    checked.block_connection = sender.conflicts >= abi::kOverlapConflictsMax && segment.enforce;
  }
  if (checked.reason != abi::Reason::kNone) {
    checked.fate = segment.enforce ? Fate::kDrop : Fate::kForward;
    if (checked.block_connection) block_at(pools, placed.direction, sender.forwarded, sink);
    return checked;
  }
  if (placed.begin > sender.received) return on_beyond_gap(pools, placed, segment);
  if (placed.end > sender.received || placed.new_fin) {
    return on_new_bytes(pools, placed, segment, sink);
  }
  Outcome outcome = on_known(pools, placed, segment);
  outcome.retransmission = true;
  return outcome;
}

/// A segment that moves `received` on.
template <SegmentSink Sink>
Outcome Connection::on_new_bytes(Pools& pools, const Placed& placed, Segment& segment, Sink& sink) {
  Half& sender = half_of(placed.direction);
  if (sender.blocked) return leave_or_hold(pools, placed, segment);
  Outcome outcome;
  if (count_small(placed) && segment.enforce) {
    outcome = {Fate::kDrop, abi::Reason::kTcpSmallSegments};
    outcome.block_connection = true;
    block_at(pools, placed.direction, sender.forwarded, sink);
    return outcome;
  }
  outcome.reason = store_new(pools, placed, segment);
  if (outcome.reason != abi::Reason::kNone && segment.enforce) {
    outcome.fate = Fate::kDrop;
    return outcome;
  }
  const Direct direct{placed.begin, segment.packet.payload()};
  const bool more = inspect(pools, placed.direction, direct, sink);
  settle_held(pools, placed.direction, segment.enforce, sink);
  Outcome left = leave_or_hold(pools, placed, segment);
  if (left.reason == abi::Reason::kNone) left.reason = outcome.reason;
  left.more_work = more;
  return left;
}

/// Shows the sink what is contiguous and new. direct: bytes of the segment in hand, shown whole;
/// bytes that waited are shown up to abi::kInspectBytesPerCall. True: there is more to show.
template <SegmentSink Sink>
bool Connection::inspect(Pools& pools, Direction direction, const Direct& direct, Sink& sink) {
  Half& sender = half_of(direction);
  const std::int64_t direct_end = direct.begin + static_cast<std::int64_t>(direct.bytes.size());
  std::size_t waited = 0;
  while (sender.inspected < sender.received && !sender.blocked && !waits_) {
    const std::int64_t at = sender.inspected;
    if (at < sender.skip_until) {
      sender.inspected = std::min(sender.skip_until, sender.received);
      continue;
    }
    base::Bytes chunk;
    if (at >= direct.begin && at < direct_end) {
      chunk = direct.bytes.subspan(static_cast<std::size_t>(at - direct.begin));
    } else {
      if (waited >= abi::kInspectBytesPerCall) return true;
      chunk = sender.store.view(pools, at, sender.received);
      waited += ByteStore::kBlock;
    }
    if (chunk.empty()) {  // not kept: only in monitor, when a bound was full
      sender.inspected = std::min(at - at % ByteStore::kBlock + ByteStore::kBlock, sender.received);
      sink.on_lost(direction, at, sender.inspected);
      continue;
    }
    const Progress progress = sink.on_bytes(direction, at, chunk);
    sender.inspected += progress.consumed;
    note(sender, progress);
    if (progress.consumed < chunk.size() && at + progress.consumed >= sender.skip_until) break;
  }
  if (sender.inspected == sender.fin && !sender.end_told && !sender.blocked && !waits_) {
    tell_end(direction, sink);
  }
  return false;
}

template <SegmentSink Sink>
void Connection::tell_end(Direction direction, Sink& sink) {
  Half& sender = half_of(direction);
  sender.end_told = true;
  note(sender, sink.on_end(direction, sender.fin));
}

inline void Connection::note(Half& sender, const Progress& progress) {
  if (progress.waits) waits_ = true;
  if (progress.blocked) {
    sender.allowed = std::max(sender.forwarded, progress.allowed);
    sender.blocked = true;
    return;
  }
  sender.allowed = std::max(sender.allowed, progress.allowed);
  sender.skip_until = std::max(sender.skip_until, progress.skip_until);
}

/// Lets held packets go, in the order in which they came.
template <SegmentSink Sink>
void Connection::settle_held(Pools& pools, Direction direction, bool enforce, Sink& sink) {
  Half& sender = half_of(direction);
  while (sender.held_first != Pools::kNone) {
    const Pools::Held& first = pools.held(sender.held_first);
    const std::int64_t end = deliverable_end(pools, sender, first.end);
    const bool leaves = !enforce || (end <= sender.allowed && (!first.fin || end_allowed(sender)));
    if (!leaves && !sender.blocked) return;
    const Pools::Held held = pop_held(pools, sender);
    const auto payload = static_cast<std::uint32_t>(held.end - held.begin);
    if (leaves) {
      mark_forwarded(pools, sender, end);
      if (held.fin) sender.fin_forwarded = true;
      sink.release(direction, held.ref, payload);
      continue;
    }
    const std::int64_t stop = blocked_stop(pools, direction, held.begin, held.end);
    if (stop > held.begin) {
      mark_forwarded(pools, sender, stop);
      sink.release(direction, held.ref, static_cast<std::uint32_t>(stop - held.begin));
    } else {
      sink.discard(direction, held.ref, abi::Reason::kBlockedFlow);
    }
  }
  free_known(pools, sender);
}

template <SegmentSink Sink>
bool Connection::poll(Pools& pools, bool enforce, Sink& sink) {
  bool more = false;
  for (const Direction direction : {Direction::kToServer, Direction::kToClient}) {
    more = inspect(pools, direction, {}, sink) || more;
    settle_held(pools, direction, enforce, sink);
  }
  return more;
}

template <SegmentSink Sink>
bool Connection::go_on(Pools& pools, Direction direction, const Progress& progress, bool enforce,
                       Sink& sink) {
  Half& sender = half_of(direction);
  waits_ = false;
  if (progress.blocked) note(sender, progress);
  bool more = inspect(pools, direction, {}, sink);
  // What follows in the same segment may be bad: then nothing of its message need leave.
  if (!waits_ && !sender.blocked) note(sender, progress);
  settle_held(pools, direction, enforce, sink);
  const Direction other = flow::opposite(direction);
  more = inspect(pools, other, {}, sink) || more;
  settle_held(pools, other, enforce, sink);
  return more;
}

template <SegmentSink Sink>
void Connection::allow_until(Pools& pools, Direction direction, std::int64_t offset, bool enforce,
                             Sink& sink) {
  Half& sender = half_of(direction);
  if (!sender.blocked) sender.allowed = std::max(sender.allowed, offset);
  settle_held(pools, direction, enforce, sink);
}

template <SegmentSink Sink>
void Connection::block_at(Pools& pools, Direction direction, std::int64_t offset, Sink& sink) {
  Half& sender = half_of(direction);
  if (!sender.blocked) sender.allowed = std::max(sender.forwarded, offset);
  sender.blocked = true;
  settle_held(pools, direction, true, sink);
}

template <SegmentSink Sink>
void Connection::close(Pools& pools, abi::Reason reason, Sink& sink) {
  for (const Direction direction : {Direction::kToServer, Direction::kToClient}) {
    Half& sender = half_of(direction);
    while (sender.held_first != Pools::kNone) {
      sink.discard(direction, pop_held(pools, sender).ref, reason);
    }
    release_memory(pools, sender);
  }
}

}  // namespace sluice::stream
