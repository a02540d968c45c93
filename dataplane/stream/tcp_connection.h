// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>

#include "dataplane/abi/limits.h"
#include "dataplane/base/clock.h"
#include "dataplane/stream/byte_store.h"
#include "dataplane/stream/gap_ranges.h"
#include "dataplane/stream/handshake.h"
#include "dataplane/stream/pools.h"
#include "dataplane/stream/segment_sink.h"

namespace sluice::stream {

/// What one end has sent, as far as it passed here. Offsets of its stream, 0 behind its SYN.
struct Half {
  std::int64_t acknowledged = 0;  ///< by the other end; its FIN counts as one
  std::int64_t forwarded = 0;     ///< all bytes below have left
  std::int64_t received = 0;      ///< all bytes below are here, or were
  std::int64_t inspected = 0;     ///< all bytes below were taken by the sink
  std::int64_t allowed = 0;       ///< no verdict forbids the bytes below
  std::int64_t skip_until = 0;    ///< bytes below need not be shown
  std::int64_t window_edge = 0;   ///< the other end takes bytes below it
  std::int64_t fin = -1;          ///< where its FIN lies, once it has passed or waits; -1: unknown
  std::uint32_t isn = 0;
  std::uint32_t timestamp = 0;     ///< the newest in order (RFC 7323 TS.Recent of the other end)
  std::uint32_t window_bytes = 0;  ///< that this end offered last
  std::uint32_t window_max = 0;    ///< that this end ever offered (RFC 5961 MAX.SND.WND)
  std::uint32_t ranges = Pools::kNone;  ///< block that lists what left beyond a gap
  std::uint32_t held_first = Pools::kNone, held_last = Pools::kNone;
  ByteStore store;
  std::uint16_t mss = 536;
  std::uint16_t held_count = 0;
  std::uint16_t small_segments = 0;
  std::uint8_t window_scale = 0;
  std::uint8_t conflicts = 0;
  bool fin_forwarded = false;
  bool end_told = false;
  bool blocked = false;
  bool reset = false;  ///< this end has sent a RST that the other may have taken
};

/// One TCP connection of a protected service, both directions: keeps its state equal to the
/// endpoints', forwards nothing that makes uninspected bytes deliverable, and lets no byte have two
/// values. Contract 1-3 of docs/architecture.md. It makes no verdicts and knows no HTTP. Memory
/// beyond the object comes from Pools only while bytes are unacknowledged, missing or held.
class Connection {
 public:
  /// Starts, or starts again after close(): the handshake is complete.
  void open(const Handshake& handshake, base::Nanos now);

  /// Judges one segment without SYN that is no part of a handshake, shows `sink` the bytes that it
  /// makes contiguous (of both directions, by their `direction`), and says what becomes of it.
  /// Packets held before may be released or discarded through `sink` by the same call, before the
  /// outcome: they go first. Work: the segment, and at most abi::kInspectBytesPerCall of bytes that
  /// waited.
  template <SegmentSink Sink>
  Outcome on_segment(Pools& pools, Direction direction, Segment& segment, Sink& sink);

  /// Works off bytes that wait behind a filled gap. True: more is waiting; call it again in the
  /// next poll.
  template <SegmentSink Sink>
  bool poll(Pools& pools, bool enforce, Sink& sink);

  /// The sink has done its work (Progress::waits): `progress` says what of `direction` may leave
  /// now. Shows what has come meanwhile. True: as poll().
  template <SegmentSink Sink>
  bool go_on(Pools& pools, Direction direction, const Progress& progress, bool enforce, Sink& sink);
  [[nodiscard]] bool waits() const { return waits_; }
  /// The sink is gone, and with it what it was at: the next segment shows the rest to another.
  void stop_waiting() { waits_ = false; }

  /// The engine has decided later: bytes below `offset` may leave. Releases what that frees.
  template <SegmentSink Sink>
  void allow_until(Pools& pools, Direction direction, std::int64_t offset, bool enforce,
                   Sink& sink);
  /// Bytes at and beyond `offset` (at least what has been forwarded) never leave. Held packets
  /// before it are released, the one across it trimmed, the rest discarded.
  template <SegmentSink Sink>
  void block_at(Pools& pools, Direction direction, std::int64_t offset, Sink& sink);
  /// Gives all memory and all held packets back (discard). The object may be opened again.
  template <SegmentSink Sink>
  void close(Pools& pools, abi::Reason reason, Sink& sink);

  [[nodiscard]] const Half& half(Direction direction) const {
    return halves_[static_cast<unsigned>(direction)];
  }
  /// End of the highest byte that has left, beyond gaps too: above half().forwarded, bytes beyond
  /// a gap are on their way.
  [[nodiscard]] std::int64_t highest_forwarded(Pools& pools, Direction direction) const;
  /// The sequence number of an offset.
  [[nodiscard]] std::uint32_t sequence_of(Direction direction, std::int64_t offset) const {
    return half(direction).isn + 1 + static_cast<std::uint32_t>(offset);
  }
  /// The sequence number that the receiver of `direction` expects next as far as we let bytes
  /// through: end of the bytes forwarded, behind the FIN once it left. For crafted segments.
  [[nodiscard]] std::uint32_t next_sequence(Direction direction) const {
    const Half& sender = half(direction);
    return sequence_of(direction, sender.forwarded + (fin_passed(sender) ? 1 : 0));
  }
  [[nodiscard]] bool timestamps() const { return timestamps_; }
  [[nodiscard]] bool sack() const { return sack_; }

