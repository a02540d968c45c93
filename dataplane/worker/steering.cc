// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/steering.h"

#include <rte_lcore.h>

#include <string>
#include <utility>

namespace sluice::worker {
namespace {

base::Result<rte_ring*> make_ring(const char* kind, std::size_t from, std::size_t to,
                                  unsigned count) {
  const std::string name =
      std::string(kind) + "_" + std::to_string(from) + "_" + std::to_string(to);
  rte_ring* ring =
      rte_ring_create(name.c_str(), count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) return base::Error{"no memory for the rings between workers"};
  return ring;
}

}  // namespace

base::Result<Steering> Steering::create(std::uint16_t workers) {
  Steering steering;
  steering.workers_ = workers;
  const std::size_t pairs = std::size_t{workers} * workers;
  steering.frames_.resize(pairs);
  steering.joined_.resize(pairs);
  steering.returned_.resize(pairs);
  for (std::size_t from = 0; from < workers; ++from) {
    for (std::size_t to = 0; to < workers; ++to) {
      if (from == to) continue;
      auto frames = make_ring("frames", from, to, kSteerRingFrames);
      auto joined = make_ring("joined", from, to, 2 * kJoinedSlots);
      auto returned = make_ring("returned", from, to, 2 * kJoinedSlots);
      for (const auto* made : {&frames, &joined, &returned}) {
        if (!made->ok()) return made->error();
      }
      steering.frames_[from * workers + to] = frames.value();
      steering.joined_[from * workers + to] = joined.value();
      steering.returned_[from * workers + to] = returned.value();
    }
    auto slots = Region::anonymous(kJoinedSlots * sizeof(JoinedSlot), false);
    if (!slots.ok()) return slots.error();
    steering.slots_.push_back(std::move(slots).value());
  }
  return steering;
}

std::uint16_t fold_flow(const net::ParsedPacket& packet) {
  std::uint16_t folded = packet.source_port ^ packet.destination_port;
  for (std::size_t i = 0; i < 16; i += 2) {
    folded = static_cast<std::uint16_t>(folded ^ base::load_be16(packet.source.bytes + i) ^
                                        base::load_be16(packet.destination.bytes + i));
  }
  return folded;
}

}  // namespace sluice::worker
