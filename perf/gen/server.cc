// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/server.h"

#include <algorithm>

namespace sluice::gen {
namespace {

constexpr std::uint32_t kInitialSegments = 10;   // RFC 6928
constexpr std::uint8_t kDuplicatesToResend = 3;  // RFC 5681
/// Frames kept free for answers to what arrives.
constexpr std::uint32_t kRoomToSend = 256;

}  // namespace

Server::Server(const Script& script, const AddressPlan& plan, const Options& options,
               Transmitter& transmitter)
    : script_(script),
      plan_(plan),
      options_(options),
      transmitter_(transmitter),
      connections_(plan.connections),
      timers_(plan.connections) {
  waiting_.reserve(plan.connections);
  for (const RequestTemplate& request : script.requests()) filled_.push_back(request.bytes);
}

void Server::send(std::uint32_t slot, std::uint8_t flags, std::uint32_t sequence, base::Nanos now) {
  const Connection& c = connections_[slot];
  const bool syn = (flags & net::kSyn) != 0;
  std::uint8_t* frame = transmitter_.next(frame_bytes(syn, 0));
  if (frame == nullptr) return;
  const OutSegment out{
      .source = plan_.server,
      .destination = plan_.address(slot),
      .source_port = plan_.server_port,
      .destination_port = c.port,
      .sequence = sequence,
      .acknowledgment = c.receive_next,
      .timestamp = timestamp_of(now),
      .echo = c.echo,
      .window = static_cast<std::uint16_t>(syn ? 65535U : kReceiveWindow >> kWindowScale),
      .mss = static_cast<std::uint16_t>(options_.mss + kTimestampBytes),
      .flags = flags};
  write_segment(frame, kToClient, out, {}, {});
}

/// Continues the response as far as the windows and the port's queue let it.
void Server::pump(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  const ResponseObject& object = script_.object(c.step);
  const std::uint32_t end = c.response_start + c.response_bytes;
  const bool was_quiet = c.send_una == c.send_next;
  while (before(c.send_next, end)) {
    const std::uint32_t at = c.send_next - c.response_start;
    const std::uint32_t bytes = std::min<std::uint32_t>(c.mss, c.response_bytes - at);
    if (c.send_next - c.send_una + bytes > std::min(c.window, c.peer_window)) break;
    if (transmitter_.room() < kRoomToSend) {
      if (!c.waiting) waiting_.push_back(slot);
      c.waiting = true;
      break;
    }
    std::uint8_t* frame = transmitter_.next(frame_bytes(false, bytes));
    if (frame == nullptr) break;
    const base::Bytes piece = base::Bytes(object.bytes).subspan(at, bytes);
    net::ChecksumSum sum;
    if (c.mss == options_.mss && at % c.mss == 0) {
      sum = object.segment_sums[at / c.mss];
    } else {
      net::add_bytes(sum, piece);
    }
    const bool last = at + bytes == c.response_bytes;
    const OutSegment out{
        .source = plan_.server,
        .destination = plan_.address(slot),
        .source_port = plan_.server_port,
        .destination_port = c.port,
        .sequence = c.send_next,
        .acknowledgment = c.receive_next,
        .timestamp = timestamp_of(now),
        .echo = c.echo,
        .window = kReceiveWindow >> kWindowScale,
        .mss = 0,
        .flags = static_cast<std::uint8_t>(last ? net::kAck | net::kPsh : net::kAck)};
    write_segment(frame, kToClient, out, piece, sum);
    c.send_next += bytes;
    if (before(c.send_max, c.send_next)) {
      c.send_max = c.send_next;
      stats_.body_bytes += bytes;
    } else {
      ++stats_.retransmitted;
    }
  }
  if (was_quiet && c.send_una != c.send_next) {
    c.resend = now + kRetransmitNanos;
    timers_.arm(slot, timers_.now() + 50);
  }
}

void Server::respond(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  ++stats_.responses;
  c.response_start = c.send_next;
  c.response_bytes = static_cast<std::uint32_t>(script_.object(c.step).bytes.size());
  c.retries = 0;
  pump(slot, now);
}

void Server::close(std::uint32_t slot) {
  Connection& c = connections_[slot];
  if (c.state == State::kOpen && c.offset != 0) ++stats_.requests_cut;
  c.state = State::kClosed;
}

// --- Receiving ----------------------------------------------------------------------------------

void Server::receive(std::span<const base::Bytes> frames, base::Nanos now) {
  std::array<InSegment, 64> segments;
  std::array<std::uint32_t, 64> slots;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    slots[i] = AddressPlan::kNone;
    if (!read_segment(frames[i], segments[i])) {
      segments[i].payload = nullptr;
      continue;
    }
    slots[i] = plan_.slot(segments[i].source, segments[i].source_port);
    if (slots[i] == AddressPlan::kNone) continue;
    const Connection* c = &connections_[slots[i]];
    __builtin_prefetch(c);
    __builtin_prefetch(reinterpret_cast<const char*>(c) + 64);
  }
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const InSegment& in = segments[i];
    if (slots[i] == AddressPlan::kNone || in.destination != plan_.server ||
        in.destination_port != plan_.server_port) {
      take_noise(frames[i], in.payload == nullptr ? nullptr : &in, now);
    } else {
      receive_one(slots[i], in, now);
    }
  }
}

