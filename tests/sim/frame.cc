// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/frame.h"

#include <algorithm>
#include <cstddef>

namespace sluice::sim {
namespace {

constexpr std::size_t kEthernet = 14, kIp = 20;

void put16(Frame& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
void put32(Frame& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
std::uint16_t get16(const Frame& in, std::size_t at) {
  return static_cast<std::uint16_t>(in[at] << 8 | in[at + 1]);
}
std::uint32_t get32(const Frame& in, std::size_t at) {
  return std::uint32_t{get16(in, at)} << 16 | get16(in, at + 2);
}
std::uint32_t sum_of(const Frame& bytes, std::size_t begin, std::size_t end, std::uint32_t sum) {
  for (std::size_t at = begin; at < end; at += 2) {
    sum += std::uint32_t{bytes[at]} << 8 | (at + 1 < end ? bytes[at + 1] : 0U);
  }
  return sum;
}
std::uint16_t fold(std::uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}
void set16(Frame& out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}
std::uint16_t tcp_sum(const Frame& frame, std::size_t ip, std::size_t end) {
  const std::size_t tcp = ip + kIp;
  std::uint32_t sum = sum_of(frame, ip + 12, ip + 20, 6 + static_cast<std::uint32_t>(end - tcp));
  return fold(sum_of(frame, tcp, end, sum));
}
void finish_ip(Frame& frame, std::size_t ip) {
  set16(frame, ip + 2, static_cast<std::uint16_t>(frame.size() - ip));
  set16(frame, ip + 10, 0);
  set16(frame, ip + 10, fold(sum_of(frame, ip, ip + kIp, 0)));
}
std::size_t ip_start(const Frame& frame) { return get16(frame, 12) == 0x8100 ? 18 : 14; }

}  // namespace

Frame write_frame(const Tcp& segment) {
  Frame out;
  out.reserve(kEthernet + 4 + kIp + 60 + segment.payload.size());
  for (const int last : {2, 1}) {
    for (const int byte : {2, 0, 0, 0, 0, segment.to_server ? last : 3 - last}) {
      out.push_back(static_cast<std::uint8_t>(byte));
    }
  }
  if (segment.vlan != 0) {
    put16(out, 0x8100);
    put16(out, segment.vlan);
  }
  put16(out, 0x0800);
  const std::size_t ip = out.size();
  put16(out, 0x4500);
  put16(out, 0);
  put16(out, segment.ip_id);
  put16(out, 0);
  out.push_back(segment.ttl);
  out.push_back(6);
  put16(out, 0);
  const std::uint32_t client = 0xc0000201, server = 0xc6336402;
  put32(out, segment.to_server ? client : server);
  put32(out, segment.to_server ? server : client);
  const std::size_t tcp = out.size();
  put16(out, segment.to_server ? 40000 : 80);
  put16(out, segment.to_server ? 80 : 40000);
  put32(out, segment.seq);
  put32(out, segment.ack);
  put16(out, segment.flags);
  put16(out, segment.window);
  put16(out, 0);
  put16(out, segment.urgent);
  if (segment.mss >= 0) {
    put16(out, 0x0204);
    put16(out, static_cast<unsigned>(segment.mss));
  }
  if (segment.window_scale >= 0) {
    put16(out, 0x0103);
    put16(out, 0x0300U | static_cast<unsigned>(segment.window_scale));
  }
  if (segment.timestamps) {
    put32(out, 0x0101080a);
    put32(out, segment.ts_value);
    put32(out, segment.ts_echo);
  }
  out[tcp + 12] = static_cast<std::uint8_t>((out.size() - tcp) / 4 << 4);
  out.insert(out.end(), segment.payload.begin(), segment.payload.end());
  finish_ip(out, ip);
  set16(out, tcp + 16, tcp_sum(out, ip, out.size()));
  if (segment.checksum_wrong) out[tcp + 16] ^= 0x55;
  return out;
}

Frame write_fragment(const Frame& whole, std::size_t offset, std::size_t size, bool more) {
  const std::size_t ip = ip_start(whole);
  Frame out(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(ip + kIp));
  const auto data = whole.begin() + static_cast<std::ptrdiff_t>(ip + kIp + offset);
  out.insert(out.end(), data, data + static_cast<std::ptrdiff_t>(size));
  set16(out, ip + 6, static_cast<std::uint16_t>((more ? 0x2000U : 0U) | offset / 8));
  finish_ip(out, ip);
  return out;
}

std::vector<Frame> write_fragments(const Frame& whole, std::size_t bytes) {
  const std::size_t total = whole.size() - ip_start(whole) - kIp;
  std::vector<Frame> out;
  for (std::size_t at = 0; at < total; at += bytes) {
    const std::size_t size = std::min(bytes, total - at);
    out.push_back(write_fragment(whole, at, size, at + size < total));
  }
  return out;
}

IpInfo read_ip(const Frame& frame) {
  IpInfo info;
  info.header = ip_start(frame);
  if (info.header == 18) info.vlan = get16(frame, 14) & 0x0fff;
  info.end = std::min<std::size_t>(frame.size(), info.header + get16(frame, info.header + 2));
  info.id = get16(frame, info.header + 4);
  const unsigned field = get16(frame, info.header + 6);
  info.more = (field & 0x2000) != 0;
  info.offset = static_cast<std::uint16_t>((field & 0x1fff) * 8);
  info.fragment = info.more || info.offset != 0;
  info.ttl = frame[info.header + 8];
  return info;
}

bool read_frame(const Frame& frame, Tcp& segment) {
  const IpInfo ip = read_ip(frame);
  const std::size_t tcp = ip.header + kIp;
  if (ip.end < tcp + 20 || frame[ip.header + 9] != 6) return false;
  segment = Tcp();
  segment.to_server = get16(frame, tcp + 2) == 80;
  segment.vlan = ip.vlan;
  segment.ttl = ip.ttl;
  segment.seq = get32(frame, tcp + 4);
  segment.ack = get32(frame, tcp + 8);
  segment.flags = frame[tcp + 13];
  segment.window = get16(frame, tcp + 14);
  segment.urgent = get16(frame, tcp + 18);
  segment.checksum_wrong = tcp_sum(frame, ip.header, ip.end) != 0;
  const std::size_t data = tcp + (frame[tcp + 12] >> 4) * 4U;
  if (data > ip.end) return false;
  for (std::size_t at = tcp + 20; at < data && frame[at] != 0;) {
    const std::size_t size = frame[at] == 1 ? 1 : frame[at + 1];
    if (size == 0 || at + size > data) break;
    if (frame[at] == 2) segment.mss = get16(frame, at + 2);
    if (frame[at] == 3) segment.window_scale = frame[at + 2];
    if (frame[at] == 8) {
      segment.timestamps = true;
      segment.ts_value = get32(frame, at + 2);
      segment.ts_echo = get32(frame, at + 6);
    }
    at += size;
  }
  segment.payload.assign(frame.begin() + static_cast<std::ptrdiff_t>(data),
                         frame.begin() + static_cast<std::ptrdiff_t>(ip.end));
  return true;
}

}  // namespace sluice::sim
