// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/frame.h"

#include <algorithm>
#include <cstddef>

namespace sluice::sim {
namespace {

constexpr std::size_t kEthernet = 14, kIp4 = 20, kIp6 = 40, kExtension = 8;
constexpr std::uint8_t kTcp = 6;
/// Of RFC 3692's numbers for experiments: nobody routes by it.
constexpr std::uint8_t kRoutingType = 253;
/// 2001:db8:0:1::1 and the service of the engine's bench.
constexpr std::uint32_t kClient6[] = {0x20010db8, 1, 0, 1}, kServer6[] = {0x20010db8, 0, 0, 2};

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
bool is_ip6(const Frame& frame, std::size_t ip) { return frame[ip] >> 4 == 6; }
std::size_t ip_bytes(const Frame& frame, std::size_t ip) { return is_ip6(frame, ip) ? kIp6 : kIp4; }

std::uint16_t tcp_sum(const Frame& frame, std::size_t ip, std::size_t tcp, std::size_t end) {
  const std::size_t addresses = is_ip6(frame, ip) ? 8 : 12;
  const std::uint32_t sum = sum_of(frame, ip + addresses, ip + ip_bytes(frame, ip),
                                   kTcp + static_cast<std::uint32_t>(end - tcp));
  return fold(sum_of(frame, tcp, end, sum));
}
void finish_ip(Frame& frame, std::size_t ip) {
  if (is_ip6(frame, ip)) {
    set16(frame, ip + 4, static_cast<std::uint16_t>(frame.size() - ip - kIp6));
    return;
  }
  set16(frame, ip + 2, static_cast<std::uint16_t>(frame.size() - ip));
  set16(frame, ip + 10, 0);
  set16(frame, ip + 10, fold(sum_of(frame, ip, ip + kIp4, 0)));
}
std::size_t ip_start(const Frame& frame) { return get16(frame, 12) == 0x8100 ? 18 : 14; }

/// Behind the extension headers, which are written down: where the TCP header starts, or 0.
std::size_t walk(const Frame& frame, std::vector<Ip6Header>& headers) {
  const IpInfo ip = read_ip(frame);
  if (ip.offset != 0) return 0;
  std::size_t at = ip.payload;
  std::uint8_t next = ip.next;
  while (ip.ipv6 && at + kExtension <= ip.end) {
    const bool fragment = next == Ip6Header::kFragment;
    if (!fragment && next != Ip6Header::kHopByHop && next != Ip6Header::kRouting &&
        next != Ip6Header::kDestination) {
      break;
    }
    headers.push_back({next, frame[at + (next == Ip6Header::kRouting ? 3 : 2)]});
    next = frame[at];
    at += fragment ? kExtension : (std::size_t{frame[at + 1]} + 1) * kExtension;
  }
  return next == kTcp ? at : 0;
}

void put_ip4(Frame& out, const Tcp& segment) {
  put16(out, 0x4500);
  put16(out, 0);
  put16(out, segment.ip_id);
  put16(out, 0);
  out.push_back(segment.ttl);
  out.push_back(kTcp);
  put16(out, 0);
  const std::uint32_t client = 0xc0000201, server = 0xc6336402;
  put32(out, segment.to_server ? client : server);
  put32(out, segment.to_server ? server : client);
}

void put_ip6(Frame& out, const Tcp& segment) {
  put32(out, 0x60000000U | segment.ip_id);  // the flow label: fragments have their id of it
  put16(out, 0);
  out.push_back(segment.headers.empty() ? kTcp : segment.headers.front().type);
  out.push_back(segment.ttl);
  for (const bool source : {true, false}) {
    for (const std::uint32_t part : source == segment.to_server ? kClient6 : kServer6) {
      put32(out, part);
    }
  }
  for (std::size_t i = 0; i < segment.headers.size(); ++i) {
    const Ip6Header& header = segment.headers[i];
    out.push_back(i + 1 < segment.headers.size() ? segment.headers[i + 1].type : kTcp);
    out.push_back(0);
    if (header.type == Ip6Header::kFragment) {
      put32(out, 0);
      put16(out, segment.ip_id);
      continue;
    }
    const bool routing = header.type == Ip6Header::kRouting;
    out.push_back(routing ? kRoutingType : header.option);
    out.push_back(routing ? header.option : 4);
    put32(out, 0);
  }
}

void put_options(Frame& out, const Tcp& segment) {
  if (segment.mss >= 0) {
    put16(out, 0x0204);
    put16(out, static_cast<unsigned>(segment.mss));
  }
  if (segment.window_scale >= 0) {
    put16(out, 0x0103);
    put16(out, 0x0300U | static_cast<unsigned>(segment.window_scale));
  }
  if (segment.sack_permitted) put32(out, 0x01010402);
  if (segment.timestamps) {
    put32(out, 0x0101080a);
    put32(out, segment.ts_value);
    put32(out, segment.ts_echo);
  }
  if (segment.sack.empty()) return;
  put32(out, 0x01010502U + 8 * static_cast<std::uint32_t>(segment.sack.size()));
  for (const auto& [begin, end] : segment.sack) {
    put32(out, begin);
    put32(out, end);
  }
}

}  // namespace

Frame write_frame(const Tcp& segment) {
  Frame out;
  out.reserve(kEthernet + 4 + kIp6 + kExtension * segment.headers.size() + 60 +
              segment.payload.size());
  for (const int last : {2, 1}) {
    for (const int byte : {2, 0, 0, 0, 0, segment.to_server ? last : 3 - last}) {
      out.push_back(static_cast<std::uint8_t>(byte));
    }
  }
  if (segment.vlan != 0) {
    put16(out, 0x8100);
    put16(out, segment.vlan);
  }
  put16(out, segment.ipv6 ? 0x86dd : 0x0800);
  const std::size_t ip = out.size();
  segment.ipv6 ? put_ip6(out, segment) : put_ip4(out, segment);
  const std::size_t tcp = out.size();
  put16(out, segment.to_server ? 40000 : 80);
  put16(out, segment.to_server ? 80 : 40000);
  put32(out, segment.seq);
  put32(out, segment.ack);
  put16(out, segment.flags);
  put16(out, segment.window);
  put16(out, 0);
  put16(out, segment.urgent);
  put_options(out, segment);
  out[tcp + 12] = static_cast<std::uint8_t>((out.size() - tcp) / 4 << 4);
  out.insert(out.end(), segment.payload.begin(), segment.payload.end());
  finish_ip(out, ip);
  set16(out, tcp + 16, tcp_sum(out, ip, tcp, out.size()));
  if (segment.checksum_wrong) out[tcp + 16] ^= 0x55;
  return out;
}

Frame write_fragment(const Frame& whole, std::size_t offset, std::size_t size, bool more) {
  const std::size_t ip = ip_start(whole), payload = ip + ip_bytes(whole, ip);
  Frame out(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(payload));
  if (is_ip6(whole, ip)) {
    out.push_back(whole[ip + 6]);
    out[ip + 6] = Ip6Header::kFragment;
    out.push_back(0);
    put16(out, static_cast<unsigned>(offset) | (more ? 1U : 0U));
    put32(out, get16(whole, ip + 2));
  } else {
    set16(out, ip + 6, static_cast<std::uint16_t>((more ? 0x2000U : 0U) | offset / 8));
  }
  const auto data = whole.begin() + static_cast<std::ptrdiff_t>(payload + offset);
  out.insert(out.end(), data, data + static_cast<std::ptrdiff_t>(size));
  finish_ip(out, ip);
  return out;
}

std::vector<Frame> write_fragments(const Frame& whole, std::size_t bytes) {
  const IpInfo ip = read_ip(whole);
  const std::size_t total = ip.end - ip.payload;
  std::vector<Frame> out;
  for (std::size_t at = 0; at < total; at += bytes) {
    const std::size_t size = std::min(bytes, total - at);
    out.push_back(write_fragment(whole, at, size, at + size < total));
  }
  return out;
}

Frame write_joined(const Frame& fragment, const std::string& payload) {
  const IpInfo ip = read_ip(fragment);
  const std::size_t begin = ip.header + ip_bytes(fragment, ip.header);
  Frame out(fragment.begin(), fragment.begin() + static_cast<std::ptrdiff_t>(begin));
  if (ip.ipv6) {
    out[ip.header + 6] = ip.next;
  } else {
    set16(out, ip.header + 6, 0);
  }
  out.insert(out.end(), payload.begin(), payload.end());
  finish_ip(out, ip.header);
  return out;
}

IpInfo read_ip(const Frame& frame) {
  IpInfo info;
  info.header = ip_start(frame);
  if (info.header == 18) info.vlan = get16(frame, 14) & 0x0fff;
  info.ipv6 = is_ip6(frame, info.header);
  info.payload = info.header + ip_bytes(frame, info.header);
  if (info.ipv6) {
    info.end = std::min<std::size_t>(frame.size(), info.payload + get16(frame, info.header + 4));
    info.next = frame[info.header + 6];
    info.ttl = frame[info.header + 7];
    if (info.next != Ip6Header::kFragment || info.end < info.payload + kExtension) return info;
    const unsigned field = get16(frame, info.payload + 2);
    info.more = (field & 1) != 0;
    info.offset = static_cast<std::uint16_t>(field & 0xfff8);
    info.fragment = info.more || info.offset != 0;
    if (!info.fragment) return info;
    info.id = get16(frame, info.payload + 6);
    info.next = frame[info.payload];
    info.payload += kExtension;
    return info;
  }
  info.end = std::min<std::size_t>(frame.size(), info.header + get16(frame, info.header + 2));
  info.id = get16(frame, info.header + 4);
  const unsigned field = get16(frame, info.header + 6);
  info.more = (field & 0x2000) != 0;
  info.offset = static_cast<std::uint16_t>((field & 0x1fff) * 8);
  info.fragment = info.more || info.offset != 0;
  info.ttl = frame[info.header + 8];
  info.next = frame[info.header + 9];
  return info;
}

bool headers_sound(const Tcp& segment) {
  for (std::size_t i = 0; i < segment.headers.size(); ++i) {
    const Ip6Header& header = segment.headers[i];
    const bool options =
        header.type == Ip6Header::kHopByHop || header.type == Ip6Header::kDestination;
    if (header.type == Ip6Header::kHopByHop && i != 0) return false;
    if (header.type == Ip6Header::kRouting && header.option != 0) return false;
    if (options && (header.option & 0xc0) != 0) return false;  // section 4.2: discard
  }
  return true;
}

std::size_t tcp_start(const Frame& frame) {
  std::vector<Ip6Header> headers;
  return walk(frame, headers);
}

bool read_frame(const Frame& frame, Tcp& segment) {
  const IpInfo ip = read_ip(frame);
  std::vector<Ip6Header> headers;
  const std::size_t tcp = walk(frame, headers);
  if (tcp == 0 || ip.end < tcp + 20) return false;
  segment = Tcp();
  segment.ipv6 = ip.ipv6;
  segment.headers = std::move(headers);
  segment.to_server = get16(frame, tcp + 2) == 80;
  segment.vlan = ip.vlan;
  segment.ttl = ip.ttl;
  segment.seq = get32(frame, tcp + 4);
  segment.ack = get32(frame, tcp + 8);
  segment.flags = frame[tcp + 13];
  segment.window = get16(frame, tcp + 14);
  segment.urgent = get16(frame, tcp + 18);
  segment.checksum_wrong = tcp_sum(frame, ip.header, tcp, ip.end) != 0;
  const std::size_t data = tcp + (frame[tcp + 12] >> 4) * 4U;
  if (data > ip.end) return false;
  for (std::size_t at = tcp + 20; at < data && frame[at] != 0;) {
    const std::size_t size = frame[at] == 1 ? 1 : frame[at + 1];
    if (size == 0 || at + size > data) break;
    if (frame[at] == 2) segment.mss = get16(frame, at + 2);
    if (frame[at] == 3) segment.window_scale = frame[at + 2];
    if (frame[at] == 4) segment.sack_permitted = true;
    for (std::size_t block = at + 2; frame[at] == 5 && block + 8 <= at + size; block += 8) {
      segment.sack.emplace_back(get32(frame, block), get32(frame, block + 4));
    }
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
