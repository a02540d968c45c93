// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <cstring>

#include "dataplane/base/bytes.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/packet.h"

/// The generator's own segments: IPv4, Ethernet without tags, and of TCP options the timestamps in
/// every segment, the maximum segment size and the window scale on SYN. The appliance's parser is
/// not used here, so that the two judge each other.
namespace sluice::gen {

inline constexpr std::size_t kEthernetBytes = 14, kIpBytes = 20, kTcpBytes = 20;
inline constexpr std::size_t kTimestampBytes = 12;      ///< NOP, NOP, timestamps
inline constexpr std::size_t kSynOptionBytes = 8 + 12;  ///< MSS, NOP, scale, NOP, NOP, timestamps
inline constexpr std::size_t kHeaderBytes = kEthernetBytes + kIpBytes + kTcpBytes + kTimestampBytes;
inline constexpr std::uint8_t kWindowScale = 7;

/// Payload bytes of a full segment for an IP packet of `mtu` bytes.
constexpr std::uint32_t segment_payload(std::uint32_t mtu) {
  return mtu - static_cast<std::uint32_t>(kIpBytes + kTcpBytes + kTimestampBytes);
}

/// A segment to write. Addresses and numbers in host order; window as on the wire.
struct OutSegment {
  std::uint32_t source, destination;
  std::uint16_t source_port, destination_port;
  std::uint32_t sequence, acknowledgment;
  std::uint32_t timestamp, echo;
  std::uint16_t window;
  std::uint16_t mss;  ///< on SYN only
  std::uint8_t flags;
};

/// A segment read; `payload` lies in the frame.
struct InSegment {
  std::uint32_t source, destination;
  std::uint16_t source_port, destination_port;
  std::uint32_t sequence, acknowledgment;
  std::uint32_t timestamp, echo;
  std::uint16_t window, mss;
  std::uint8_t flags, window_scale;
  bool has_timestamp;
  const std::uint8_t* payload;
  std::uint32_t payload_bytes;
  net::ChecksumSum header_sum;  ///< pseudo header and TCP header

  [[nodiscard]] bool has(net::TcpFlag flag) const { return (flags & flag) != 0; }
  /// Whether the TCP checksum is right, given the sum over the payload.
  [[nodiscard]] bool checksum_right(net::ChecksumSum payload_sum) const {
    net::ChecksumSum sum = header_sum;
    sum.add(payload_sum.value);
    return sum.verifies();
  }
  [[nodiscard]] bool checksum_right() const {
    net::ChecksumSum sum = header_sum;
    net::add_bytes(sum, {payload, payload_bytes});
    return sum.verifies();
  }
};

/// Ethernet addresses of one direction.
struct Link {
  std::uint8_t destination[6];
  std::uint8_t source[6];
};
inline constexpr Link kToServer{{2, 0, 0, 0, 2, 2}, {2, 0, 0, 0, 1, 1}};
inline constexpr Link kToClient{{2, 0, 0, 0, 1, 1}, {2, 0, 0, 0, 2, 2}};

/// Bytes of the frame that write_segment makes.
constexpr std::size_t frame_bytes(bool syn, std::size_t payload_bytes) {
  return kEthernetBytes + kIpBytes + kTcpBytes + (syn ? kSynOptionBytes : kTimestampBytes) +
         payload_bytes;
}

/// Writes Ethernet and IP header; `ip_bytes` is the IP packet's length.
inline void write_ip(std::uint8_t* to, const Link& link, std::uint32_t source,
                     std::uint32_t destination, std::size_t ip_bytes, std::uint8_t protocol) {
  std::memcpy(to, link.destination, 6);
  std::memcpy(to + 6, link.source, 6);
  base::store_be16(to + 12, net::kEtherIpv4);
  std::uint8_t* ip = to + kEthernetBytes;
  base::store_be32(ip, 0x45000000U | static_cast<std::uint32_t>(ip_bytes));
  base::store_be32(ip + 4, 0x00004000U);  // do not fragment
  base::store_be32(ip + 8, 0x40000000U | static_cast<std::uint32_t>(protocol) << 16);
  base::store_be32(ip + 12, source);
  base::store_be32(ip + 16, destination);
  base::store_be16(ip + 10, net::checksum_of({ip, kIpBytes}));
}

/// The sum of the pseudo header (RFC 9293 section 3.1).
inline net::ChecksumSum pseudo_header(std::uint32_t source, std::uint32_t destination,
                                      std::size_t tcp_bytes) {
  net::ChecksumSum sum;
  sum.add_be32(source);
  sum.add_be32(destination);
  sum.add_be32(static_cast<std::uint32_t>(net::kProtocolTcp) << 16 |
               static_cast<std::uint32_t>(tcp_bytes));
  return sum;
}

/// Writes a whole frame, frame_bytes() long. payload_sum: the checksum sum over `payload`, which
/// callers know beforehand.
inline void write_segment(std::uint8_t* to, const Link& link, const OutSegment& out,
                          base::Bytes payload, net::ChecksumSum payload_sum) {
  const bool syn = (out.flags & net::kSyn) != 0;
  const std::size_t tcp_bytes = kTcpBytes + (syn ? kSynOptionBytes : kTimestampBytes);
  const std::size_t segment_bytes = tcp_bytes + payload.size();
  write_ip(to, link, out.source, out.destination, kIpBytes + segment_bytes, net::kProtocolTcp);
  std::uint8_t* tcp = to + kEthernetBytes + kIpBytes;
  base::store_be32(tcp, static_cast<std::uint32_t>(out.source_port) << 16 | out.destination_port);
  base::store_be32(tcp + 4, out.sequence);
  base::store_be32(tcp + 8, out.acknowledgment);
  base::store_be32(tcp + 12, static_cast<std::uint32_t>(tcp_bytes / 4) << 28 |
                                 static_cast<std::uint32_t>(out.flags) << 16 | out.window);
  base::store_be32(tcp + 16, 0);
  std::uint8_t* option = tcp + kTcpBytes;
  if (syn) {
    base::store_be32(option, 0x02040000U | out.mss);
    base::store_be32(option + 4, 0x01030300U | kWindowScale);
    option += 8;
  }
  base::store_be32(option, 0x0101080aU);
  base::store_be32(option + 4, out.timestamp);
  base::store_be32(option + 8, out.echo);
  net::ChecksumSum sum = pseudo_header(out.source, out.destination, segment_bytes);
  net::add_bytes(sum, {tcp, tcp_bytes});
  sum.add(payload_sum.value);
  base::store_be16(tcp + 16, sum.checksum());
  if (!payload.empty()) std::memcpy(tcp + tcp_bytes, payload.data(), payload.size());
}

/// Reads a frame; false unless it is a sound IPv4 TCP segment without IP options or fragmentation,
/// its IP checksum right. The TCP checksum is the caller's (checksum_right). Bound: one header.
bool read_segment(base::Bytes frame, InSegment& in);

}  // namespace sluice::gen
