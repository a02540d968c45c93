// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/stream/handshake.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/abi/limits.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/check.h"
#include "dataplane/net/craft.h"
#include "dataplane/stream/tcp_connection.h"

namespace sluice::stream {
namespace {

using abi::Reason;

constexpr std::size_t kWays = 8;
/// Two SYNs of different sequence numbers may wait for the server's choice (evasion TS5).
constexpr std::size_t kSynVariants = 2;
/// As far beyond the window as a probe may lie (evasion TS24).
constexpr std::uint32_t kBeyondWindowBytes = 1460;
/// RFC 7323 section 2.3.
constexpr std::uint8_t kWindowScaleMax = 14;

SynOptions options_of(const net::ParsedPacket& packet) {
  using Present = net::TcpOptions::Present;
  const net::TcpOptions& sent = packet.options;
  SynOptions options;
  options.window = packet.window;
  if (sent.has(Present::kMss)) options.mss = sent.mss;
  options.has_window_scale = sent.has(Present::kWindowScale);
  options.window_scale = std::min(sent.window_scale, kWindowScaleMax);
  options.sack = sent.has(Present::kSackPermitted);
  options.timestamps = sent.has(Present::kTimestamp);
  options.timestamp_value = sent.timestamp_value;
  return options;
}

/// What the server may have read, of a SYN that came more than once: its SYN-ACK says which options
/// it took, so any that was offered may hold. False: two scales, of which the answer names neither.
bool merge(SynOptions& known, const SynOptions& again) {
  if (known.has_window_scale && again.has_window_scale &&
      known.window_scale != again.window_scale) {
    return false;
  }
  if (again.has_window_scale) known.window_scale = again.window_scale;
  known.has_window_scale = known.has_window_scale || again.has_window_scale;
  known.sack = known.sack || again.sack;
  if (again.timestamps) known.timestamp_value = again.timestamp_value;
  known.timestamps = known.timestamps || again.timestamps;
  known.mss = std::min(known.mss, again.mss);
  known.window = std::min(known.window, again.window);
  return true;
}

HandshakeOutcome forward(Reason changed = Reason::kNone) {
  return {HandshakeFate::kForward, changed, {}};
}
/// Without urgent pointers, reserved bits, options that the engine does not know and tiny segment
/// sizes. In monitor as it came, and the reason says what would have been changed.
HandshakeOutcome forward_clean(Segment& segment) {
  const net::ParsedPacket& packet = segment.packet;
  const bool tiny = packet.has_flag(net::kSyn) && packet.options.has(net::TcpOptions::kMss) &&
                    packet.options.mss < net::kMssMin;
  if (segment.enforce && net::needs_normalising(packet)) {
    net::normalise(segment.frame, segment.packet);
  }
  return forward(tiny ? Reason::kTcpMss : Reason::kNone);
}
HandshakeOutcome pass() { return {HandshakeFate::kPass, Reason::kNone, {}}; }
/// What is not sound is dropped; in monitor it passes and the reason says so.
HandshakeOutcome drop(const Segment& segment, Reason reason) {
  return {segment.enforce ? HandshakeFate::kDrop : HandshakeFate::kForward, reason, {}};
}

void cut_payload(Segment& segment) { net::trim_payload(segment.frame, segment.packet, 0); }

}  // namespace

struct HandshakeTable::Entry {
  struct Syn {
    std::uint32_t isn;
    SynOptions options;
  };
  std::uint32_t tag = 0;  ///< of the hash, never 0; 0: free
  std::uint8_t syn_count = 0;
  std::uint8_t answered = 0;  ///< which SYN the server acknowledged
  bool has_server = false;
  bool challenged = false;  ///< the server answered with a bare acknowledgement
  base::Nanos seen = 0;
  flow::FlowKey key;
  Syn client[kSynVariants] = {};
  Syn server = {};
  std::uint32_t challenge = 0;  ///< what that acknowledged