  /// Small segments are counted per request (evasion TD9): a new one has begun.
  void message_began(Direction direction) {
    halves_[static_cast<unsigned>(direction)].small_segments = 0;
  }

  /// Both ends have finished, or one was reset: a new SYN may take the tuple over (evasions TS6,
  /// TS7), and the connection need not be kept longer than abi::kClosedTimeoutNs. Until then it is
  /// inspected like any other.
  [[nodiscard]] bool closing() const;
  /// Both FINs acknowledged: nothing can follow.
  [[nodiscard]] bool finished() const;
  /// The engine has reset both ends: a new SYN may take the tuple over.
  void mark_reset() { halves_[0].reset = halves_[1].reset = true; }
  /// A SYN was let through on this tuple: give segments to the handshake table first.
  [[nodiscard]] bool reopening() const { return reopening_; }
  void set_reopening() { reopening_ = true; }
  [[nodiscard]] base::Nanos last_seen() const { return last_seen_; }

  /// Whether an ICMP error that quotes a segment of `direction` with `sequence` is plausible: it
  /// must lie among the bytes not yet acknowledged (RFC 5927, evasion V59).
  [[nodiscard]] bool icmp_plausible(Pools& pools, Direction direction,
                                    std::uint32_t sequence) const;

 private:
  /// One segment in stream offsets, and what is known of it so far.
  struct Placed {
    Direction direction;
    std::int64_t begin, end;  ///< of its payload
    bool fin;
    bool new_fin;  ///< the FIN was not known before
  };
  /// Bytes of the segment in hand: shown without going through the store.
  struct Direct {
    std::int64_t begin = 0;
    base::Bytes bytes = {};
  };

  static bool fin_passed(const Half& sender) {
    return sender.fin_forwarded && sender.forwarded == sender.fin;
  }
  Half& half_of(Direction direction) { return halves_[static_cast<unsigned>(direction)]; }

  // tcp_connection.cc: nothing here calls a sink.
  [[nodiscard]] std::int64_t offset_of(const Half& sender, std::uint32_t sequence) const;
  [[nodiscard]] abi::Reason check_header(const Placed& placed,
                                         const net::ParsedPacket& packet) const;
  [[nodiscard]] abi::Reason check_acknowledgment(Direction direction, std::int64_t offset) const;
  [[nodiscard]] abi::Reason check_fin(Pools& pools, Placed& placed) const;
  void accept_acknowledgment(Pools& pools, Direction direction, const net::ParsedPacket& packet,
                             std::int64_t offset);
  void accept_timestamp(Direction direction, const net::ParsedPacket& packet);
  Outcome on_reset(Pools& pools, const Placed& placed, Segment& segment);
  [[nodiscard]] bool differs(Pools& pools, const Placed& placed, base::Bytes payload) const;
  Outcome on_beyond_gap(Pools& pools, const Placed& placed, Segment& segment);
  Outcome on_known(Pools& pools, const Placed& placed, Segment& segment);
  Outcome leave_or_hold(Pools& pools, const Placed& placed, Segment& segment);
  [[nodiscard]] std::int64_t blocked_stop(Pools& pools, Direction direction, std::int64_t begin,
                                          std::int64_t end) const;
  [[nodiscard]] bool count_small(const Placed& placed);
  [[nodiscard]] abi::Reason store_new(Pools& pools, const Placed& placed, const Segment& segment);
  [[nodiscard]] std::int64_t deliverable_end(Pools& pools, const Half& sender,
                                             std::int64_t end) const;
  [[nodiscard]] GapRanges* gap_ranges(Pools& pools, const Half& sender) const;
  void mark_forwarded(Pools& pools, Half& sender, std::int64_t end);
  void free_known(Pools& pools, Half& sender);
  void release_memory(Pools& pools, Half& sender);
  void push_held(Pools& pools, Half& sender, const Placed& placed, net::PacketRef ref);
  [[nodiscard]] Pools::Held pop_held(Pools& pools, Half& sender);

  // tcp_connection_sink.h
  template <SegmentSink Sink>
  Outcome on_sound_header(Pools& pools, Placed& placed, Segment& segment, Sink& sink);
  template <SegmentSink Sink>
  void lose_until(Pools& pools, Direction direction, std::int64_t offset, Sink& sink);
  template <SegmentSink Sink>
  Outcome on_data(Pools& pools, Placed& placed, Segment& segment, Sink& sink);
  template <SegmentSink Sink>
  Outcome on_new_bytes(Pools& pools, const Placed& placed, Segment& segment, Sink& sink);
  template <SegmentSink Sink>
  bool inspect(Pools& pools, Direction direction, const Direct& direct, Sink& sink);
  template <SegmentSink Sink>
  void tell_end(Direction direction, Sink& sink);
  /// Whether a FIN of this end may leave, once all before it may.
  [[nodiscard]] bool end_allowed(const Half& sender) const {
    return sender.end_told && !sender.blocked && !waits_;
  }
  template <SegmentSink Sink>
  void settle_held(Pools& pools, Direction direction, bool enforce, Sink& sink);
  void note(Half& sender, const Progress& progress);

  std::array<Half, 2> halves_;
  base::Nanos last_seen_ = 0;
  bool timestamps_ = false;
  bool sack_ = false;
  bool reopening_ = false;
  bool waits_ = false;
};
static_assert(sizeof(Connection) <= 288, "part of the 512 bytes of an idle inspected flow");

}  // namespace sluice::stream

#include "dataplane/stream/tcp_connection_sink.h"