void Server::take_noise(const base::Bytes& frame, const InSegment* in, base::Nanos now) {
  const int kind = malformation_of(frame);
  if (kind >= 0) {
    ++stats_.malformed[static_cast<std::size_t>(kind)];
  } else if (in == nullptr) {
    ++stats_.foreign;
  } else if (is_flood_address(in->source) && in->has(net::kSyn)) {
    ++stats_.flood_syns;
    answer_flood(*in, transmitter_, now);
  } else {
    ++stats_.strays;
  }
}

/// RST to a segment of no connection (RFC 9293 section 3.10.7.1).
void Server::refuse(const InSegment& in, base::Nanos now) {
  ++stats_.strays;
  if (in.has(net::kRst)) return;
  std::uint8_t* frame = transmitter_.next(frame_bytes(false, 0));
  if (frame == nullptr) return;
  const OutSegment out{.source = in.destination,
                       .destination = in.source,
                       .source_port = in.destination_port,
                       .destination_port = in.source_port,
                       .sequence = in.acknowledgment,
                       .acknowledgment = in.sequence + in.payload_bytes,
                       .timestamp = timestamp_of(now),
                       .echo = in.timestamp,
                       .window = 0,
                       .mss = 0,
                       .flags = net::kRst | net::kAck};
  write_segment(frame, kToClient, out, {}, {});
}

void Server::accept(std::uint32_t slot, const InSegment& in, base::Nanos now) {
  Connection& c = connections_[slot];
  const bool again = c.state == State::kSynReceived && c.port == in.source_port &&
                     c.receive_next == in.sequence + 1;
  if (!again) {
    close(slot);
    const bool waiting = c.waiting;
    c = Connection{};
    c.waiting = waiting;
    c.port = in.source_port;
    c.key = Script::connection_key(in.source, in.source_port, in.sequence);
    c.receive_next = in.sequence + 1;
    c.send_una = static_cast<std::uint32_t>(mix(c.key));
    c.send_next = c.send_max = c.recover = c.send_una + 1;
    const auto offered = std::uint32_t{in.mss} - std::min<std::uint32_t>(in.mss, kTimestampBytes);
    c.mss = static_cast<std::uint16_t>(std::clamp(offered, 64U, options_.mss));
    c.window = kInitialSegments * c.mss;
    c.threshold = options_.window_segments_max * c.mss;
    c.peer_scale = std::min<std::uint8_t>(in.window_scale, 14);
    c.peer_window = in.window;
    c.echo = in.timestamp;
    c.state = State::kSynReceived;
  }
  send(slot, net::kSyn | net::kAck, c.send_una, now);
  c.resend = now + kRetransmitNanos;
  timers_.arm(slot, timers_.now() + 50);
}

base::Bytes Server::expected(const Step& step) {
  std::vector<std::uint8_t>& bytes = filled_[step.request];
  char digits[RequestTemplate::kDigits];
  write_digits(step.number, digits);
  script_.request(step).fill(bytes.data(), digits);
  return bytes;
}

/// Whether the TCP checksum is right. A whole request in one segment has a sum known beforehand.
bool Server::payload_right(const Connection& c, const InSegment& in) {
  if (in.payload_bytes == 0) return in.checksum_right({});
  if (c.state == State::kOpen && c.offset == 0 && in.sequence == c.receive_next) {
    const Step step = script_.step(c.key, c.index);
    const base::Bytes whole = expected(step);
    if (whole.size() == in.payload_bytes &&
        std::memcmp(whole.data(), in.payload, whole.size()) == 0) {
      char digits[RequestTemplate::kDigits];
      write_digits(step.number, digits);
      return in.checksum_right(script_.request(step).sum(digits));
    }
  }
  return in.checksum_right();
}

void Server::receive_one(std::uint32_t slot, const InSegment& in, base::Nanos now) {
  Connection& c = connections_[slot];
  if (!payload_right(c, in)) {
    ++stats_.bad_checksums;
    return;
  }
  if (in.has(net::kSyn)) {
    if (!in.has(net::kAck)) accept(slot, in, now);
    return;
  }
  if (c.state == State::kClosed || c.port != in.source_port) return refuse(in, now);
  if (in.has(net::kRst)) {
    if (before(in.sequence, c.receive_next)) return;
    ++stats_.resets;
    return close(slot);
  }
  if (!in.has(net::kAck) || !take_acknowledgment(slot, in, now)) return;
  if (in.has_timestamp && !before(c.receive_next, in.sequence)) c.echo = in.timestamp;
  if (in.payload_bytes != 0) take_request(slot, in, now);
  if (c.state == State::kClosed) return;
  if (in.has(net::kFin)) {
    if (!c.fin_sent && in.sequence + in.payload_bytes == c.receive_next) {
      ++c.receive_next;
      if (c.offset != 0) ++stats_.requests_cut;
      c.offset = 0;
      c.fin_sent = true;
      c.state = State::kClosing;
      c.response_bytes = 0;
      c.retries = 0;
      c.resend = now + kRetransmitNanos;
      timers_.arm(slot, timers_.now() + 50);
      send(slot, net::kFin | net::kAck, c.send_max, now);
      c.send_next = ++c.send_max;
    } else {
      send(slot, net::kAck, c.send_next, now);
    }
  }
}

