// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/wire.h"

namespace sluice::gen {
namespace {

/// MSS, window scale and timestamps out of any list of options.
void read_options(const std::uint8_t* at, const std::uint8_t* end, InSegment& in) {
  while (at < end) {
    const std::uint8_t kind = *at;
    if (kind == 0) return;
    if (kind == 1) {
      ++at;
      continue;
    }
    if (end - at < 2 || at[1] < 2 || at[1] > end - at) return;
    if (kind == 2 && at[1] == 4) in.mss = base::load_be16(at + 2);
    if (kind == 3 && at[1] == 3) in.window_scale = at[2];
    if (kind == 8 && at[1] == 10) {
      in.has_timestamp = true;
      in.timestamp = base::load_be32(at + 2);
      in.echo = base::load_be32(at + 6);
    }
    at += at[1];
  }
}

}  // namespace

bool read_segment(base::Bytes frame, InSegment& in) {
  if (frame.size() < kEthernetBytes + kIpBytes + kTcpBytes) return false;
  const std::uint8_t* ip = frame.data() + kEthernetBytes;
  if (base::load_be16(frame.data() + 12) != net::kEtherIpv4 || ip[0] != 0x45) return false;
  const std::size_t ip_bytes = base::load_be16(ip + 2);
  if (ip[9] != net::kProtocolTcp || ip_bytes < kIpBytes + kTcpBytes ||
      ip_bytes > frame.size() - kEthernetBytes || (base::load_be16(ip + 6) & 0x3fffU) != 0) {
    return false;
  }
  if (net::checksum_of({ip, kIpBytes}) != 0) return false;
  const std::uint8_t* tcp = ip + kIpBytes;
  const std::size_t tcp_bytes = static_cast<std::size_t>(tcp[12] >> 4) * 4;
  if (tcp_bytes < kTcpBytes || tcp_bytes > ip_bytes - kIpBytes) return false;
  in.source = base::load_be32(ip + 12);
  in.destination = base::load_be32(ip + 16);
  in.source_port = base::load_be16(tcp);
  in.destination_port = base::load_be16(tcp + 2);
  in.sequence = base::load_be32(tcp + 4);
  in.acknowledgment = base::load_be32(tcp + 8);
  in.flags = tcp[13];
  in.window = base::load_be16(tcp + 14);
  in.mss = 536;  // RFC 9293 section 3.7.1
  in.window_scale = 0;
  in.has_timestamp = false;
  if (tcp_bytes == kTcpBytes + kTimestampBytes && base::load_be32(tcp + kTcpBytes) == 0x0101080aU) {
    in.has_timestamp = true;
    in.timestamp = base::load_be32(tcp + kTcpBytes + 4);
    in.echo = base::load_be32(tcp + kTcpBytes + 8);
  } else if (tcp_bytes > kTcpBytes) {
    read_options(tcp + kTcpBytes, tcp + tcp_bytes, in);
  }
  in.payload = tcp + tcp_bytes;
  in.payload_bytes = static_cast<std::uint32_t>(ip_bytes - kIpBytes - tcp_bytes);
  in.header_sum = pseudo_header(in.source, in.destination, ip_bytes - kIpBytes);
  net::add_bytes(in.header_sum, {tcp, tcp_bytes});
  return true;
}

}  // namespace sluice::gen
