// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <string_view>

#include "perf/gen/client.h"

namespace sluice::gen {
namespace {

constexpr std::uint16_t kAcknowledgeEvery = 2;         // full segments (RFC 9293 section 3.8.6.3)
constexpr std::size_t kStatusAt = 9, kStatusEnd = 12;  // of "HTTP/1.1 200"

}  // namespace

// --- Receiving ----------------------------------------------------------------------------------

void Client::receive(std::span<const base::Bytes> frames, base::Nanos now) {
  std::array<InSegment, 64> segments;
  std::array<std::uint32_t, 64> slots;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    slots[i] = AddressPlan::kNone;
    if (!read_segment(frames[i], segments[i])) {
      ++stats_.foreign;
      segments[i].payload = nullptr;
      continue;
    }
    slots[i] = plan_.slot(segments[i].destination, segments[i].destination_port);
    if (slots[i] == AddressPlan::kNone) continue;
    const Connection* c = &connections_[slots[i]];
    __builtin_prefetch(c);
    __builtin_prefetch(reinterpret_cast<const char*>(c) + 64);
  }
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const InSegment& in = segments[i];
    if (slots[i] == AddressPlan::kNone) {
      stats_.strays += in.payload != nullptr ? 1U : 0U;
      continue;
    }
    const Connection& c = connections_[slots[i]];
    if (c.state == State::kClosed || c.port != in.destination_port) {
      answer_stray(in, now);
    } else {
      receive_one(slots[i], in, now);
    }
  }
}

/// In TIME-WAIT only a repeated FIN is answered (RFC 9293 section 3.10.7.4), here from what the
/// segment itself says; everything else of a gone connection is left alone.
void Client::answer_stray(const InSegment& in, base::Nanos now) {
  ++stats_.strays;
  if (!in.has(net::kFin) || !in.has(net::kAck)) return;
  std::uint8_t* frame = transmitter_.next(frame_bytes(false, 0));
  if (frame == nullptr) return;
  const OutSegment out{.source = in.destination,
                       .destination = in.source,
                       .source_port = in.destination_port,
                       .destination_port = in.source_port,
                       .sequence = in.acknowledgment,
                       .acknowledgment = in.sequence + in.payload_bytes + 1,
                       .timestamp = timestamp_of(now),
                       .echo = in.timestamp,
                       .window = kReceiveWindow >> kWindowScale,
                       .mss = 0,
                       .flags = net::kAck};
  write_segment(frame, kToServer, out, {}, {});
}

void Client::receive_syn_ack(std::uint32_t slot, const InSegment& in, base::Nanos now) {
  Connection& c = connections_[slot];
  if (in.acknowledgment != c.send_next || !in.has(net::kAck)) return;
  if (in.has(net::kRst)) {
    if ((c.flags & kPending) != 0) count(c, Outcome::kReset);
    release(slot, now);
    return;
  }
  if (!in.has(net::kSyn)) return;
  c.send_una = in.acknowledgment;
  c.receive_next = in.sequence + 1;
  c.echo = in.timestamp;
  c.state = State::kIdle;
  ++stats_.connections_made;
  set_established(stats_.established + 1);
  if (measuring_) latency_.connect.record(now - c.syn);
  acknowledge(slot, now);
  if ((c.flags & kPending) != 0) {
    const bool measured = (c.flags & kMeasured) != 0;
    begin(slot, c.due, now);
    // It belongs to the phase in which it was due.
    c.flags = static_cast<std::uint8_t>((c.flags & ~kMeasured) | (measured ? kMeasured : 0));
  } else {
    c.flags &= static_cast<std::uint8_t>(~kFirst);
    rest(slot);
  }
}

void Client::receive_one(std::uint32_t slot, const InSegment& in, base::Nanos now) {
  Connection& c = connections_[slot];
  net::ChecksumSum known;
  const bool right =
      known_payload_sum(c, in, known) ? in.checksum_right(known) : in.checksum_right();
  if (!right) {
    ++stats_.bad_checksums;
    return;
  }
  if (c.state == State::kSynSent) return receive_syn_ack(slot, in, now);
  if (in.has(net::kRst)) {
    if (before(in.sequence, c.receive_next)) return;
    if (c.state == State::kWaiting) count(c, Outcome::kReset);
    return release(slot, now);
  }
  if (in.has(net::kSyn)) return acknowledge(slot, now);  // our acknowledgement was lost
  if (in.has_timestamp && !before(c.receive_next, in.sequence)) c.echo = in.timestamp;
  if (before(c.send_una, in.acknowledgment) && !before(c.send_next, in.acknowledgment)) {
    c.send_una = in.acknowledgment;
    c.retries = 0;
    c.resend = now + kRetransmitNanos;
  }
  const std::uint32_t openings = c.openings;
  if ((in.payload_bytes != 0 || in.has(net::kFin)) && !take_payload(slot, in, now)) return;
  if (c.openings != openings || c.state == State::kClosed) return;
  if (in.has(net::kFin) && (c.flags & kFinReceived) == 0 &&
      in.sequence + in.payload_bytes == c.receive_next) {
    c.flags |= kFinReceived;
    ++c.receive_next;
    if (c.state == State::kWaiting) {
      count(c, Outcome::kReset);  // closed before the response was complete
      return abort(slot, now);
    }
    if ((c.flags & kFinSent) == 0) {
      send_fin(slot, now);
    } else {
      acknowledge(slot, now);
    }
  }
  if ((c.flags & kFinSent) != 0 && (c.flags & kFinReceived) != 0 && c.send_una == c.send_next) {
    release(slot, now);
  }
}

