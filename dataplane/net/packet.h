// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"

/// Reading one frame. parse() reports as much as a frame holds and the first thing wrong with it;
/// classify(), told what is protected, decides. So what goes to no protected service passes
/// untouched however odd it is.
namespace sluice::net {

// Ethertypes and protocol numbers (IANA).
inline constexpr std::uint16_t kEtherIpv4 = 0x0800, kEtherIpv6 = 0x86dd, kEtherArp = 0x0806,
                               kEtherLldp = 0x88cc;
inline constexpr std::uint8_t kProtocolIcmp = 1, kProtocolTcp = 6, kProtocolUdp = 17,
                              kProtocolIcmp6 = 58, kProtocolNone = 59;

/// TCP flags: the low byte of RFC 9293's flag field.
enum TcpFlag : std::uint8_t {
  kFin = 0x01,
  kSyn = 0x02,
  kRst = 0x04,
  kPsh = 0x08,
  kAck = 0x10,
  kUrg = 0x20,
  kEce = 0x40,
  kCwr = 0x80,
};

/// What was found among the options of one TCP header.
struct TcpOptions {
  enum Present : std::uint16_t {
    kMss = 1 << 0,
    kWindowScale = 1 << 1,
    kSackPermitted = 1 << 2,
    kSack = 1 << 3,
    kTimestamp = 1 << 4,
    kAuth = 1 << 5,       ///< MD5 (19) or AO (29)
    kFastOpen = 1 << 6,   ///< 34
    kMultipath = 1 << 7,  ///< 30
    kOther = 1 << 8,      ///< anything not in the allow-list of evasion TO11
  };
  std::uint16_t present = 0;
  std::uint16_t mss = 0;
  std::uint8_t window_scale = 0;  ///< as sent; the stream clamps to 14 (RFC 7323 section 2.3)
  std::uint8_t sack_blocks = 0;   ///< 0..4
  std::uint16_t sack_offset = 0;  ///< of the first block, from the start of the frame
  std::uint32_t timestamp_value = 0, timestamp_echo = 0;
  std::uint16_t timestamp_offset = 0;  ///< of the option's kind byte, from the frame's start

  [[nodiscard]] bool has(Present option) const { return (present & option) != 0; }
};

enum class NetworkLayer : std::uint8_t { kOther = 0, kIpv4 = 4, kIpv6 = 6 };

/// One parsed frame. Offsets count from the frame's first byte; numbers are in host order.
/// `frame` is borrowed from the caller of parse().
struct ParsedPacket {
  base::Bytes frame;
  base::IpAddress source, destination;      ///< only if addresses_known
  abi::Reason reason = abi::Reason::kNone;  ///< the first defect
  NetworkLayer network = NetworkLayer::kOther;
  std::uint8_t protocol = 0;  ///< upper layer, behind extension headers
  std::uint8_t ttl = 0;       ///< or hop limit
  bool addresses_known = false;
  bool ports_known = false;       ///< TCP or UDP, and no fragment
  bool protocol_certain = false;  ///< `protocol` is what every receiver would take it for
  bool ip_checksum_ok = false;    ///< IPv4 header; true for IPv6
  bool tcp_checksum_ok = false;   ///< claimed by the hardware; see verify_tcp_checksum()
  bool is_fragment = false;       ///< atomic fragments (RFC 6946) are not
  bool more_fragments = false;
  bool llc = false;             ///< 802.3 length field instead of an ethertype
  bool mac_group = false;       ///< destination MAC is multicast or broadcast
  std::uint8_t vlan_tags = 0;   ///< tags read
  std::uint16_t ethertype = 0;  ///< behind the tags (and SNAP)
  std::uint32_t vlan_key = 0;   ///< outer VID << 12 | inner VID; VID 0 counts as untagged
  std::uint16_t network_offset = 0;
  std::uint16_t transport_offset = 0;  ///< of a fragment: where its data starts
  std::uint32_t payload_offset = 0;
  std::uint32_t payload_bytes = 0;  ///< within the IP length: padding is never payload
  std::uint32_t network_end = 0;    ///< end of the IP packet: min(IP length, frame)
  std::uint16_t source_port = 0, destination_port = 0;
  // TCP; 0 elsewhere
  std::uint32_t sequence = 0, acknowledgment = 0;
  std::uint16_t window = 0, urgent_pointer = 0;
  std::uint8_t tcp_flags = 0;
  std::uint8_t tcp_reserved = 0;      ///< the four bits between offset and CWR
  std::uint8_t tcp_header_bytes = 0;  ///< 20..60
  std::uint8_t icmp_type = 0, icmp_code = 0;
  // Fragments
  std::uint8_t fragment_next = 0;          ///< IPv6: next header named by the fragment header
  std::uint16_t fragment_next_offset = 0;  ///< IPv6: the byte that names the fragment header
  std::uint16_t fragment_offset = 0;       ///< in bytes
  std::uint32_t fragment_id = 0;
  TcpOptions options;

