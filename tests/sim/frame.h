// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// Frames of the simulator: written and read by its own code, so that nothing of dataplane/net is
/// trusted here.
namespace sluice::sim {

using Frame = std::vector<std::uint8_t>;

inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;

/// One TCP segment over IPv4, and what is odd about it.
struct Tcp {
  bool to_server = true;
  std::uint32_t seq = 0, ack = 0;
  std::uint8_t flags = kAck;
  std::uint16_t window = 65535, urgent = 0;
  bool timestamps = false;
  std::uint32_t ts_value = 0, ts_echo = 0;
  int window_scale = -1;  ///< of a SYN
  int mss = -1;           ///< of a SYN
  std::uint8_t ttl = 64;
  std::uint16_t vlan = 0;
  std::uint16_t ip_id = 1;
  bool checksum_wrong = false;
  std::string payload;

  [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

Frame write_frame(const Tcp& segment);
/// Cuts a whole frame into IPv4 fragments of `bytes` (a multiple of 8) of IP payload.
std::vector<Frame> write_fragments(const Frame& whole, std::size_t bytes);
/// One fragment: IP payload bytes offset .. offset + size of `whole`.
Frame write_fragment(const Frame& whole, std::size_t offset, std::size_t size, bool more);

struct IpInfo {
  bool fragment = false, more = false;
  std::uint16_t id = 0, offset = 0;
  std::uint8_t ttl = 0;
  std::uint16_t vlan = 0;
  std::size_t header = 0;  ///< where the IP header starts
  std::size_t end = 0;     ///< of the IP packet
};
IpInfo read_ip(const Frame& frame);
/// False when it is no TCP segment at all. checksum_wrong is found out, not believed.
bool read_frame(const Frame& frame, Tcp& segment);

}  // namespace sluice::sim
