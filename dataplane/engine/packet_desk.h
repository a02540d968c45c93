// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/abi/counters.h"
#include "dataplane/abi/limits.h"
#include "dataplane/engine/packet_port.h"
#include "dataplane/engine/pool.h"

namespace sluice::engine {

/// A datagram that came in fragments: its bytes as one frame, and the packets that it leaves in
/// when nobody had to change it.
struct JoinedPacket {
  static constexpr std::size_t kFrameBytesMax = 65535 + 64;
  std::uint32_t pool_index = 0;
  std::uint16_t fragment_count = 0;
  std::uint32_t frame_bytes = 0;
  std::array<net::PacketRef, abi::kFragmentsMax> fragments;
  std::array<std::uint8_t, kFrameBytesMax> frame;
};

/// Packets that the engine owns, whether they are one of the port's or a joined datagram.
class PacketDesk {
 public:
  PacketDesk(const PacketPort& port, abi::WorkerCounters& counters, Pool<JoinedPacket>& joined)
      : port_(port), counters_(counters), joined_(joined) {}

  /// Takes over the fragments and copies the frame. None: no place is free; the fragments stay the
  /// caller's.
  net::PacketRef adopt(base::Bytes frame, std::span<const net::PacketRef> fragments);
  [[nodiscard]] base::MutableBytes frame(net::PacketRef packet) const;
  /// Sends a packet that was kept, cut to `frame_bytes`. `changed`: its bytes are not those that
  /// came in. A joined datagram leaves in its fragments unless it was changed; then in one packet
  /// if that fits kCraftedBytesMax, else it is dropped (link_oversize) and sent again smaller.
  void transmit(net::PacketRef packet, std::size_t frame_bytes, bool changed, std::uint16_t link,
                Side out);
  /// Sends a packet that a connection held, with the first `payload_bytes` of its payload.
  void release(net::PacketRef packet, std::uint32_t payload_bytes, std::uint16_t link, Side out);
  void free(net::PacketRef packet);
  [[nodiscard]] static bool is_joined(net::PacketRef packet) {
    return (packet.handle & kJoinedMark) == kJoinedMark;
  }

 private:
  /// No address and no index that a port hands out has these bits set.
  static constexpr std::uint64_t kJoinedMark = 0xfffe'0000'0000'0000ULL;
  [[nodiscard]] JoinedPacket& joined(net::PacketRef packet) const {
    return joined_.at(static_cast<std::uint32_t>(packet.handle));
  }

  const PacketPort& port_;
  abi::WorkerCounters& counters_;
  Pool<JoinedPacket>& joined_;
};

}  // namespace sluice::engine
