// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <concepts>
#include <cstdint>
#include <limits>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/flow/flow_key.h"
#include "dataplane/net/packet.h"
#include "dataplane/net/packet_ref.h"

/// What stream and its user (engine) say to each other. Offsets count the bytes of one direction
/// from 0, the byte behind the SYN; they are 64 bits wide and signed, as a retransmission may start
/// before what we know.
namespace sluice::stream {

using flow::Direction;

inline constexpr std::int64_t kAllOffsets = std::numeric_limits<std::int64_t>::max();

/// What the sink made of a chunk.
struct Progress {
  /// Bytes of the chunk that were taken, 0..size. The rest is shown again, by the next segment or
  /// by Connection::poll(). In monitor take all of it, or the rest is lost to inspection.
  std::uint32_t consumed = 0;
  /// No verdict forbids the bytes below this offset: segments may leave once all that they make
  /// deliverable lies below it. May lie ahead of what was shown (kAllOffsets: an allowed upgrade);
  /// never goes back.
  std::int64_t allowed = 0;
  /// Bytes below this offset need not be shown: they are neither kept nor compared nor called for,
  /// as far as `allowed` lets them go. For bodies of responses. Never goes back.
  std::int64_t skip_until = 0;
  /// Bytes at and beyond `allowed` never leave.
  bool blocked = false;
  /// The sink has work to do on what it was shown. Until Connection::go_on() nothing more of either
  /// direction is shown, no end told, and no FIN leaves. What it was shown waits: `allowed` lies
  /// before it.
  bool waits = false;
};

/// The user's side, a template parameter: no virtual call. Calls come from within on_segment(),
/// poll(), allow_until() and the like; the sink must not call the connection back.
template <typename T>
concept SegmentSink = requires(T sink, Direction direction, std::int64_t offset, base::Bytes chunk,
                               net::PacketRef ref, std::uint32_t payload_bytes,
                               abi::Reason reason) {
  /// The next bytes of a direction. chunk: at least 1 byte, borrowed for the call.
  { sink.on_bytes(direction, offset, chunk) } -> std::same_as<Progress>;
  /// All bytes before a FIN have been taken: offset is the stream's length. The FIN leaves if
  /// the answer does not block; consumed and skip_until do not matter.
  { sink.on_end(direction, offset) } -> std::same_as<Progress>;
  /// Monitor only: bytes from `offset` up to `end` passed unseen; what is shown next starts at
  /// `end`.
  {sink.on_lost(direction, offset, offset)};
  /// A held packet leaves: transmit its first `payload_bytes` of payload (net::trim_payload if
  /// fewer than it has). The reference is the sink's again.
  {sink.release(direction, ref, payload_bytes)};
  /// A held packet does not leave: free it.
  {sink.discard(direction, ref, reason)};
};

/// One segment to be judged. It passed net::classify() as kInspect.
struct Segment {
  net::ParsedPacket& packet;
  base::MutableBytes frame;  ///< what packet was parsed from; changed in place if `enforce`
  net::PacketRef ref;
  base::Nanos now = 0;
  /// Block mode. False is monitor: nothing is changed, held or dropped, and Outcome::reason says
  /// what would have been.
  bool enforce = true;
};

enum class Fate : std::uint8_t {
  kForward,  ///< send it on now: packet.frame.size() bytes of frame
  kHold,     ///< the connection keeps the reference until release() or discard()
  kDrop,     ///< the reference stays the caller's, to be freed; count the reason
};

struct Outcome {
  Fate fate = Fate::kForward;
  /// Why it is dropped; with kForward what was changed (kTcpUrgent: urgent pointer cleared,
  /// kBlockedFlow: cut where the block starts) or, in monitor, what block mode would drop it for.
  abi::Reason reason = abi::Reason::kNone;
  bool out_of_order = false;    ///< beyond a gap: copied and forwarded
  bool retransmission = false;  ///< nothing but bytes known before
  /// This segment made the connection be blocked: differing bytes, small segments. reason says why.
  bool block_connection = false;
  /// A RST that its receiver takes if it arrives: at the next byte that it expects.
  bool reset_taken = false;
  /// Bytes are waiting that one call may not work off: call poll() until it returns false.
  bool more_work = false;
};

}  // namespace sluice::stream
