// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Frames of the simulator: written and read by its own code, so that nothing of dataplane/net is
/// trusted here.
namespace sluice::sim {

using Frame = std::vector<std::uint8_t>;

inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

/// An IPv6 extension header of eight bytes.
struct Ip6Header {
  static constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
  std::uint8_t type = kDestination;
  /// Its only option (1: PadN); of kRouting the segments left; kFragment is an atomic one.
  std::uint8_t option = 1;
};

/// One TCP segment over IPv4 or IPv6, and what is odd about it.
struct Tcp {
  bool to_server = true;
  bool ipv6 = false;
  std::vector<Ip6Header> headers;
  std::uint32_t seq = 0, ack = 0;
  std::uint8_t flags = kAck;
  std::uint16_t window = 65535, urgent = 0;
  bool timestamps = false;
  std::uint32_t ts_value = 0, ts_echo = 0;
  int window_scale = -1;        ///< of a SYN
  int mss = -1;                 ///< of a SYN
  bool sack_permitted = false;  ///< of a SYN
  /// At most 4 blocks, 3 with timestamps.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> sack;
  std::uint8_t ttl = 64;
  std::uint16_t vlan = 0;
  std::uint16_t ip_id = 1;
  bool checksum_wrong = false;
  std::string payload;

  [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

Frame write_frame(const Tcp& segment);
/// Cuts a whole frame into fragments of `bytes` (a multiple of 8) of IP payload.
std::vector<Frame> write_fragments(const Frame& whole, std::size_t bytes);
/// One fragment: IP payload bytes offset .. offset + size of `whole`.
Frame write_fragment(const Frame& whole, std::size_t offset, std::size_t size, bool more);
/// The datagram of a fragment, without what made it one, with `payload` behind its header.
Frame write_joined(const Frame& fragment, const std::string& payload);

struct IpInfo {
  bool ipv6 = false;
  bool fragment = false, more = false;  ///< of IPv6: where a fragment header comes first
  std::uint16_t id = 0, offset = 0;
  std::uint8_t ttl = 0;
  std::uint16_t vlan = 0;
  std::size_t header = 0;   ///< where the IP header starts
  std::size_t payload = 0;  ///< behind it, and behind the fragment header
  std::size_t end = 0;      ///< of the IP packet
  std::uint8_t next = 0;    ///< what `payload` begins with
};
IpInfo read_ip(const Frame& frame);
/// Whether the extension headers are such that RFC 8200 has a host go on to what lies behind them.
bool headers_sound(const Tcp& segment);
/// Where the TCP header starts; 0: there is none, or only in another fragment.
std::size_t tcp_start(const Frame& frame);
/// False when it is no TCP segment at all. checksum_wrong is found out, not believed.
bool read_frame(const Frame& frame, Tcp& segment);

}  // namespace sluice::sim