/// Returns false when the segment is not to be looked at further.
bool Server::take_acknowledgment(std::uint32_t slot, const InSegment& in, base::Nanos now) {
  Connection& c = connections_[slot];
  if (before(c.send_max, in.acknowledgment)) return false;
  c.peer_window = static_cast<std::uint32_t>(in.window) << c.peer_scale;
  if (before(c.send_una, in.acknowledgment)) {
    const std::uint32_t bytes = in.acknowledgment - c.send_una;
    c.send_una = in.acknowledgment;
    if (before(c.send_next, c.send_una)) c.send_next = c.send_una;  // it had come through after all
    if (before(c.recover, c.send_una)) c.recover = c.send_una;
    c.duplicates = 0;
    c.retries = 0;
    c.resend = now + kRetransmitNanos;
    if (c.state == State::kSynReceived) {
      c.state = State::kOpen;
      ++stats_.connections;
      return true;
    }
    if (c.state == State::kClosing && c.send_una == c.send_next) {
      close(slot);
      return false;
    }
    // Slow start, then one segment a window (RFC 5681 section 3.1).
    const std::uint32_t growth =
        c.window < c.threshold ? bytes : std::uint32_t{c.mss} * c.mss / c.window;
    c.window = std::min(c.window + growth, options_.window_segments_max * c.mss);
    pump(slot, now);
    return true;
  }
  if (c.send_una == c.send_next || in.payload_bytes != 0 || in.has(net::kFin)) return true;
  if (++c.duplicates == kDuplicatesToResend && !before(c.send_una, c.recover)) {
    ++stats_.fast_retransmits;
    c.recover = c.send_max;
    c.threshold = c.window = std::max(c.window / 2, 4U * c.mss);
    c.send_next = c.send_una;  // all of it again: the other side keeps nothing beyond a gap
    if (c.state == State::kOpen) pump(slot, now);
  }
  return true;
}

void Server::take_request(std::uint32_t slot, const InSegment& in, base::Nanos now) {
  Connection& c = connections_[slot];
  if (c.state != State::kOpen || before(c.receive_next, in.sequence)) {
    ++stats_.out_of_order;
    return send(slot, net::kAck, c.send_next, now);
  }
  const std::uint32_t known = c.receive_next - in.sequence;
  if (known >= in.payload_bytes) return send(slot, net::kAck, c.send_next, now);
  const base::Bytes bytes(in.payload + known, in.payload_bytes - known);
  if (c.offset == 0) c.step = script_.step(c.key, c.index);
  const base::Bytes whole = expected(c.step);
  if (bytes.size() > whole.size() - c.offset ||
      std::memcmp(bytes.data(), whole.data() + c.offset, bytes.size()) != 0) {
    ++stats_.requests_corrupt;
    send(slot, net::kRst | net::kAck, c.send_next, now);
    c.offset = 0;
    return close(slot);
  }
  c.receive_next += static_cast<std::uint32_t>(bytes.size());
  c.offset += static_cast<std::uint32_t>(bytes.size());
  if (c.offset < whole.size()) return send(slot, net::kAck, c.send_next, now);
  ++stats_.requests;
  if (c.step.attack) ++stats_.attacks;
  c.offset = 0;
  ++c.index;
  respond(slot, now);
}

// --- Timers -------------------------------------------------------------------------------------

void Server::tick(base::Nanos now) {
  timers_.advance(now, [&](std::uint32_t slot) { return fire(slot, now); });
  if (waiting_.empty() || transmitter_.room() < kRoomToSend) return;
  // Those that find no room again put themselves back behind the others.
  std::size_t count = waiting_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t slot = waiting_[i];
    connections_[slot].waiting = false;
    if (connections_[slot].state == State::kOpen) pump(slot, now);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
}

std::uint32_t Server::fire(std::uint32_t slot, base::Nanos now) {
  Connection& c = connections_[slot];
  if (c.state == State::kClosed || c.send_una == c.send_next) return 0;
  if (now >= c.resend) {
    if (c.retries == kRetriesMax) {
      close(slot);
      return 0;
    }
    ++c.retries;
    c.resend = now + (kRetransmitNanos << c.retries);
    if (c.state != State::kOpen) ++stats_.retransmitted;
    if (c.state == State::kSynReceived) {
      send(slot, net::kSyn | net::kAck, c.send_una, now);
    } else if (c.state == State::kClosing) {
      send(slot, net::kFin | net::kAck, c.send_next - 1, now);
    } else {
      c.threshold = std::max(c.window / 2, 4U * c.mss);
      c.window = c.mss;
      c.recover = c.send_max;
      c.send_next = c.send_una;
      const base::Nanos resend = c.resend;
      pump(slot, now);
      c.resend = resend;
    }
  }
  return timers_.now() + 50;
}

}  // namespace sluice::gen