  [[nodiscard]] int find_syn(std::uint32_t isn) const {
    for (int i = 0; i < syn_count; ++i) {
      if (client[i].isn == isn) return i;
    }
    return -1;
  }
};

std::size_t HandshakeTable::memory_bytes(std::size_t entries_max) {
  return std::bit_ceil(std::max(entries_max, kWays)) * sizeof(Entry) + abi::kCacheLineBytes +
         base::Arena::kGapBytesMax;
}

HandshakeTable::HandshakeTable(std::span<std::uint8_t> memory, std::size_t entries_max) {
  const std::size_t count = std::bit_ceil(std::max(entries_max, kWays));
  base::Arena arena(memory);
  entries_ = arena.allocate_array<Entry>(count);
  SLUICE_CHECK(entries_ != nullptr);
  for (std::size_t i = 0; i < count; ++i) new (&entries_[i]) Entry();
  set_mask_ = count / kWays - 1;
}

HandshakeTable::Entry* HandshakeTable::find(const flow::FlowKey& key, std::uint64_t hash,
                                            base::Nanos now) {
  Entry* set = entries_ + (hash & set_mask_) * kWays;
  const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 32) | 1U;
  for (std::size_t way = 0; way < kWays; ++way) {
    Entry& entry = set[way];
    if (entry.tag != tag || !(entry.key == key)) continue;
    if (now - entry.seen <= abi::kHandshakeTimeoutNs) return &entry;
    free(entry);
    return nullptr;
  }
  return nullptr;
}

HandshakeTable::Entry& HandshakeTable::take(const flow::FlowKey& key, std::uint64_t hash,
                                            base::Nanos now) {
  Entry* set = entries_ + (hash & set_mask_) * kWays;
  Entry* chosen = set;
  for (std::size_t way = 0; way < kWays; ++way) {
    if (set[way].tag == 0) {
      chosen = &set[way];
      break;
    }
    if (set[way].seen < chosen->seen) chosen = &set[way];
  }
  if (chosen->tag == 0) {
    ++used_;
  } else if (now - chosen->seen <= abi::kHandshakeTimeoutNs) {
    ++displaced_;
  }
  *chosen = Entry();
  chosen->tag = static_cast<std::uint32_t>(hash >> 32) | 1U;
  chosen->key = key;
  return *chosen;
}

void HandshakeTable::free(Entry& entry) {
  entry.tag = 0;
  --used_;
}

HandshakeOutcome HandshakeTable::on_segment(Direction direction, const flow::FlowKey& key,
                                            std::uint64_t hash, Segment& segment,
                                            Connection* existing) {
  const net::ParsedPacket& packet = segment.packet;
  if (packet.has_flag(net::kSyn)) {
    constexpr std::uint8_t kNeverWithSyn = net::kFin | net::kRst | net::kUrg;
    if ((packet.tcp_flags & kNeverWithSyn) != 0) return drop(segment, Reason::kTcpFlags);
    if (!packet.has_flag(net::kAck)) return on_syn(direction, key, hash, segment, existing);
    return on_syn_ack(direction, find(key, hash, segment.now), segment, existing);
  }
  Entry* entry = find(key, hash, segment.now);
  if (entry == nullptr) return pass();
  return on_other(direction, *entry, segment, existing);
}

HandshakeOutcome HandshakeTable::on_syn(Direction direction, const flow::FlowKey& key,
                                        std::uint64_t hash, Segment& segment,
                                        Connection* existing) {
  // A listening service never sends a SYN of its own from its port: split handshake (TS13) or
  // simultaneous open (TS12).
  if (direction == Direction::kToClient) return drop(segment, Reason::kTcpSplitHandshake);
  net::ParsedPacket& packet = segment.packet;
  if (existing != nullptr &&
      (!existing->closing() || packet.sequence == existing->half(direction).isn)) {
    return drop(segment, Reason::kTcpSynEstablished);
  }
  Entry* entry = find(key, hash, segment.now);
  int variant = -1;
  if (entry != nullptr) {
    variant = entry->find_syn(packet.sequence);
    if (variant < 0 && (entry->has_server || entry->syn_count == kSynVariants)) {
      return drop(segment, Reason::kTcpSynDiffers);
    }
  }
  // Without the option and the data, Fast Open falls back to a plain handshake (TS14, TS15).
  HandshakeOutcome outcome = forward_clean(segment);
  if (packet.payload_bytes != 0) {
    outcome.reason = Reason::kTcpSynData;
    if (segment.enforce) cut_payload(segment);
  }
  if (entry == nullptr) entry = &take(key, hash, segment.now);
  if (variant < 0) {
    entry->client[entry->syn_count++] = {packet.sequence, options_of(packet)};
  } else if (!merge(entry->client[variant].options, options_of(packet))) {
    return drop(segment, Reason::kTcpSynDiffers);
  }
  entry->seen = segment.now;
  if (existing != nullptr) existing->set_reopening();
  return outcome;
}

