// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/packet_desk.h"

#include <cstring>

#include "dataplane/net/craft.h"

namespace sluice::engine {

net::PacketRef PacketDesk::adopt(base::Bytes frame, std::span<const net::PacketRef> fragments) {
  if (frame.size() > JoinedPacket::kFrameBytesMax || fragments.size() > abi::kFragmentsMax) {
    return {};
  }
  JoinedPacket* place = joined_.take();
  if (place == nullptr) return {};
  place->frame_bytes = static_cast<std::uint32_t>(frame.size());
  std::memcpy(place->frame.data(), frame.data(), frame.size());
  place->fragment_count = static_cast<std::uint16_t>(fragments.size());
  for (std::size_t i = 0; i < fragments.size(); ++i) place->fragments[i] = fragments[i];
  return {kJoinedMark | place->pool_index};
}

base::MutableBytes PacketDesk::frame(net::PacketRef packet) const {
  if (!is_joined(packet)) return port_.frame(port_.context, packet);
  JoinedPacket& place = joined(packet);
  return {place.frame.data(), place.frame_bytes};
}

void PacketDesk::transmit(net::PacketRef packet, std::size_t frame_bytes, bool changed,
                          std::uint16_t link, Side out) {
  if (!is_joined(packet)) {
    port_.transmit(port_.context, packet, frame_bytes, link, out);
    return;
  }
  JoinedPacket& place = joined(packet);
  if (!changed && frame_bytes == place.frame_bytes) {
    for (std::size_t i = 0; i < place.fragment_count; ++i) {
      const net::PacketRef fragment = place.fragments[i];
      port_.transmit(port_.context, fragment, port_.frame(port_.context, fragment).size(), link,
                     out);
    }
    joined_.give(place);
    return;
  }
  base::MutableBytes room;
  net::PacketRef whole;
  if (frame_bytes <= kCraftedBytesMax) whole = port_.allocate(port_.context, frame_bytes, room);
  if (whole.empty()) {
    counters_.drop(abi::Reason::kLinkOversize);
  } else {
    std::memcpy(room.data(), place.frame.data(), frame_bytes);
    port_.transmit(port_.context, whole, frame_bytes, link, out);
  }
  free(packet);
}

void PacketDesk::release(net::PacketRef packet, std::uint32_t payload_bytes, std::uint16_t link,
                         Side out) {
  const base::MutableBytes bytes = frame(packet);
  net::ParsedPacket parsed;
  net::parse(bytes, {}, parsed);
  if (payload_bytes >= parsed.payload_bytes) {
    transmit(packet, bytes.size(), false, link, out);
    return;
  }
  const std::size_t cut = net::trim_payload(bytes, parsed, payload_bytes);
  transmit(packet, cut, true, link, out);
}

void PacketDesk::free(net::PacketRef packet) {
  if (!is_joined(packet)) {
    port_.free(port_.context, packet);
    return;
  }
  JoinedPacket& place = joined(packet);
  for (std::size_t i = 0; i < place.fragment_count; ++i) {
    port_.free(port_.context, place.fragments[i]);
  }
  joined_.give(place);
}

}  // namespace sluice::engine
