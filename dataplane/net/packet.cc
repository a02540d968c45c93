// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/packet.h"

#include <algorithm>

#include "dataplane/abi/limits.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/ipv6_chain.h"
#include "dataplane/net/tcp_options.h"

namespace sluice::net {
namespace {

using abi::Reason;
using base::load_be16;
using base::load_be32;

void note(ParsedPacket& packet, Reason reason) {
  if (packet.reason == Reason::kNone) packet.reason = reason;
}

bool is_tag(std::uint16_t ethertype) {
  return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

void parse_tcp(const std::uint8_t* data, ParsedPacket& packet) {
  const std::uint32_t start = packet.transport_offset;
  const std::uint32_t bytes = packet.network_end - start;
  const std::uint8_t* tcp = data + start;
  if (bytes >= 4) {
    packet.source_port = load_be16(tcp);
    packet.destination_port = load_be16(tcp + 2);
    packet.ports_known = true;
  }
  if (bytes < 20) return note(packet, Reason::kTcpOffset);
  const std::uint32_t header = (tcp[12] >> 4) * 4U;
  if (header < 20 || header > bytes) return note(packet, Reason::kTcpOffset);
  packet.sequence = load_be32(tcp + 4);
  packet.acknowledgment = load_be32(tcp + 8);
  packet.tcp_reserved = tcp[12] & 0x0f;
  packet.tcp_flags = tcp[13];
  packet.window = load_be16(tcp + 14);
  packet.urgent_pointer = load_be16(tcp + 18);
  packet.tcp_header_bytes = static_cast<std::uint8_t>(header);
  packet.payload_offset = start + header;
  packet.payload_bytes = bytes - header;
  if (header > 20) {
    const Reason reason = parse_tcp_options({tcp + 20, header - 20},
                                            static_cast<std::uint16_t>(start + 20), packet.options);
    if (reason != Reason::kNone) note(packet, reason);
  }
}

/// The first fragment must hold the whole TCP header (RFC 1858, 3128, 7112), so that no decision
/// waits for flags or options in another one.
void check_first_fragment(const std::uint8_t* data, ParsedPacket& packet, Reason reason) {
  if (packet.protocol != kProtocolTcp) return;
  const std::uint32_t bytes = packet.network_end - packet.payload_offset;
  const std::uint8_t* tcp = data + packet.payload_offset;
  if (bytes < 20 || (tcp[12] >> 4) * 4U > bytes) note(packet, reason);
}

void check_fragment(ParsedPacket& packet, std::uint32_t header_bytes) {
  const std::uint32_t bytes = packet.fragment_bytes();
  if (bytes == 0) note(packet, Reason::kIpFragEmpty);
  if (packet.more_fragments && bytes % 8 != 0) note(packet, Reason::kIpFragLen);
  if (header_bytes + packet.fragment_offset + bytes > 65535) note(packet, Reason::kIpFragBig);
}

void parse_transport(const std::uint8_t* data, ParsedPacket& packet) {
  const std::uint32_t bytes = packet.network_end - packet.transport_offset;
  const std::uint8_t* at = data + packet.transport_offset;
  packet.payload_offset = packet.network_end;
  if (packet.protocol == kProtocolTcp) return parse_tcp(data, packet);
  if (packet.protocol == kProtocolUdp && bytes >= 8) {
    packet.source_port = load_be16(at);
    packet.destination_port = load_be16(at + 2);
    packet.ports_known = true;
    packet.payload_offset = packet.transport_offset + 8U;
    packet.payload_bytes = bytes - 8;
  } else if ((packet.protocol == kProtocolIcmp || packet.protocol == kProtocolIcmp6) &&
             bytes >= 8) {
    packet.icmp_type = at[0];
    packet.icmp_code = at[1];
    packet.payload_offset = packet.transport_offset + 8U;
    packet.payload_bytes = bytes - 8;
  }
}

/// Addresses that no host may send from. Only the source: a martian destination is no service.
bool is_martian_v4(std::uint32_t source, std::uint32_t destination) {
  const std::uint32_t first = source >> 24;
  return first == 0 || first == 127 || (first >= 224 && first < 240) || source == 0xffffffffU ||
         source == destination;
}

bool is_martian_v6(const base::IpAddress& source, const base::IpAddress& destination) {
  const bool source_local = source.bytes[0] == 0xfe && (source.bytes[1] & 0xc0) == 0x80;
  const bool other_local = destination.bytes[0] == 0xfe && (destination.bytes[1] & 0xc0) == 0x80;
  if (source.bytes[0] == 0xff || source_local != other_local || source == destination) return true;
  if (source.is_v4()) return true;  // a mapped address has no place on the wire
  std::uint64_t high;
  std::memcpy(&high, source.bytes, 8);
  const bool loopback_or_none =
      high == 0 && load_be32(source.bytes + 8) == 0 && load_be32(source.bytes + 12) <= 1;
  return loopback_or_none;
}

void parse_ipv4(const std::uint8_t* data, HardwareChecks checks, ParsedPacket& packet) {
  const std::uint32_t start = packet.network_offset;
  const auto left = static_cast<std::uint32_t>(packet.frame.size() - start);
  const std::uint8_t* ip = data + start;
  packet.network_end = start + left;
  packet.payload_offset = packet.network_end;
  if (left < 20) return note(packet, Reason::kLinkTruncated);
  packet.source = base::IpAddress::from_v4(ip + 12);
  packet.destination = base::IpAddress::from_v4(ip + 16);
  packet.addresses_known = true;
  packet.protocol = ip[9];
  packet.protocol_certain = true;
  packet.ttl = ip[8];
  packet.transport_offset = static_cast<std::uint16_t>(start + 20);
  const std::uint32_t header = (ip[0] & 0x0fU) * 4U;
  const std::uint32_t total = load_be16(ip + 2);
  if (header < 20 || header > left) return note(packet, Reason::kIpHlen);
  if (total < header) return note(packet, Reason::kIpLen);
  if (total > left) return note(packet, Reason::kIpTruncated);
  packet.network_end = start + total;
  packet.transport_offset = static_cast<std::uint16_t>(start + header);
  packet.ip_checksum_ok = checks.ip_checksum_good || checksum_of({ip, header}) == 0;
  if (!packet.ip_checksum_ok) note(packet, Reason::kIpCsum);
  if (header > 20) note(packet, Reason::kIpOptions);
  if (is_martian_v4(load_be32(ip + 12), load_be32(ip + 16))) note(packet, Reason::kIpMartian);
  if (packet.ttl == 0) note(packet, Reason::kIpTtl);

  const std::uint16_t fragment = load_be16(ip + 6);
  if ((fragment & 0xbfffU) == 0) return parse_transport(data, packet);
  packet.fragment_offset = static_cast<std::uint16_t>((fragment & 0x1fffU) * 8U);
  packet.more_fragments = (fragment & 0x2000U) != 0;
  packet.is_fragment = (fragment & 0x3fffU) != 0;
  packet.fragment_id = load_be16(ip + 4);
  if ((fragment & 0x8000U) != 0 || (packet.is_fragment && (fragment & 0x4000U) != 0)) {
    note(packet, Reason::kIpFragDf);
  }
  if (!packet.is_fragment) return parse_transport(data, packet);
  packet.payload_offset = packet.transport_offset;
  check_fragment(packet, header);
  if (packet.fragment_offset == 0) check_first_fragment(data, packet, Reason::kIpFragTiny);
  if (packet.fragment_offset == 8 && packet.protocol == kProtocolTcp) {
    note(packet, Reason::kIpFragTiny);
  }
}

void parse_ipv6(const std::uint8_t* data, ParsedPacket& packet) {
  const std::uint32_t start = packet.network_offset;
  const auto left = static_cast<std::uint32_t>(packet.frame.size() - start);
  const std::uint8_t* ip = data + start;
  packet.network_end = start + left;
  packet.payload_offset = packet.network_end;
  if (left < 40) return note(packet, Reason::kLinkTruncated);
  packet.source = base::IpAddress::from_v6(ip + 8);
  packet.destination = base::IpAddress::from_v6(ip + 24);
  packet.addresses_known = true;
  packet.ip_checksum_ok = true;
  packet.protocol = ip[6];
  packet.ttl = ip[7];
  packet.transport_offset = static_cast<std::uint16_t>(start + 40);
  const std::uint32_t payload = load_be16(ip + 4);
  if (payload > left - 40) return note(packet, Reason::kIpTruncated);
  if (payload == 0 && packet.protocol != kProtocolNone) return note(packet, Reason::kIp6Jumbo);
  packet.network_end = start + 40 + payload;
  if (is_martian_v6(packet.source, packet.destination)) note(packet, Reason::kIpMartian);
  if (packet.ttl == 0) note(packet, Reason::kIpTtl);

  const Ipv6Chain chain = walk_ipv6_chain(packet);
  if (chain.reason != Reason::kNone) note(packet, chain.reason);
  packet.protocol = chain.protocol;
  packet.protocol_certain = chain.complete;
  if (!packet.is_fragment) {
    packet.transport_offset = static_cast<std::uint16_t>(chain.upper_offset);
    if (chain.complete) parse_transport(data, packet);
    return;
  }
  packet.payload_offset = chain.upper_offset;
  check_fragment(packet, packet.transport_offset - start - 40U - 8U);
  if (packet.fragment_offset == 0) {
    if (!chain.complete) note(packet, Reason::kIp6FragChain);
    check_first_fragment(data, packet, Reason::kIp6FragChain);
  }
}

/// Reads the tags from `at`, the offset of the first ethertype, and returns the offset behind the
/// last ethertype.
std::uint32_t parse_tags(const std::uint8_t* data, std::uint32_t at, ParsedPacket& packet) {
  const std::size_t size = packet.frame.size();
  std::uint16_t type = load_be16(data + at);
  at += 2;
  while (is_tag(type) && packet.vlan_tags < abi::kVlanTagsReadMax) {
    if (size - at < 4) {
      note(packet, Reason::kLinkTruncated);
      break;
    }
    const std::uint32_t vid = load_be16(data + at) & 0x0fffU;
    if (++packet.vlan_tags > abi::kVlanTagsMax) note(packet, Reason::kLinkVlanDepth);
    // A priority tag (VID 0) is no VLAN (evasion LK3).
    if (vid != 0) packet.vlan_key = (packet.vlan_key << 12 | vid) & 0xffffffU;
    type = load_be16(data + at + 2);
    at += 4;
  }
  packet.ethertype = type;
  return at;
}

/// 802.3 with a length instead of a type: sets the ethertype that SNAP names, if any (RFC 1042).
std::uint32_t parse_llc(const std::uint8_t* data, std::uint32_t at, ParsedPacket& packet) {
  packet.llc = true;
  packet.ethertype = 0;
  const std::size_t left = packet.frame.size() - at;
  if (left < 8 || data[at] != 0xaa || data[at + 1] != 0xaa || data[at + 2] != 0x03) return at;
  packet.ethertype = load_be16(data + at + 6);
  if (packet.ethertype == kEtherIpv4 || packet.ethertype == kEtherIpv6) {
    note(packet, Reason::kLinkLlc);
  }
  return at + 8;
}

}  // namespace

void parse(base::Bytes frame, HardwareChecks checks, ParsedPacket& packet) {
  packet = ParsedPacket{};
  packet.frame = frame;
  packet.network_end = packet.payload_offset = static_cast<std::uint32_t>(frame.size());
  if (frame.size() < 14) return note(packet, Reason::kLinkTruncated);
  if (frame.size() > 65535 + 22) return note(packet, Reason::kLinkOversize);
  const std::uint8_t* data = frame.data();
  packet.mac_group = (data[0] & 1) != 0;
  packet.tcp_checksum_ok = checks.tcp_checksum_good;

  std::uint32_t at = 14;
  packet.ethertype = load_be16(data + 12);
  if (is_tag(packet.ethertype)) at = parse_tags(data, 12, packet);
  if (packet.ethertype < 0x0600) at = parse_llc(data, at, packet);
  packet.network_offset = static_cast<std::uint16_t>(at);

  const bool v4_type = packet.ethertype == kEtherIpv4;
  if (!v4_type && packet.ethertype != kEtherIpv6) return;
  if (at >= frame.size()) return note(packet, Reason::kLinkTruncated);
  const unsigned version = data[at] >> 4;
  if (version != (v4_type ? 4U : 6U)) note(packet, Reason::kIpVersion);
  if (version == 4) {
    packet.network = NetworkLayer::kIpv4;
    parse_ipv4(data, checks, packet);
  } else if (version == 6) {
    packet.network = NetworkLayer::kIpv6;
    parse_ipv6(data, packet);
  }
  // Who follows the ethertype reads other bytes than who follows the nibble.
  if (version != (v4_type ? 4U : 6U)) packet.protocol_certain = false;
}

bool verify_tcp_checksum(const ParsedPacket& packet) {
  if (packet.tcp_checksum_ok) return true;
  const std::uint8_t* data = packet.frame.data();
  const bool v4 = packet.network == NetworkLayer::kIpv4;
  const std::uint32_t bytes = packet.network_end - packet.transport_offset;
  ChecksumSum sum;
  sum.add_be16(kProtocolTcp);
  sum.add_be32(bytes);
  // Source and destination lie side by side in both headers.
  const std::uint8_t* addresses = data + packet.network_offset + (v4 ? 12 : 8);
  add_bytes(sum, {addresses, v4 ? 8U : 32U});
  add_bytes(sum, {data + packet.transport_offset, bytes});
  return sum.verifies();
}

}  // namespace sluice::net
