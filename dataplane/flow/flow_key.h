// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <cstring>

#include "dataplane/base/hash.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/net/packet.h"

namespace sluice::flow {

/// Which way a segment goes. It is the port that a frame came in on, never its addresses (contract
/// 3), so nobody can acknowledge in the server's name.
enum class Direction : std::uint8_t { kToServer = 0, kToClient = 1 };

constexpr Direction opposite(Direction direction) {
  return direction == Direction::kToServer ? Direction::kToClient : Direction::kToServer;
}

/// One connection: who is client is known, so both directions make one key without sorting. No
/// padding: compared and hashed as bytes.
struct FlowKey {
  base::IpAddress client, server;
  std::uint16_t client_port = 0, server_port = 0;
  /// link << 24 | VLAN stack (net::ParsedPacket::vlan_key). Evasions LK1-LK4: tags are part of the
  /// key, priority tags (VID 0) are none.
  std::uint32_t link_and_vlan = 0;

  friend bool operator==(const FlowKey& a, const FlowKey& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
  }
};
static_assert(sizeof(FlowKey) == 40);

/// The connection that a TCP segment belongs to. packet: needs ports_known. link: 0..255.
inline FlowKey flow_key(const net::ParsedPacket& packet, Direction direction, std::uint8_t link) {
  const bool to_server = direction == Direction::kToServer;
  FlowKey key;
  key.client = to_server ? packet.source : packet.destination;
  key.server = to_server ? packet.destination : packet.source;
  key.client_port = to_server ? packet.source_port : packet.destination_port;
  key.server_port = to_server ? packet.destination_port : packet.source_port;
  key.link_and_vlan = std::uint32_t{link} << 24 | packet.vlan_key;
  return key;
}

/// Keyed (evasion RX1): nobody who does not know the key can aim at a bucket.
inline std::uint64_t flow_hash(const base::HashKey& hash_key, const FlowKey& key) {
  return base::keyed_hash64(hash_key, &key, sizeof key);
}

}  // namespace sluice::flow