/// Payload that matches the expected response at a segment's border has a sum known beforehand, so
/// its checksum is verified without adding its bytes up.
bool Client::known_payload_sum(const Connection& c, const InSegment& in,
                               net::ChecksumSum& sum) const {
  if (in.payload_bytes == 0) return true;
  if (c.state != State::kWaiting || in.sequence != c.receive_next) return false;
  const ResponseObject& object = script_.object(c.step);
  if (c.offset % options_.mss != 0 || c.offset >= object.bytes.size()) return false;
  const std::size_t left = object.bytes.size() - c.offset;
  if (in.payload_bytes != std::min<std::size_t>(options_.mss, left)) return false;
  if (std::memcmp(in.payload, object.bytes.data() + c.offset, in.payload_bytes) != 0) return false;
  sum = object.segment_sums[c.offset / options_.mss];
  return true;
}

/// In-order bytes go on to the response; the rest is answered with what we expect. Returns false
/// when the segment's FIN must not be looked at.
bool Client::take_payload(std::uint32_t slot, const InSegment& in, base::Nanos now) {
  Connection& c = connections_[slot];
  if (before(c.receive_next, in.sequence)) {
    ++stats_.out_of_order;
    acknowledge(slot, now);
    return false;
  }
  const std::uint32_t known = c.receive_next - in.sequence;
  if (known > in.payload_bytes || (known == in.payload_bytes && !in.has(net::kFin))) {
    ++stats_.duplicates;
    acknowledge(slot, now);
    return false;
  }
  const base::Bytes fresh(in.payload + known, in.payload_bytes - known);
  if (fresh.empty()) return true;
  c.receive_next += static_cast<std::uint32_t>(fresh.size());
  take_response(slot, fresh, now);
  return true;
}

void Client::take_response(std::uint32_t slot, base::Bytes bytes, base::Nanos now) {
  Connection& c = connections_[slot];
  if (c.state == State::kRefused || c.state == State::kClosing) return acknowledge(slot, now);
  if (c.state == State::kIdle) return abort(slot, now);  // nothing was asked
  const ResponseObject& object = script_.object(c.step);
  if (c.offset == 0 && (c.flags & kMeasured) != 0) {
    latency_.first_byte.record(now - c.due);
    if ((c.flags & kFirst) != 0) latency_.first_byte_syn.record(now - c.syn);
  }
  if (bytes.size() > object.bytes.size() - c.offset ||
      std::memcmp(bytes.data(), object.bytes.data() + c.offset, bytes.size()) != 0) {
    return take_refusal(slot, bytes, now);
  }
  c.offset += static_cast<std::uint32_t>(bytes.size());
  stats_.body_bytes += bytes.size();
  if (c.offset < object.bytes.size()) {
    if (++c.unacknowledged >= kAcknowledgeEvery) acknowledge(slot, now);
    return;
  }
  if ((c.flags & kMeasured) != 0) latency_.last_byte.record(now - c.due);
  count(c, Outcome::kServed);
  after_response(slot, now);
}

/// Another response than the server's: whose status says how it was refused.
void Client::take_refusal(std::uint32_t slot, base::Bytes bytes, base::Nanos now) {
  Connection& c = connections_[slot];
  // What came before agreed with the expected response, so that is where its text is.
  std::array<char, kStatusEnd> head{};
  const std::vector<std::uint8_t>& expected = script_.object(c.step).bytes;
  for (std::size_t i = 0; i < head.size(); ++i) {
    const std::size_t at = i - std::min<std::size_t>(i, c.offset);
    if (i < c.offset) {
      head[i] = static_cast<char>(expected[i]);
    } else if (at < bytes.size()) {
      head[i] = static_cast<char>(bytes[at]);
    }
  }
  unsigned status = 0;
  for (std::size_t i = kStatusAt; i < kStatusEnd; ++i) {
    if (head[i] < '0' || head[i] > '9') {
      status = 0;
      break;
    }
    status = status * 10 + static_cast<unsigned>(head[i] - '0');
  }
  if (!std::string_view(head.data(), 7).starts_with("HTTP/1.") || status < 300 || status > 599) {
    count(c, Outcome::kCorrupt);
    return abort(slot, now);
  }
  ++stats_.statuses[status];
  const std::string_view text = base::as_text(bytes);
  if (text.find("X-Sluice-Event:") != std::string_view::npos) ++stats_.refusals_with_event;
  count(c, Outcome::kRefused);
  c.state = State::kRefused;
  acknowledge(slot, now);
}

}  // namespace sluice::gen
