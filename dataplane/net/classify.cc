// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/packet.h"

namespace sluice::net {
namespace {

using abi::Reason;
using base::load_be16;
using base::load_be32;

constexpr Classification drop(Reason reason) { return {Action::kDrop, reason}; }
constexpr Classification forward() { return {Action::kForward, Reason::kNone}; }

/// Protocols that carry another IP packet (evasion LK13): IP in IP, 6in4, GRE, ESP, EtherIP, L2TP;
/// and the ports of Teredo, GTP-U, VXLAN and Geneve.
bool is_tunnel(const ParsedPacket& packet) {
  switch (packet.protocol) {
    case 4:
    case 41:
    case 47:
    case 50:
    case 97:
    case 115:
      return true;
    case kProtocolUdp:
      return packet.ports_known &&
             (packet.destination_port == 3544 || packet.destination_port == 2152 ||
              packet.destination_port == 4789 || packet.destination_port == 6081);
    default:
      return false;
  }
}

/// Frames in which no IP address could be read.
Classification classify_unknown(const ParsedPacket& packet, const Protection& protection) {
  // An IP ethertype whose header is cut off or of no version: no host takes it, nobody misses it.
  const bool ip_type = packet.ethertype == kEtherIpv4 || packet.ethertype == kEtherIpv6;
  if (packet.reason != Reason::kNone && (ip_type || packet.reason == Reason::kLinkVlanDepth)) {
    return drop(packet.reason);
  }
  const bool known =
      packet.ethertype == kEtherArp || packet.ethertype == kEtherLldp ||
      (packet.llc && packet.ethertype == 0 && packet.network_offset < packet.frame.size() &&
       packet.frame[packet.network_offset] == 0x42);  // spanning tree
  if (known || !protection.drop_unknown_frames) return forward();
  return drop(packet.llc ? Reason::kLinkLlc : Reason::kLinkEthertype);
}

}  // namespace

Classification classify(const ParsedPacket& packet, const Protection& protection) {
  if (!packet.addresses_known) return classify_unknown(packet, protection);
  if (!protection.to_service && !protection.from_service) return forward();
  // IPv6 receivers join fragments without looking at the protocol that each names, so all of them
  // are; IPv4 keys them by protocol (RFC 791, RFC 8200).
  const bool v6_fragment = packet.is_fragment && packet.network == NetworkLayer::kIpv6;
  const bool maybe_tcp = packet.protocol == kProtocolTcp || !packet.protocol_certain || v6_fragment;
  if (!maybe_tcp) {
    if (protection.drop_unknown_frames && protection.to_service && is_tunnel(packet)) {
      return drop(Reason::kIpTunnel);
    }
    return forward();
  }
  if (protection.from_service && protection.from_outside) return drop(Reason::kLinkSpoof);
  if (packet.reason != Reason::kNone) return drop(packet.reason);
  if (packet.mac_group) return drop(Reason::kLinkMacType);
  if (packet.is_fragment) {
    if (protection.drop_fragments) return drop(Reason::kIpFrag);
    return {Action::kReassemble, Reason::kNone};
  }
  if (!packet.is_tcp()) return drop(Reason::kTcpOffset);
  if (packet.options.has(TcpOptions::kAuth)) return drop(Reason::kTcpAuthOption);
  if (!verify_tcp_checksum(packet)) return drop(Reason::kTcpCsum);
  return {Action::kInspect, Reason::kNone};
}

bool parse_icmp_error(const ParsedPacket& packet, IcmpQuote& quote) {
  const bool v4_error = packet.protocol == kProtocolIcmp && packet.network == NetworkLayer::kIpv4 &&
                        (packet.icmp_type == 3 || packet.icmp_type == 4 || packet.icmp_type == 5 ||
                         packet.icmp_type == 11 || packet.icmp_type == 12);
  const bool v6_error = packet.protocol == kProtocolIcmp6 &&
                        packet.network == NetworkLayer::kIpv6 && packet.icmp_type >= 1 &&
                        packet.icmp_type <= 4;
  if ((!v4_error && !v6_error) || packet.is_fragment) return false;
  const base::Bytes inner = packet.payload();
  std::size_t header = 40;
  if (v4_error) {
    if (inner.size() < 20 || inner[0] >> 4 != 4 || inner[9] != kProtocolTcp) return false;
    header = (inner[0] & 0x0fU) * 4U;
    if (header < 20 || (load_be16(inner.data() + 6) & 0x1fff) != 0) return false;
    quote.source = base::IpAddress::from_v4(inner.data() + 12);
    quote.destination = base::IpAddress::from_v4(inner.data() + 16);
  } else {
    // Quotes behind extension headers are not followed: our services are not spoken to that way.
    if (inner.size() < 40 || inner[0] >> 4 != 6 || inner[6] != kProtocolTcp) return false;
    quote.source = base::IpAddress::from_v6(inner.data() + 8);
    quote.destination = base::IpAddress::from_v6(inner.data() + 24);
  }
  if (inner.size() < header + 8) return false;
  quote.source_port = load_be16(inner.data() + header);
  quote.destination_port = load_be16(inner.data() + header + 2);
  quote.sequence = load_be32(inner.data() + header + 4);
  return true;
}

}  // namespace sluice::net
