// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/abi/limits.h"
#include "dataplane/base/result.h"
#include "dataplane/engine/engine.h"
#include "dataplane/net/packet.h"
#include "dataplane/worker/memory.h"

namespace sluice::worker {

/// Frames between two workers beyond this wait nowhere: steer_full.
inline constexpr unsigned kSteerRingFrames = 2048;
/// Joined datagrams under way from one worker; a power of two. Beyond: steer_full.
inline constexpr unsigned kJoinedSlots = 32;
inline constexpr std::size_t kJoinedBytesMax = 65535 + 64;

/// A datagram that one worker joined and another judges.
struct JoinedSlot {
  std::uint16_t from = 0, link = 0;
  engine::Side side = engine::Side::kOutside;
  std::uint32_t bytes = 0;
  std::uint16_t fragment_count = 0;
  std::uint64_t flow_hash = 0;
  std::array<net::PacketRef, abi::kFragmentsMax> fragments;
  std::array<std::uint8_t, kJoinedBytesMax> frame;
};

/// Rings between every two workers, so that both directions of a flow meet on one: each ring has
/// one producer and one consumer.
class Steering {
 public:
  /// Error: not enough memory.
  static base::Result<Steering> create(std::uint16_t workers);

  [[nodiscard]] rte_ring* frames(std::size_t from, std::size_t to) const {
    return frames_[from * workers_ + to];
  }
  [[nodiscard]] rte_ring* joined(std::size_t from, std::size_t to) const {
    return joined_[from * workers_ + to];
  }
  /// Slots on their way back from `user` to their owner.
  [[nodiscard]] rte_ring* returned(std::size_t user, std::size_t owner) const {
    return returned_[user * workers_ + owner];
  }
  /// kJoinedSlots slots of one worker.
  [[nodiscard]] JoinedSlot* slots(std::size_t worker) const {
    return reinterpret_cast<JoinedSlot*>(slots_[worker].bytes().data());
  }

 private:
  std::size_t workers_ = 0;
  std::vector<rte_ring*> frames_, joined_, returned_;
  std::vector<Region> slots_;
};

/// Which worker a flow goes to by software. flow_hash: keyed, so that nobody can aim at a worker
/// (evasion RX2). Not by its low bits: the owner's tables take their places by those, and its flows
/// would meet in one of `workers` of them.
constexpr std::size_t steered_to(std::uint64_t flow_hash, std::size_t workers) {
  return (flow_hash >> 32) % workers;
}

/// The XOR of all 16-bit words of both addresses and ports: what symmetric RSS depends on. The
/// prefixes of mapped IPv4 addresses cancel out.
std::uint16_t fold_flow(const net::ParsedPacket& packet);

}  // namespace sluice::worker