HandshakeOutcome HandshakeTable::on_syn_ack(Direction direction, Entry* entry, Segment& segment,
                                            const Connection* existing) {
  net::ParsedPacket& packet = segment.packet;
  // State comes from the client's SYN and the server's SYN-ACK alone (TS4).
  if (direction == Direction::kToServer) return drop(segment, Reason::kTcpHandshake);
  const int variant = entry == nullptr ? -1 : entry->find_syn(packet.acknowledgment - 1);
  if (variant < 0) {
    if (existing == nullptr) {
      return entry == nullptr ? pass() : drop(segment, Reason::kTcpHandshake);
    }
    // The client's last acknowledgement was lost behind us: the server asks again.
    const bool again = packet.sequence == existing->half(Direction::kToClient).isn &&
                       packet.acknowledgment == existing->half(Direction::kToServer).isn + 1 &&
                       packet.payload_bytes == 0;
    return again ? forward_clean(segment) : drop(segment, Reason::kTcpSynEstablished);
  }
  if (packet.payload_bytes != 0) return drop(segment, Reason::kTcpEarlyData);
  const HandshakeOutcome outcome = forward_clean(segment);  // the options are those that leave
  entry->answered = static_cast<std::uint8_t>(variant);
  entry->has_server = true;
  entry->server = {packet.sequence, options_of(packet)};
  entry->seen = segment.now;
  return outcome;
}

HandshakeOutcome HandshakeTable::on_other(Direction direction, Entry& entry, Segment& segment,
                                          const Connection* existing) {
  const net::ParsedPacket& packet = segment.packet;
  const bool bare = packet.payload_bytes == 0 && !packet.has_flag(net::kFin);
  if (packet.has_flag(net::kRst)) {
    // A reset ends nothing here (TS18): the entry stays until it times out.
    bool sound = false;
    if (direction == Direction::kToServer) {
      sound = entry.find_syn(packet.sequence - 1) >= 0 ||
              (entry.challenged && packet.sequence == entry.challenge);
    } else {
      sound = packet.has_flag(net::kAck) && entry.find_syn(packet.acknowledgment - 1) >= 0;
    }
    if (!sound) return existing != nullptr ? pass() : drop(segment, Reason::kTcpRstInvalid);
    if (segment.enforce && packet.payload_bytes != 0) cut_payload(segment);
    return forward_clean(segment);
  }
  if (direction == Direction::kToClient) {
    if (existing != nullptr) return pass();
    if (!bare) return drop(segment, Reason::kTcpEarlyData);
    if (!packet.has_flag(net::kAck)) return drop(segment, Reason::kTcpNoAck);
    // Behind its SYN-ACK it has nothing but the SYN to acknowledge: no byte has left (TD6).
    if (entry.has_server && packet.acknowledgment != entry.client[entry.answered].isn + 1) {
      return drop(segment, Reason::kTcpAckUnseen);
    }
    // The server has an older connection of this tuple and says so (RFC 5961 section 4); the
    // client will reset that one with this very number.
    entry.challenged = true;
    entry.challenge = packet.acknowledgment;
    return forward_clean(segment);
  }
  const Entry::Syn& client = entry.client[entry.answered];
  // Data may come first if the bare acknowledgement was lost, out of order too (TS16).
  const std::uint32_t ahead = packet.sequence - (client.isn + 1);
  const bool completes = entry.has_server && packet.has_flag(net::kAck) &&
                         packet.acknowledgment == entry.server.isn + 1 &&
                         ahead <= entry.server.options.window + kBeyondWindowBytes;
  if (completes) {
    HandshakeOutcome outcome{HandshakeFate::kComplete,
                             Reason::kNone,
                             {client.isn, entry.server.isn, client.options, entry.server.options}};
    free(entry);
    return outcome;
  }
  // A client that opens again is through with what was before: bytes by the old numbers could be
  // the new connection's to the server.
  if (existing != nullptr && bare) return pass();
  if (!packet.has_flag(net::kAck)) return drop(segment, Reason::kTcpNoAck);
  return drop(segment, entry.has_server ? Reason::kTcpHandshake : Reason::kFlowAsymmetric);
}

}  // namespace sluice::stream
