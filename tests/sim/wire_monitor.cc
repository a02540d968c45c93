// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/wire_monitor.h"

#include <algorithm>

#include "dataplane/abi/limits.h"

namespace sluice::sim {
namespace {

/// As old as an acknowledgement may be at least, and as far below as data may lie.
constexpr std::uint32_t kOldAckBytes = 65536, kOldDataBytes = 1 << 30;
/// How far ahead of what has left in sequence more may leave: copies are kept so far beyond what
/// has come, and a segment that waits for the next poll may join as much that left before it.
constexpr std::size_t kAheadBytes = 2 * abi::kOutOfOrderBytesMax + 48 * 1024;
constexpr int kScaleMax = 14;
/// What ends the handshake may lie as far ahead as the widest window of the simulator's stacks.
constexpr std::int32_t kThirdAheadBytes = 32000;

}  // namespace

void WireMonitor::watch(bool to_server_side, const Frame& frame, Nanos now) {
  now_ = now;
  if (phase_ == Phase::kReopened && now - reopened_ > abi::kHandshakeTimeoutNs) {
    phase_ = Phase::kOpen;
  }
  if (read_ip(frame).fragment) {
    // The engine sends on the fragments themselves, which the monitor does not join.
    phase_ = Phase::kLost;
    return;
  }
  Tcp segment;
  if (!read_frame(frame, segment)) return;
  // A reset of what nobody opened in that VLAN, which the server does not know either.
  if (to_server_side && segment.vlan != 0 && segment.has(kRst)) return;
  // Another connection, which the server takes for the same.
  if (segment.vlan != 0 && segment.has(kSyn)) {
    phase_ = Phase::kLost;
    return;
  }
  std::string wrong = to_server_side ? to_server(segment) : to_client(segment);
  if (segment.has(kUrg) || segment.urgent != 0) wrong = "urgent data or an urgent pointer left";
  if (problem_.empty()) problem_ = wrong;
}

void WireMonitor::enter(bool from_outside, const Frame& frame) {
  if (read_ip(frame).fragment) {
    completed_ = completed_ || from_outside;  // perhaps
    return;
  }
  Tcp segment;
  if (!read_frame(frame, segment) || !segment.has(kAck)) return;
  if (from_outside) {
    const std::int32_t ahead = distance(client_isn_ + 1, segment.seq);
    completed_ = completed_ || (phase_ == Phase::kAnswered && segment.ack == server_isn_ + 1 &&
                                ahead >= 0 && ahead <= kThirdAheadBytes);
    return;
  }
  server_acks_.insert(segment.ack);
  if (phase_ != Phase::kOpen || distance(highest_, segment.ack) > 0) return;
  if (distance(server_has_, segment.ack) > 0) server_has_ = segment.ack;
}

std::string WireMonitor::problem(const std::vector<Inspected>& all) const {
  if (!problem_.empty() || phase_ != Phase::kOpen) return problem_;
  for (const Inspected& inspected : all) {
    if (inspected.client_isn != client_isn_ || inspected.server_isn != server_isn_) continue;
    for (std::size_t at = 0; at < left_.size() && left_[at] >= 0; ++at) {
      if (at == inspected.up.size()) return "bytes left that were not inspected";
      if (left_[at] != static_cast<std::uint8_t>(inspected.up[at])) {
        return "another byte left than was inspected, at " + std::to_string(at);
      }
    }
    return "";
  }
  // What lies beyond a gap may leave before anything is inspected.
  const bool in_sequence = !left_.empty() && left_.front() >= 0;
  return in_sequence ? "bytes left of a connection that was not inspected" : "";
}

/// What the server has acknowledged it has read: any garbage may stand there.
std::string WireMonitor::check_bytes(const Tcp& segment) {
  const std::int32_t first = distance(client_isn_ + 1, segment.seq);
  const std::int32_t known = distance(client_isn_ + 1, server_has_);
  for (std::size_t i = 0; i < segment.payload.size(); ++i) {
    const std::int32_t at = first + static_cast<std::int32_t>(i);
    if (at < known) continue;
    const auto place = static_cast<std::size_t>(at);
    if (place > in_sequence_ + kAheadBytes && !held_) return "data further ahead than is kept left";
    if (left_.size() <= place) left_.resize(place + 1, std::int16_t{-1});
    const auto byte = static_cast<std::int16_t>(static_cast<std::uint8_t>(segment.payload[i]));
    if (left_[place] >= 0 && left_[place] != byte) {
      return "a byte left twice with two values, at " + std::to_string(at);
    }
    left_[place] = byte;
  }
  while (in_sequence_ < left_.size() && left_[in_sequence_] >= 0) ++in_sequence_;
  return "";
}

/// The client's end lies at one place, and nothing behind it.
std::string WireMonitor::check_end(const Tcp& segment) {
  const std::uint32_t end = segment.seq + static_cast<std::uint32_t>(segment.payload.size());
  if (fin_left_ && !segment.payload.empty() && distance(fin_, end) > 0) {
    return "data behind the client's FIN left";
  }
  if (!segment.has(kFin)) return "";
  if (fin_left_ && end != fin_) return "a second FIN left, at another place";
  fin_left_ = true;
  fin_ = end;
  return "";
}

std::string WireMonitor::check_syn(const Tcp& segment) {
  if (!segment.payload.empty()) return "a SYN with data left";
  if (segment.has(kFin) || segment.has(kRst)) return "a SYN with FIN or RST left";
  if (segment.has(kAck)) return "a SYN-ACK of the client left";
  // What completed the handshake may wait or be blocked here, with a new connection behind it.
  if (phase_ == Phase::kAnswered && segment.seq != client_isn_ && !completed_) {
    return "another SYN left behind the SYN-ACK";
  }
  if (phase_ == Phase::kOpen && segment.seq == client_isn_) {
    return "the SYN of the connection left again";
  }
  client_isns_.insert(segment.seq);
  const bool again = phase_ == Phase::kAnswered && segment.seq == client_isn_;
  if (phase_ != Phase::kFirst && !again) {
    phase_ = phase_ == Phase::kOpen && !held_ && !replies_ ? Phase::kReopened : Phase::kLost;
    reopened_ = now_;
    return "";
  }
  if (phase_ == Phase::kFirst && client_scale_ != -1 && segment.seq != client_isn_) {
    phase_ = Phase::kLost;
  }
  client_isn_ = segment.seq;
  client_timestamps_ = client_timestamps_ || segment.timestamps;
  const int scale = std::min(segment.window_scale, kScaleMax);
  if (scale >= 0 && client_scale_ >= 0 && scale != client_scale_ && phase_ != Phase::kLost) {
    return "the SYN left again with another window scale";
  }
  if (scale >= 0 || client_scale_ == -1) client_scale_ = scale < 0 ? -2 : scale;
  return "";
}

std::string WireMonitor::to_server(const Tcp& segment) {
  if (segment.checksum_wrong) return "a wrong checksum left";
  if (!headers_sound(segment)) return "extension headers that hosts refuse left";
  const bool from_nobody = phase_ == Phase::kFirst || phase_ == Phase::kAnswered;
  if (segment.has(kSyn)) return check_syn(segment);
  const bool takes_place = !segment.payload.empty() || segment.has(kFin);
  if (phase_ == Phase::kReopened && takes_place && !segment.has(kRst)) {
    return "data by the old numbers left while a new SYN waited";
  }
  // The segment that completes the handshake may be held while others leave.
  if (phase_ == Phase::kAnswered && segment.has(kAck) && !segment.has(kRst) &&
      distance(server_isn_, segment.ack) > 0 && distance(server_next_, segment.ack) <= 0) {
    phase_ = Phase::kOpen;
  }
  if (segment.has(kRst) && !segment.payload.empty()) return "a RST with data left";
  if (!segment.has(kRst) && !segment.has(kAck)) return "a segment without ACK left";
  // The engine resets what nobody opened; a server may be reset by the number that it named.
  const bool known = client_isns_.contains(segment.seq - 1) || server_acks_.contains(segment.seq);
  if (from_nobody && segment.has(kRst) && !known && !replies_) return "a RST of no SYN left";
  // Behind its own reset the appliance speaks to the client in the server's place.
  if (from_nobody && segment.has(kRst) && replies_) phase_ = Phase::kLost;
  if (from_nobody && phase_ != Phase::kOpen && !segment.has(kRst) && !completed_) {
    return "a segment left before the handshake's end";
  }
  if (phase_ == Phase::kOpen) return check_numbers(segment);
  // With an old acknowledgement, behind one that completed the handshake and waits.
  const auto end = segment.seq + static_cast<std::uint32_t>(segment.payload.size());
  if (phase_ == Phase::kAnswered && takes_place && distance(highest_, end) > 0) highest_ = end;
  return "";
}

std::string WireMonitor::check_numbers(const Tcp& segment) {
  const auto length = static_cast<std::uint32_t>(segment.payload.size());
  // Of a connection that is gone the engine resets what acknowledges nothing at 0, with whatever
  // number it has for its acknowledgement (RFC 9293 section 3.10.7.1): no server heeds it.
  if (replies_ && segment.has(kRst) && segment.has(kAck) && segment.seq == 0) return "";
  if (segment.has(kAck) && distance(server_next_, segment.ack) > 0) {
    return "an acknowledgement of what the server never sent left";
  }
  if (segment.has(kRst)) {
    // The engine resets what it has ended at the number that the server's segment names.
    if (replies_ && !segment.has(kAck) && server_acks_.contains(segment.seq)) return "";
    const bool inside = distance(una_, segment.seq) >= 0 && distance(segment.seq, highest_) >= 0;
    // Behind its own reset the appliance speaks to the client in the server's place.
    if (inside && replies_) phase_ = Phase::kLost;
    return inside ? ""
                  : "a RST at " + std::to_string(segment.seq) + " outside the unacknowledged " +
                        std::to_string(una_) + " to " + std::to_string(highest_) + " left";
  }
  if (segment.has(kAck)) {
    const std::uint32_t old = std::max(kOldAckBytes, client_window_max_);
    if (distance(segment.ack, client_acked_) > static_cast<std::int32_t>(old)) {
      return "an acknowledgement far below the newest left";
    }
    if (distance(client_acked_, segment.ack) > 0) client_acked_ = segment.ack;
    client_window_max_ =
        std::max(client_window_max_, std::uint32_t{segment.window} << std::max(client_scale_, 0));
  }
  if (distance(segment.seq + length, una_) > static_cast<std::int32_t>(kOldDataBytes)) {
    return "data far below the acknowledged left";
  }
  // A probe of a closed window is one segment at most.
  if (distance(edge_, segment.seq + length) > 1460) return "data beyond the window left";
  if (length != 0 && segment.timestamps && timestamps_ && !held_) {
    if (have_newest_ && distance(newest_, segment.ts_value) < -1) return "an old timestamp left";
    const bool in_order = distance(segment.seq, una_) >= 0;
    if (in_order && (!have_newest_ || distance(newest_, segment.ts_value) > 0)) {
      newest_ = segment.ts_value;
      have_newest_ = true;
    }
  }
  const std::uint32_t end = segment.seq + length + (segment.has(kFin) ? 1 : 0);
  // A bare acknowledgement takes no place, wherever it stands.
  if (end != segment.seq && distance(highest_, end) > 0) highest_ = end;
  const std::string wrong = check_end(segment);
  return wrong.empty() ? check_bytes(segment) : wrong;
}

std::string WireMonitor::to_client(const Tcp& segment) {
  if (!segment.has(kAck) && !segment.has(kRst)) return "a segment of the server without ACK left";
  if (segment.has(kSyn)) {
    if (!segment.payload.empty()) return "a SYN-ACK with data left";
    if (!client_isns_.contains(segment.ack - 1)) return "a SYN-ACK of no SYN left";
    if (phase_ == Phase::kReopened) phase_ = Phase::kLost;
    if (phase_ == Phase::kOpen && segment.ack == client_isn_ + 1 && segment.seq != server_isn_) {
      return "another SYN-ACK left";
    }
    if (phase_ == Phase::kFirst && segment.ack == client_isn_ + 1) {
      phase_ = Phase::kAnswered;
      server_isn_ = segment.seq;
      server_next_ = segment.seq + 1;
      timestamps_ = client_timestamps_ && segment.timestamps;
      server_scale_ = client_scale_ >= 0 && segment.window_scale >= 0 ? segment.window_scale : 0;
      una_ = highest_ = server_has_ = client_isn_ + 1;
      client_acked_ = server_next_;
      edge_ = una_ + segment.window;
    } else if (segment.seq != server_isn_) {
      phase_ = Phase::kLost;
    }
    return "";
  }
  const bool has_data = !segment.payload.empty() || segment.has(kFin);
  if (phase_ == Phase::kAnswered && has_data && !completed_ && !segment.has(kRst)) {
    return "data of the server left before the handshake's end";
  }
  if (phase_ == Phase::kFirst || phase_ == Phase::kLost || segment.has(kRst)) return "";
  const auto length = static_cast<std::uint32_t>(segment.payload.size());
  const std::uint32_t end = segment.seq + length + (segment.has(kFin) ? 1 : 0);
  if (distance(server_next_, end) > 0) server_next_ = end;
  if (!segment.has(kAck)) return "";
  // The appliance's own reply acknowledges what it has kept to itself, and the server never did.
  const bool replied =
      replies_ && (phase_ == Phase::kOpen || completed_) && !server_acks_.contains(segment.ack);
  if (distance(highest_, segment.ack) > 0 && !replied) {
    return "the server's acknowledgement of what never left, left";
  }
  if (distance(una_, segment.ack) > 0 && !replied) una_ = segment.ack;
  const std::uint32_t edge = segment.ack + (std::uint32_t{segment.window} << server_scale_);
  if (distance(edge_, edge) > 0) edge_ = edge;
  return "";
}

}  // namespace sluice::sim
