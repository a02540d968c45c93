// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/net/packet.h"
#include "dataplane/net/packet_ref.h"

/// What the engine needs of whoever owns packets: the worker (mbufs), `sluicectl replay`, the
/// simulator, tests. Plain function pointers: they are called for packets that the engine kept or
/// made, never for one that is decided within its own burst.
namespace sluice::engine {

/// The port a frame came in on, or goes out of. Numbers are those of abi::PortCounters.
enum class Side : std::uint8_t { kOutside = 0, kInside = 1 };

constexpr Side other(Side side) { return side == Side::kOutside ? Side::kInside : Side::kOutside; }

struct PacketPort {
  void* context = nullptr;
  /// The frame of a kept packet: contiguous, writable, the same bytes that process() was given.
  base::MutableBytes (*frame)(void* context, net::PacketRef packet) = nullptr;
  /// Sends a packet that the engine owned out of `link`'s port on `out`. Ownership goes with it.
  /// frame_bytes: new length of its frame, at most what frame() gave.
  void (*transmit)(void* context, net::PacketRef packet, std::size_t frame_bytes,
                   std::uint16_t link, Side out) = nullptr;
  /// Gives a packet back unsent.
  void (*free)(void* context, net::PacketRef packet) = nullptr;
  /// A packet for a crafted frame of at most `bytes` (<= kCraftedBytesMax); `frame` is its room.
  /// None when the pool is empty: the engine counts and goes on without.
  net::PacketRef (*allocate)(void* context, std::size_t bytes, base::MutableBytes& frame) = nullptr;
};

/// Longest frame that the engine crafts: a reply's segment, within an Ethernet MTU of 1500.
inline constexpr std::size_t kCraftedBytesMax = 1536;

/// What becomes of a packet after process().
enum class Fate : std::uint8_t {
  kForward,  ///< the caller sends it out of the other side, `frame_bytes` long
  kKept,     ///< the engine owns it: held for a verdict, or a fragment; it comes out by the port
  kDrop,     ///< the caller frees it; `reason` was counted
};

/// One packet of a burst: the caller fills the first part, parse() the second, process() the third.
struct Packet {
  net::PacketRef ref;
  base::MutableBytes frame;  ///< contiguous, writable while the engine has the packet
  net::HardwareChecks checks;
  std::uint16_t link = 0;
  Side side = Side::kOutside;  ///< the port it came in on: the direction, whatever addresses say

  net::ParsedPacket parsed;
  net::Protection protection;
  std::uint16_t service = 0xffff;  ///< of the protected end, as far as its address tells
  std::uint64_t flow_hash = 0;     ///< names the worker; set if needs_steering()

  Fate fate = Fate::kForward;
  abi::Reason reason = abi::Reason::kNone;
  std::uint32_t frame_bytes = 0;
};

}  // namespace sluice::engine
