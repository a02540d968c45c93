// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>

#include "tests/sim/endpoint.h"

/// The receiving side of Linux 6 in the simulator's terms, check by check in its order: a request
/// for a connection, then the connection. `stream_sim --wire --linux` holds it against the kernel.
namespace sluice::sim {

bool Endpoint::too_old(const Tcp& segment, std::int32_t slack) const {
  // An echo of 0 stands for none: stacks were seen that put it on their SYN.
  return segment.timestamps && ts_recent_ != 0 &&
         static_cast<std::int32_t>(segment.ts_value - ts_recent_) < -slack;
}

/// True: the segment echoes a timestamp that the SYN-ACK did not have.
bool Endpoint::echoes_another(const Tcp& segment) const {
  return timestamps_ && segment.timestamps && segment.ts_echo != 0 &&
         (segment.ts_echo - first_ts_ > last_ts_ - first_ts_);
}

/// True: a connection comes of the request, and the segment is its first.
bool Endpoint::opens_linux(const Tcp& segment, std::int64_t offset, Nanos now) {
  const bool old = too_old(segment, 0);
  const bool same_syn = segment.has(kSyn) && offset == -1;
  if (same_syn && !segment.has(kAck) && !segment.has(kRst) && !old) {
    on_syn(segment, now);
    return false;
  }
  const bool acknowledges = segment.has(kAck) && segment.ack == isn_ + 1;
  if (segment.has(kAck) && !acknowledges && !segment.has(kRst)) return false;
  const std::int64_t end = offset + static_cast<std::int64_t>(segment.payload.size()) +
                           (segment.has(kSyn) ? 1 : 0) + (segment.has(kFin) ? 1 : 0);
  const bool inside =
      offset == 0 || (end > 0 && offset < offered_) || (offset == offered_ && end == offset);
  if (old || !inside) return false;
  if (segment.has(kRst)) {
    // Older ones end the request by any RST in the window, but by none with another
    // acknowledgement.
    unsure_ = unsure_ || offset != 0 || (segment.has(kAck) && !acknowledges);
    if (offset == 0) close();
    return false;
  }
  if (echoes_another(segment)) {
    unsure_ = true;  // older ones do not look
    return false;
  }
  // Any SYN in the window ends the request, but the same.
  if (segment.has(kSyn) && !same_syn) {
    close();
    return false;
  }
  if (!segment.has(kAck)) {
    unsure_ = unsure_ || segment.timestamps;  // older ones take its timestamp
    return false;
  }
  if (segment.timestamps && offset <= 0) ts_recent_ = segment.ts_value;
  state_ = State::kEstablished;
  rto_at_ = kNever;
  window_ = segment.window;
  window_seq_ = offset;
  max_window_ = std::int64_t{segment.window} << peer_scale_;
  return true;
}

bool Endpoint::sound_linux(const Tcp& segment, std::int64_t offset, Nanos now) {
  const std::int64_t end = offset + static_cast<std::int64_t>(segment.payload.size()) +
                           (segment.has(kSyn) ? 1 : 0) + (segment.has(kFin) ? 1 : 0);
  if (!segment.has(kAck) && !segment.has(kRst) && !segment.has(kSyn)) return false;
  const bool reset = segment.has(kRst);
  const bool old = timestamps_ && too_old(segment, 1) && !reset;
  const bool outside = end < acknowledged_ || offset > std::max(offered_, next());
  // Behind a FIN also the number of the FIN itself is taken.
  const bool exact = offset == next() || (peer_fin_taken_ && offset == next() - 1) ||
                     (sack_ && !outside && offset == sack_list_.highest());
  if (reset && exact) {
    close();
    return false;
  }
  if (!old && !outside && !reset && !segment.has(kSyn)) return true;
  if (!reset) send_ack(now);
  return false;
}

/// What comes as foretold, the next bytes with nothing beyond them and the window as it was, is
/// taken before its acknowledgement is looked at, where memory for it is at hand.
bool Endpoint::foretold(const Tcp& segment, std::int64_t offset) const {
  return (segment.flags & ~kPsh) == kAck && offset == rcv_ && linux_queue_.empty() &&
         segment.window == window_ && offered_ > rcv_ && urgent_cut_ < rcv_ && !peer_fin_taken_ &&
         segment.timestamps == timestamps_ && segment.sack.empty() &&
         !(timestamps_ && too_old(segment, 0));
}

/// False: the acknowledgement is refused, and the segment with it.
bool Endpoint::take_ack_linux(const Tcp& segment, std::int64_t offset, Nanos now) {
  const std::int64_t ack =
      una_ + static_cast<std::int32_t>(segment.ack - (isn_ + 1 + static_cast<std::uint32_t>(una_)));
  if (ack > nxt_) return false;
  if (ack < una_ - std::min(max_window_, una_)) {
    unsure_ = unsure_ || foretold(segment, offset);
    return false;
  }
  const bool takes_time = ack >= una_ || foretold(segment, offset);
  if (ack >= una_ &&
      (ack > una_ || offset > window_seq_ ||
       (offset == window_seq_ && (segment.window > window_ || segment.window == 0)))) {
    window_ = segment.window;
    window_seq_ = offset;
  }
  take_ack(segment, now);
  if (takes_time && timestamps_ && segment.timestamps && offset <= acknowledged_ &&
      !too_old(segment, 0)) {
    ts_recent_ = segment.ts_value;
  }
  max_window_ = std::max(max_window_, std::int64_t{segment.window} << peer_scale_);
  return true;
}

void Endpoint::on_segment_linux(const Tcp& segment, std::int64_t offset, Nanos now) {
  if (state_ == State::kSynReceived && !opens_linux(segment, offset, now)) return;
  if (!sound_linux(segment, offset, now)) return;
  if (!take_ack_linux(segment, offset, now)) return;
  if (peer_fin_taken_ && fin_wanted_ && all_acknowledged()) {
    state_ = State::kClosed;
    return;
  }
  if (segment.has(kUrg)) {
    // The byte at the pointer is not read with the others; a pointer to what was read says nothing.
    const std::int64_t urgent = offset + std::max(0, segment.urgent - 1);
    const bool pending = urgent_cut_ >= rcv_;
    if (urgent >= rcv_ && (!pending || urgent > urgent_cut_)) urgent_cut_ = urgent;
  }
  take_data_linux(segment, offset, now);
}

void Endpoint::take_data_linux(const Tcp& segment, std::int64_t offset, Nanos now) {
  LinuxQueue::Segment taken{offset, segment.payload, segment.has(kFin)};
  if (taken.end() == offset) return;
  if (peer_fin_taken_) {
    // Bytes behind the end cannot be delivered: the peer is told so if they begin before it.
    const bool beyond = offset + static_cast<std::int64_t>(taken.bytes.size()) > next();
    if (offset < next() && beyond) close();
    return;
  }
  const bool closed = offered_ <= rcv_ && !taken.bytes.empty();
  if (taken.end() <= rcv_) note_duplicate(offset, taken.end());
  if (taken.end() <= rcv_ || closed || (offset > rcv_ && offset >= offered_)) {
    return send_ack(now);
  }
  if (offset > rcv_) sack_list_.add(offset, taken.end());
  linux_queue_.add(std::move(taken));
  while (!peer_fin_taken_ && linux_queue_.pull(rcv_, taken)) {
    if (taken.end() <= rcv_) continue;
    const auto known = static_cast<std::size_t>(rcv_ - taken.begin);
    deliver(std::string_view(taken.bytes).substr(std::min(known, taken.bytes.size())));
    if (!taken.fin) continue;
    peer_fin_taken_ = true;
    linux_queue_.clear();
  }
  sack_list_.advance(rcv_, linux_queue_.empty());
  if (!options_.shadow) acknowledged_ = next();
  answer_data(now);
}

void Endpoint::note_timestamp(std::uint32_t of_syn_ack) {
  if (last_ts_ == 0) first_ts_ = of_syn_ack;
  last_ts_ = of_syn_ack;
}

void Endpoint::follow(const Tcp& segment) {
  if (segment.has(kRst)) return;
  if (segment.has(kSyn)) {
    own_scale_ = std::max(segment.window_scale, 0);
    offered_ = segment.window;
    note_timestamp(segment.ts_value);
    return;
  }
  const std::int64_t offset =
      nxt_ + static_cast<std::int32_t>(segment.seq - (isn_ + 1 + static_cast<std::uint32_t>(nxt_)));
  nxt_ = std::max(nxt_, offset + static_cast<std::int64_t>(segment.payload.size()) +
                            (segment.has(kFin) ? 1 : 0));
  const std::int64_t acknowledged =
      rcv_ +
      static_cast<std::int32_t>(segment.ack - (peer_isn_ + 1 + static_cast<std::uint32_t>(rcv_)));
  acknowledged_ = std::max(acknowledged_, acknowledged);
  offered_ = std::max(offered_, acknowledged + (std::int64_t{segment.window} << own_scale_));
}

}  // namespace sluice::sim
