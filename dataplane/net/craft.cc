// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/craft.h"

#include <algorithm>
#include <cstring>

#include "dataplane/net/checksum.h"
#include "dataplane/net/tcp_options.h"

namespace sluice::net {
namespace {

using base::load_be16;
using base::store_be16;
using base::store_be32;

constexpr std::size_t kTcpChecksumAt = 16;

/// Sums what the TCP checksum covers beside the segment (RFC 9293 section 3.1, RFC 8200 8.1).
ChecksumSum pseudo_header(const std::uint8_t* addresses, bool v4, std::size_t tcp_bytes) {
  ChecksumSum sum;
  sum.add_be16(kProtocolTcp);
  sum.add_be32(static_cast<std::uint32_t>(tcp_bytes));
  add_bytes(sum, {addresses, v4 ? 8U : 32U});
  return sum;
}

void write_tcp_checksum(std::uint8_t* network, std::uint8_t* tcp, bool v4, std::size_t tcp_bytes) {
  store_be16(tcp + kTcpChecksumAt, 0);
  ChecksumSum sum = pseudo_header(network + (v4 ? 12 : 8), v4, tcp_bytes);
  add_bytes(sum, {tcp, tcp_bytes});
  store_be16(tcp + kTcpChecksumAt, sum.checksum());
}

void write_network(std::uint8_t* at, const SegmentTemplate& direction, std::size_t tcp_bytes) {
  if (direction.is_v4) {
    std::memset(at, 0, 20);
    at[0] = 0x45;
    store_be16(at + 2, static_cast<std::uint16_t>(20 + tcp_bytes));
    store_be16(at + 6, 0x4000);  // an atomic datagram: DF, so its id may be 0 (RFC 6864)
    at[8] = direction.ttl;
    at[9] = kProtocolTcp;
    std::memcpy(at + 12, direction.source.bytes + 12, 4);
    std::memcpy(at + 16, direction.destination.bytes + 12, 4);
    store_be16(at + 10, checksum_of({at, 20}));
    return;
  }
  store_be32(at, 0x60000000U);
  store_be16(at + 4, static_cast<std::uint16_t>(tcp_bytes));
  at[6] = kProtocolTcp;
  at[7] = direction.ttl;
  std::memcpy(at + 8, direction.source.bytes, 16);
  std::memcpy(at + 24, direction.destination.bytes, 16);
}

/// The pointer means nothing without its flag (evasion TD12); it goes all the same.
bool has_urgent(const ParsedPacket& packet) {
  return packet.has_flag(kUrg) || packet.urgent_pointer != 0;
}

std::uint8_t* tcp_of(base::MutableBytes frame, const ParsedPacket& packet) {
  return frame.data() + packet.transport_offset;
}

/// Changes an even, aligned piece of the TCP header by `change` and updates the checksum by the
/// difference (RFC 1624), so the payload is not read.
template <typename Change>
void change_tcp(std::uint8_t* tcp, std::size_t at, std::size_t bytes, Change change) {
  ChecksumSum before, after;
  add_bytes(before, {tcp + at, bytes});
  change();
  add_bytes(after, {tcp + at, bytes});
  // checksum() is the complement of the sum.
  const auto old_sum = static_cast<std::uint16_t>(~before.checksum());
  const auto new_sum = static_cast<std::uint16_t>(~after.checksum());
  store_be16(tcp + kTcpChecksumAt,
             checksum_replace16(load_be16(tcp + kTcpChecksumAt), old_sum, new_sum));
}

/// Overwrites with NOP the options for which `remove(kind)` holds. parse() has found every length
/// right.
template <typename Remove>
void remove_options(base::MutableBytes frame, ParsedPacket& packet, Remove remove) {
  std::uint8_t* tcp = tcp_of(frame, packet);
  const std::size_t area = packet.tcp_header_bytes - 20U;
  if (area == 0) return;
  std::uint8_t* options = tcp + 20;
  change_tcp(tcp, 20, area, [&] {
    std::size_t at = 0;
    while (at < area && options[at] != kOptionEnd) {
      const std::uint8_t kind = options[at];
      const std::size_t length = kind == kOptionNop || at + 1 >= area ? 1 : options[at + 1];
      if (length == 0 || length > area - at) return;
      if (kind != kOptionNop && remove(kind)) std::memset(options + at, kOptionNop, length);
      at += length;
    }
  });
  packet.options = TcpOptions{};
  (void)parse_tcp_options({options, area}, static_cast<std::uint16_t>(packet.transport_offset + 20),
                          packet.options);
}

/// After the payload changed its length: IP length, checksums, and the packet's own numbers.
std::size_t set_payload_bytes(base::MutableBytes frame, ParsedPacket& packet,
                              std::uint32_t payload_bytes) {
  std::uint8_t* network = frame.data() + packet.network_offset;
  const bool v4 = packet.network == NetworkLayer::kIpv4;
  packet.payload_bytes = payload_bytes;
  packet.network_end = packet.payload_offset + payload_bytes;
  const std::uint32_t total = packet.network_end - packet.network_offset;
  if (v4) {
    store_be16(network + 2, static_cast<std::uint16_t>(total));
    store_be16(network + 10, 0);
    store_be16(network + 10, checksum_of({network, (network[0] & 0x0fU) * 4U}));
  } else {
    store_be16(network + 4, static_cast<std::uint16_t>(total - 40));
  }
  write_tcp_checksum(network, tcp_of(frame, packet), v4,
                     packet.network_end - packet.transport_offset);
  packet.tcp_checksum_ok = true;
  packet.frame = {frame.data(), packet.network_end};  // padding goes too
  return packet.network_end;
}

}  // namespace

SegmentTemplate template_of(const ParsedPacket& packet) {
  SegmentTemplate direction;
  direction.link_bytes =
      static_cast<std::uint8_t>(std::min<std::size_t>(packet.network_offset, kLinkBytesMax));
  std::memcpy(direction.link, packet.frame.data(), direction.link_bytes);
  direction.is_v4 = packet.network == NetworkLayer::kIpv4;
  direction.source_port = packet.source_port;
  direction.destination_port = packet.destination_port;
  direction.source = packet.source;
  direction.destination = packet.destination;
  return direction;
}

SegmentTemplate reversed(const SegmentTemplate& direction) {
  SegmentTemplate other = direction;
  std::swap(other.source, other.destination);
  std::swap(other.source_port, other.destination_port);
  std::memcpy(other.link, direction.link + 6, 6);
  std::memcpy(other.link + 6, direction.link, 6);
  return other;
}

std::size_t craft_segment(base::MutableBytes buffer, const SegmentTemplate& direction,
                          const SegmentFields& fields) {
  const std::size_t network_bytes = direction.is_v4 ? 20 : 40;
  const std::size_t header_bytes = fields.timestamp ? 32 : 20;
  const std::size_t tcp_bytes = header_bytes + fields.payload.size();
  const std::size_t frame_bytes = direction.link_bytes + network_bytes + tcp_bytes;
  if (frame_bytes > buffer.size() || network_bytes + tcp_bytes > 65535) return 0;
  std::uint8_t* network = buffer.data() + direction.link_bytes;
  std::uint8_t* tcp = network + network_bytes;
  std::memcpy(buffer.data(), direction.link, direction.link_bytes);
  write_network(network, direction, tcp_bytes);
  store_be16(tcp, direction.source_port);
  store_be16(tcp + 2, direction.destination_port);
  store_be32(tcp + 4, fields.sequence);
  store_be32(tcp + 8, fields.acknowledgment);
  tcp[12] = static_cast<std::uint8_t>(header_bytes / 4 << 4);
  tcp[13] = fields.flags;
  store_be16(tcp + 14, fields.window);
  store_be32(tcp + 16, 0);
  if (fields.timestamp) {
    store_be32(tcp + 20, 0x0101080aU);  // NOP NOP timestamp, 10 bytes
    store_be32(tcp + 24, fields.timestamp_value);
    store_be32(tcp + 28, fields.timestamp_echo);
  }
  if (!fields.payload.empty()) {
    std::memcpy(tcp + header_bytes, fields.payload.data(), fields.payload.size());
  }
  write_tcp_checksum(network, tcp, direction.is_v4, tcp_bytes);
  return frame_bytes;
}

void clear_urgent(base::MutableBytes frame, ParsedPacket& packet) {
  std::uint8_t* tcp = tcp_of(frame, packet);
  change_tcp(tcp, 12, 2, [&] { tcp[13] = static_cast<std::uint8_t>(tcp[13] & ~kUrg); });
  change_tcp(tcp, 18, 2, [&] { store_be16(tcp + 18, 0); });
  packet.tcp_flags = static_cast<std::uint8_t>(packet.tcp_flags & ~kUrg);
  packet.urgent_pointer = 0;
}

void clear_reserved(base::MutableBytes frame, ParsedPacket& packet) {
  std::uint8_t* tcp = tcp_of(frame, packet);
  change_tcp(tcp, 12, 2, [&] { tcp[12] &= 0xf0; });
  packet.tcp_reserved = 0;
}

void strip_unknown_options(base::MutableBytes frame, ParsedPacket& packet) {
  remove_options(frame, packet, [](std::uint8_t kind) {
    return kind != kOptionMss && kind != kOptionWindowScale && kind != kOptionSackPermitted &&
           kind != kOptionSack && kind != kOptionTimestamp;
  });
}

void strip_option(base::MutableBytes frame, ParsedPacket& packet, std::uint8_t kind) {
  remove_options(frame, packet, [kind](std::uint8_t other) { return other == kind; });
}

void clamp_mss(base::MutableBytes frame, ParsedPacket& packet, std::uint16_t mss_min,
               std::uint16_t mss_max) {
  if (!packet.options.has(TcpOptions::kMss)) return;
  const std::uint16_t mss = std::clamp(packet.options.mss, mss_min, mss_max);
  if (mss == packet.options.mss) return;
  std::uint8_t* tcp = tcp_of(frame, packet);
  const std::size_t area = packet.tcp_header_bytes - 20U;
  std::uint8_t* options = tcp + 20;
  change_tcp(tcp, 20, area, [&] {
    std::size_t at = 0;
    while (at + 4 <= area && options[at] != kOptionEnd) {
      if (options[at] == kOptionMss) {
        store_be16(options + at + 2, mss);
        return;
      }
      const std::size_t length = options[at] == kOptionNop ? 1 : options[at + 1];
      if (length == 0) return;
      at += length;
    }
  });
  packet.options.mss = mss;
}

void set_acknowledgment(base::MutableBytes frame, ParsedPacket& packet, std::uint32_t value) {
  std::uint8_t* tcp = tcp_of(frame, packet);
  change_tcp(tcp, 8, 4, [&] { store_be32(tcp + 8, value); });
  packet.acknowledgment = value;
}

std::size_t trim_payload(base::MutableBytes frame, ParsedPacket& packet,
                         std::uint32_t payload_bytes) {
  if (payload_bytes < packet.payload_bytes) {
    std::uint8_t* tcp = tcp_of(frame, packet);
    tcp[13] = static_cast<std::uint8_t>(tcp[13] & ~(kFin | kPsh));
    packet.tcp_flags = tcp[13];
  }
  return set_payload_bytes(frame, packet, std::min(payload_bytes, packet.payload_bytes));
}

std::size_t trim_front(base::MutableBytes frame, ParsedPacket& packet, std::uint32_t cut_bytes) {
  const std::uint32_t cut = std::min(cut_bytes, packet.payload_bytes);
  std::uint8_t* payload = frame.data() + packet.payload_offset;
  std::memmove(payload, payload + cut, packet.payload_bytes - cut);
  packet.sequence += cut;
  store_be32(tcp_of(frame, packet) + 4, packet.sequence);
  return set_payload_bytes(frame, packet, packet.payload_bytes - cut);
}

bool needs_normalising(const ParsedPacket& packet) {
  constexpr unsigned kUnknown = TcpOptions::kFastOpen | TcpOptions::kMultipath | TcpOptions::kOther;
  const bool syn = packet.has_flag(kSyn);
  const bool options = syn && (packet.options.present & kUnknown) != 0;
  const bool mss = syn && packet.options.has(TcpOptions::kMss) && packet.options.mss < kMssMin;
  return has_urgent(packet) || packet.tcp_reserved != 0 || options || mss;
}

void normalise(base::MutableBytes frame, ParsedPacket& packet) {
  if (has_urgent(packet)) clear_urgent(frame, packet);
  if (packet.tcp_reserved != 0) clear_reserved(frame, packet);
  if (!packet.has_flag(kSyn)) return;
  strip_unknown_options(frame, packet);
  clamp_mss(frame, packet, kMssMin, 65535);
}

}  // namespace sluice::net
