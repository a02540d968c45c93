// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"

/// Frames for tests, right or wrong as told. Written apart from dataplane/net and with its own
/// plain checksum, so that the two check each other.
namespace sluice::test {

using Frame = std::vector<std::uint8_t>;

/// The textbook sum of RFC 1071: 16 bits at a time.
inline std::uint16_t plain_checksum(const Frame& data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    const std::uint32_t low = i + 1 < data.size() ? data[i + 1] : 0U;
    sum += static_cast<std::uint32_t>(data[i]) << 8 | low;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(~sum);
}

inline void put16(Frame& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
inline void put32(Frame& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
inline void append(Frame& out, const Frame& more) {
  out.insert(out.end(), more.begin(), more.end());
}
inline Frame bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

/// Builds one frame. Every field may be set before build(); the defaults are a sound TCP segment
/// from 192.0.2.1:40000 to 198.51.100.2:80. The family follows `source`.
struct PacketBuilder {
  // Ethernet
  Frame destination_mac{0x02, 0, 0, 0, 0, 2}, source_mac{0x02, 0, 0, 0, 0, 1};
  std::vector<std::pair<unsigned, unsigned>> tags;  ///< {TPID, TCI}, outer first
  int ethertype = -1;                               ///< -1: as the family says
  bool snap = false;                                ///< 802.3 + LLC/SNAP
  Frame padding;                                    ///< behind the IP packet
  // IP
  std::string source = "192.0.2.1", destination = "198.51.100.2";
  int version = -1, ihl = -1, total_length = -1;  ///< IPv6: total_length is the payload length
  unsigned ttl = 64, id = 0x1234;
  unsigned fragment_field = 0x4000;  ///< IPv4 flags and offset / 8
  int protocol = 6;
  Frame ip_options;      ///< IPv4, a multiple of 4
  Frame extension;       ///< IPv6: extension headers, verbatim
  int next_header = -1;  ///< IPv6: of the fixed header; -1: protocol
  bool bad_ip_checksum = false;
  // TCP
  unsigned source_port = 40000, destination_port = 80;
  std::uint32_t sequence = 1000, acknowledgment = 2000;
  int data_offset = -1;
  unsigned reserved = 0, flags = 0x18, window = 65535, urgent_pointer = 0;
  Frame options;  ///< padded with EOL to a multiple of 4
  bool bad_tcp_checksum = false;
  Frame payload;
  /// Replaces the transport layer by these bytes: fragments, UDP, ICMP, anything.
  bool raw_transport = false;
  Frame transport;

  PacketBuilder& from(std::string_view address, unsigned port) {
    source = address, source_port = port;
    return *this;
  }
  PacketBuilder& to(std::string_view address, unsigned port) {
    destination = address, destination_port = port;
    return *this;
  }
  PacketBuilder& tcp(std::uint32_t seq, std::uint32_t ack, unsigned flag_bits) {
    sequence = seq, acknowledgment = ack, flags = flag_bits;
    return *this;
  }
  PacketBuilder& data(std::string_view text) {
    payload = bytes_of(text);
    return *this;
  }
  PacketBuilder& timestamps(std::uint32_t value, std::uint32_t echo) {
    append(options, {1, 1, 8, 10});
    put32(options, value);
    put32(options, echo);
    return *this;
  }
  PacketBuilder& raw(Frame bytes, int protocol_number) {
    raw_transport = true, transport = std::move(bytes), protocol = protocol_number;
    return *this;
  }

  [[nodiscard]] bool is_v4() const { return source.find(':') == std::string::npos; }

  /// The TCP header and payload, with the checksum (wrong if asked).
  [[nodiscard]] Frame tcp_segment() const {
    Frame padded = options;
    while (padded.size() % 4 != 0) padded.push_back(0);
    Frame out;
    put16(out, source_port);
    put16(out, destination_port);
    put32(out, sequence);
    put32(out, acknowledgment);
    const unsigned words =
        data_offset >= 0 ? static_cast<unsigned>(data_offset) : 5 + unsigned(padded.size() / 4);
    out.push_back(static_cast<std::uint8_t>((words & 15) << 4 | (reserved & 15)));
    out.push_back(static_cast<std::uint8_t>(flags));
    put16(out, window);
    put16(out, 0);
    put16(out, urgent_pointer);
    append(out, padded);
    append(out, payload);
    Frame pseudo = address_bytes(source);
    append(pseudo, address_bytes(destination));
    put32(pseudo, static_cast<std::uint32_t>(out.size()));
    put32(pseudo, 6);
    append(pseudo, out);
    unsigned sum = plain_checksum(pseudo);
    if (bad_tcp_checksum) sum ^= 0x5555;
    out[16] = static_cast<std::uint8_t>(sum >> 8);
    out[17] = static_cast<std::uint8_t>(sum);
    return out;
  }

  /// What IP carries.
  [[nodiscard]] Frame transport_bytes() const { return raw_transport ? transport : tcp_segment(); }

  [[nodiscard]] Frame network_packet() const { return is_v4() ? ipv4_packet() : ipv6_packet(); }

  [[nodiscard]] Frame build() const {
    Frame out = destination_mac;
    append(out, source_mac);
    for (const auto& [tpid, tci] : tags) {
      put16(out, tpid);
      put16(out, tci);
    }
    const unsigned type =
        ethertype >= 0 ? static_cast<unsigned>(ethertype) : (is_v4() ? 0x0800U : 0x86ddU);
    const Frame network = network_packet();
    if (snap) {
      put16(out, static_cast<unsigned>(network.size()) + 8);
      append(out, {0xaa, 0xaa, 0x03, 0, 0, 0});
    }
    put16(out, type);
    append(out, network);
    append(out, padding);
    return out;
  }

  /// 4 or 16 bytes.
  static Frame address_bytes(const std::string& text) {
    const auto address = base::IpAddress::parse(text).value();
    const bool v4 = text.find(':') == std::string::npos;
    return {address.bytes + (v4 ? 12 : 0), address.bytes + 16};
  }

 private:
  [[nodiscard]] Frame ipv4_packet() const {
    const Frame body = transport_bytes();
    const unsigned header = 20 + static_cast<unsigned>(ip_options.size());
    Frame out;
    const int nibble = version >= 0 ? version : 4;
    const int words = ihl >= 0 ? ihl : static_cast<int>(header / 4);
    out.push_back(static_cast<std::uint8_t>(nibble << 4 | words));
    out.push_back(0);
    put16(out, total_length >= 0 ? static_cast<unsigned>(total_length)
                                 : header + static_cast<unsigned>(body.size()));
    put16(out, id);
    put16(out, fragment_field);
    out.push_back(static_cast<std::uint8_t>(ttl));
    out.push_back(static_cast<std::uint8_t>(protocol));
    put16(out, 0);
    append(out, address_bytes(source));
    append(out, address_bytes(destination));
    append(out, ip_options);
    unsigned sum = plain_checksum(out);
    if (bad_ip_checksum) sum ^= 0x0101;
    out[10] = static_cast<std::uint8_t>(sum >> 8);
    out[11] = static_cast<std::uint8_t>(sum);
    append(out, body);
    return out;
  }

  [[nodiscard]] Frame ipv6_packet() const {
    const Frame body = transport_bytes();
    Frame out;
    put32(out, static_cast<std::uint32_t>(version >= 0 ? version : 6) << 28);
    put16(out, total_length >= 0 ? static_cast<unsigned>(total_length)
                                 : static_cast<unsigned>(extension.size() + body.size()));
    out.push_back(static_cast<std::uint8_t>(next_header >= 0 ? next_header : protocol));
    out.push_back(static_cast<std::uint8_t>(ttl));
    append(out, address_bytes(source));
    append(out, address_bytes(destination));
    append(out, extension);
    append(out, body);
    return out;
  }
};

}  // namespace sluice::test