  [[nodiscard]] bool is_tcp() const {
    return protocol == kProtocolTcp && !is_fragment && tcp_header_bytes != 0;
  }
  [[nodiscard]] base::Bytes payload() const { return frame.subspan(payload_offset, payload_bytes); }
  [[nodiscard]] bool has_flag(TcpFlag flag) const { return (tcp_flags & flag) != 0; }
  /// Length of the segment in sequence space: payload plus SYN plus FIN.
  [[nodiscard]] std::uint32_t sequence_length() const {
    return payload_bytes + (has_flag(kSyn) ? 1U : 0U) + (has_flag(kFin) ? 1U : 0U);
  }
  /// Bytes of a fragment's data.
  [[nodiscard]] std::uint32_t fragment_bytes() const { return network_end - transport_offset; }
};

static_assert(sizeof(ParsedPacket) <= 3 * 64, "a burst of 64 stays in the first-level cache");

/// What a network card has already checked. Its "unknown" is not "good" (evasion V41). A virtual
/// port (veth, tap) may hand over segments whose checksum the sender left to a card: switch that
/// off at the sender, since nothing here can tell them from wrong ones (evasion V42).
struct HardwareChecks {
  bool ip_checksum_good = false;
  bool tcp_checksum_good = false;
};

/// Reads Ethernet, VLAN tags, IPv4 or IPv6, and TCP, UDP or ICMP headers. frame: one contiguous
/// frame of 0..65535+22 bytes without FCS, borrowed as long as `packet` is used. Bound on work: 16
/// tags, 8 extension headers or 256 bytes of them, 40 bytes of TCP options; never the payload.
/// `packet` is overwritten; `packet.reason` names the first defect. RFC 791, 8200, 9293.
void parse(base::Bytes frame, HardwareChecks checks, ParsedPacket& packet);

/// Whether the TCP checksum is right over header, payload and pseudo header. Needs is_tcp().
/// O(segment). RFC 9293 section 3.1.
[[nodiscard]] bool verify_tcp_checksum(const ParsedPacket& packet);

/// What the policy says about a packet. An end is protected when its address is a service's and,
/// for TCP with known ports, its port too; without ports the address alone counts.
struct Protection {
  bool to_service = false;
  bool from_service = false;
  bool from_outside = true;          ///< the frame came in on the outside port
  bool drop_unknown_frames = false;  ///< inspect.unknown_frames: drop
  bool drop_fragments = false;       ///< the service's fragments: drop
};

enum class Action : std::uint8_t {
  kForward,     ///< untouched, without inspection
  kInspect,     ///< a sound TCP segment from or to a service: to the stream
  kReassemble,  ///< a fragment from or to a service: to the fragment table
  kDrop,        ///< with the reason
};

struct Classification {
  Action action;
  abi::Reason reason;
};

/// Decides what becomes of a parsed frame. Verifies the TCP checksum in software unless the card
/// did; O(segment) for protected TCP, O(1) elsewhere. evasions.md sections 1-3 and 6.
[[nodiscard]] Classification classify(const ParsedPacket& packet, const Protection& protection);

/// The TCP segment quoted by an ICMP error (RFC 792, RFC 4443): which flow, and where in it.
struct IcmpQuote {
  base::IpAddress source, destination;  ///< of the quoted segment: of the one who gets the error
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint32_t sequence = 0;
};
/// True when `packet` is an ICMP error that quotes at least 8 bytes of a TCP header.
[[nodiscard]] bool parse_icmp_error(const ParsedPacket& packet, IcmpQuote& quote);

}  // namespace sluice::net
