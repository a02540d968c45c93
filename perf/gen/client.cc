// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/client.h"

#include <algorithm>
#include <string_view>

namespace sluice::gen {
namespace {

constexpr std::uint32_t kStartsPerCall = 64;
/// Frames kept free for answers to what arrives.
constexpr std::uint32_t kRoomToStart = 512;

}  // namespace

Client::Client(const Script& script, const AddressPlan& plan, const Options& options,
               Transmitter& transmitter)
    : script_(script),
      plan_(plan),
      options_(options),
      transmitter_(transmitter),
      connections_(plan.connections),
      timers_(plan.connections),
      scratch_(RequestTemplate::kBytesMax) {
  idle_.entries.resize(plan.connections);
  closed_.entries.resize(plan.connections);
  for (std::uint32_t slot = 0; slot < plan.connections; ++slot) closed_.push(slot);
}

// --- Sending ------------------------------------------------------------------------------------

void Client::send(std::uint32_t slot, std::uint8_t flags, std::uint32_t sequence, base::Nanos now) {
  Connection& c = connections_[slot];
  const bool syn = (flags & net::kSyn) != 0;
  std::uint8_t* frame = transmitter_.next(frame_bytes(syn, 0));
  if (frame == nullptr) return;
  const OutSegment out{.source = plan_.address(slot),
                       .destination = plan_.server,
                       .source_port = c.port,
                       .destination_port = plan_.server_port,
                       .sequence = sequence,
                       .acknowledgment = (flags & net::kAck) != 0 ? c.receive_next : 0,
                       .timestamp = timestamp_of(now),
                       .echo = c.echo,
                       .window = static_cast<std::uint16_t>(
                           syn ? 65535U : std::min(65535U, kReceiveWindow >> kWindowScale)),
                       .mss = static_cast<std::uint16_t>(options_.mss + kTimestampBytes),
                       .flags = flags};
  write_segment(frame, kToServer, out, {}, {});
  c.unacknowledged = 0;
}

void Client::acknowledge(std::uint32_t slot, base::Nanos now) {
  send(slot, net::kAck, connections_[slot].send_next, now);
}

void Client::send_fin(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  send(slot, net::kFin | net::kAck, c.send_next, now);
  ++c.send_next;
  c.flags |= kFinSent;
  c.state = State::kClosing;
  c.retries = 0;
  c.resend = now + kRetransmitNanos;
  timers_.arm(slot, timers_.now() + 50);
}

void Client::open(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  const std::uint32_t openings = c.openings + 1;
  const bool queued = c.queued;
  c = Connection{};
  c.openings = openings;
  c.queued = queued;
  c.port = plan_.port(slot, openings);
  // RFC 6528: a clock of 4 µs plus a hash of the addresses.
  c.send_una = static_cast<std::uint32_t>(now / 4000) +
               static_cast<std::uint32_t>(mix(static_cast<std::uint64_t>(slot) << 16 | c.port));
  c.key = Script::connection_key(plan_.address(slot), c.port, c.send_una);
  c.state = State::kSynSent;
  c.syn = now;
  c.flags = kFirst;
  send(slot, net::kSyn, c.send_una, now);
  c.send_next = c.send_una + 1;
  c.resend = now + kRetransmitNanos;
  timers_.arm(slot, timers_.now() + 50);
  ++open_;
  ++stats_.connections_tried;
}

void Client::send_request(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  const RequestTemplate& request = script_.request(c.step);
  char digits[RequestTemplate::kDigits];
  write_digits(c.step.number, digits);
  const auto total = static_cast<std::uint32_t>(request.bytes.size());
  const std::uint32_t start = c.send_next - total;  // the caller has moved send_next on
  const bool whole = c.send_una == start && total <= options_.mss;
  base::Bytes bytes = request.bytes;
  if (!whole) {
    std::memcpy(scratch_.data(), request.bytes.data(), total);
    request.fill(scratch_.data(), digits);
    bytes = {scratch_.data(), total};
  }
  for (std::uint32_t at = c.send_una - start; at < total; at += options_.mss) {
    const base::Bytes piece = bytes.subspan(at, std::min(options_.mss, total - at));
    std::uint8_t* frame = transmitter_.next(frame_bytes(false, piece.size()));
    if (frame == nullptr) return;
    net::ChecksumSum sum;
    if (whole) {
      sum = request.sum(digits);
    } else {
      net::add_bytes(sum, piece);
    }
    const std::uint8_t push = at + piece.size() == total ? net::kPsh : 0;
    const OutSegment out{.source = plan_.address(slot),
                         .destination = plan_.server,
                         .source_port = c.port,
                         .destination_port = plan_.server_port,
                         .sequence = start + at,
                         .acknowledgment = c.receive_next,
                         .timestamp = timestamp_of(now),
                         .echo = c.echo,
                         .window = kReceiveWindow >> kWindowScale,
                         .mss = 0,
                         .flags = static_cast<std::uint8_t>(net::kAck | push)};
    write_segment(frame, kToServer, out, piece, sum);
    if (whole) request.fill(frame + kHeaderBytes, digits);
  }
  c.unacknowledged = 0;
}

void Client::begin(std::uint32_t slot, base::Nanos due, base::Nanos now) {
  Connection& c = connections_[slot];
  c.due = due;
  c.flags &= static_cast<std::uint8_t>(~(kMeasured | kAttack | kPending));
  c.step = script_.step(c.key, c.index);
  if (measuring_) c.flags |= kMeasured;
  if (c.step.attack) c.flags |= kAttack;
  if (c.state != State::kIdle) {
    c.flags |= kPending;
    return;
  }
  c.state = State::kWaiting;
  c.offset = 0;
  c.send_next += static_cast<std::uint32_t>(script_.request(c.step).bytes.size());
  c.retries = 0;
  c.resend = now + kRetransmitNanos;
  send_request(slot, now);
  timers_.arm(slot, timers_.now() + 50);
  ++stats_.requests;
}

// --- What to do next ----------------------------------------------------------------------------

bool Client::start(base::Nanos due, base::Nanos now) {
  if (transmitter_.room() < kRoomToStart) return false;
  while (!idle_.empty()) {
    const std::uint32_t slot = idle_.pop();
    connections_[slot].queued = false;
    // A connection may have been closed while it stood in the queue.
    if (connections_[slot].state != State::kIdle) continue;
    begin(slot, due, now);
    return true;
  }
  if (closed_.empty()) return false;
  const std::uint32_t slot = closed_.pop();
  open(slot, now);
  begin(slot, due, now);
  return true;
}

bool Client::open_idle(base::Nanos now) {
  if (closed_.empty() || transmitter_.room() < kRoomToStart) return false;
  open(closed_.pop(), now);
  return true;
}

void Client::keep_busy(std::uint32_t connections, base::Nanos now) {
  busy_target_ = connections;
  for (std::uint32_t i = 0; i < kStartsPerCall && open_ < busy_target_; ++i) {
    if (closed_.empty() || transmitter_.room() < kRoomToStart) return;
    const std::uint32_t slot = closed_.pop();
    open(slot, now);
    begin(slot, now, now);
  }
}

bool Client::drain(base::Nanos now) {
  draining_ = true;
  for (std::uint32_t i = 0; i < kStartsPerCall && !idle_.empty(); ++i) {
    if (transmitter_.room() < kRoomToStart) break;
    const std::uint32_t slot = idle_.pop();
    connections_[slot].queued = false;
    if (connections_[slot].state == State::kIdle) send_fin(slot, now);
  }
  return open_ == 0;
}

void Client::abandon(base::Nanos now) {
  draining_ = true;
  for (std::uint32_t slot = 0; slot < plan_.connections; ++slot) {
    Connection& c = connections_[slot];
    const bool waits = c.state == State::kWaiting || (c.flags & kPending) != 0;
    if (waits) count(c, Outcome::kTimeout);
    if (c.state != State::kClosed) release(slot, now);
  }
}

void Client::count(Connection& c, Outcome outcome) {
  const auto index = static_cast<std::size_t>(outcome);
  const bool attack = (c.flags & kAttack) != 0;
  ++(attack ? stats_.attacks : stats_.honest)[index];
  if ((c.flags & kMeasured) != 0) {
    ++(attack ? stats_.measured_attacks : stats_.measured_honest)[index];
  }
  c.flags &= static_cast<std::uint8_t>(~(kMeasured | kAttack | kPending | kFirst));
}

void Client::after_response(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  ++c.index;
  c.state = State::kIdle;
  const bool last = options_.keepalive != 0 && c.index >= options_.keepalive;
  if (last || draining_ || (options_.closed_loop && open_ > busy_target_)) {
    send_fin(slot, now);
  } else if (options_.closed_loop) {
    begin(slot, now, now);
  } else {
    acknowledge(slot, now);
    rest(slot);
  }
}

/// Puts an idle connection in the queue, once: one that was reset there is still in it.
void Client::rest(std::uint32_t slot) {
  Connection& c = connections_[slot];
  if (c.queued) return;
  c.queued = true;
  idle_.push(slot);
}

void Client::abort(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  send(slot, net::kRst | net::kAck, c.send_next, now);
  release(slot, now);
}

void Client::release(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  const bool orderly = (c.flags & (kFinSent | kFinReceived)) == (kFinSent | kFinReceived);
  if (c.state == State::kSynSent) {
    ++stats_.connections_failed;
  } else {
    ++(orderly ? stats_.connections_closed : stats_.connections_aborted);
    --stats_.established;
  }
  c.state = State::kClosed;
  c.flags = 0;
  --open_;
  if (options_.closed_loop && !draining_ && open_ < busy_target_) {
    open(slot, now);
    begin(slot, now, now);
  } else {
    closed_.push(slot);
  }
}

// --- Timers -------------------------------------------------------------------------------------

void Client::tick(base::Nanos now) {
  timers_.advance(now, [&](std::uint32_t slot) { return fire(slot, now); });
}

std::uint32_t Client::fire(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  if (c.state == State::kClosed || c.state == State::kIdle) return 0;
  const std::uint32_t openings = c.openings;
  if (c.state == State::kWaiting && now > c.due + options_.timeout && now > c.resend) {
    count(c, Outcome::kTimeout);
    abort(slot, now);
  } else if (c.send_una != c.send_next && now >= c.resend) {
    if (c.retries == kRetriesMax) {
      if (c.state == State::kWaiting || (c.flags & kPending) != 0) count(c, Outcome::kTimeout);
      abort(slot, now);
    } else {
      ++c.retries;
      ++stats_.retransmitted;
      c.resend = now + (kRetransmitNanos << c.retries);
      if (c.state == State::kSynSent) {
        send(slot, net::kSyn, c.send_una, now);
      } else if (c.state == State::kWaiting) {
        send_request(slot, now);
      } else {
        send(slot, net::kFin | net::kAck, c.send_next - 1, now);
      }
    }
  } else if (c.send_una == c.send_next && c.state != State::kWaiting &&
             now >= c.resend + options_.timeout) {
    abort(slot, now);  // a refusal or an end whose last part never comes
  }
  const bool active = c.openings != openings || c.state != State::kClosed;
  return active ? timers_.now() + 50 : 0;
}

}  // namespace sluice::gen
