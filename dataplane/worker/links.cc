// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/links.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

namespace sluice::worker {
namespace {

/// What a buffer takes in the pool beside its data: mbuf, mempool header, alignment.
constexpr std::uint32_t kBufferOverheadBytes = sizeof(rte_mbuf) + 64;
/// Drivers' rings, ethdev data and malloc's own bookkeeping.
constexpr std::size_t kEalExtraMb = 48;
constexpr std::uint32_t kCraftedBuffers = 4096;
/// Frames under way in one worker: caches, transmit buffers, a burst.
constexpr std::uint64_t kBuffersPerWorker = 2048;
constexpr std::uint64_t kBuffersPerQueue = 2048;  // both rings of a queue pair

std::uint32_t largest_mtu(const config::Settings& settings) {
  std::uint32_t mtu = 0;
  for (const config::Link& link : settings.links) mtu = std::max(mtu, link.mtu);
  return mtu;
}

std::uint32_t buffer_total_bytes(const config::Settings& settings) {
  return io::buffer_bytes(largest_mtu(settings)) + kBufferOverheadBytes;
}
std::uint64_t buffer_count(const config::Settings& settings) {
  return std::min<std::uint64_t>((settings.pool_mb << 20) / buffer_total_bytes(settings),
                                 UINT32_MAX / 2);
}
/// What queues, caches and bursts take: with fewer, ports would starve.
std::uint64_t buffers_needed(const config::Settings& settings) {
  return settings.cores.size() * (kBuffersPerWorker + settings.links.size() * 2 * kBuffersPerQueue);
}

constexpr const char* kSideNames[2] = {"outside", "inside"};

}  // namespace

std::size_t eal_memory_mb(const config::Settings& settings) {
  return settings.pool_mb + kEalExtraMb + settings.cores.size() * 2;
}

std::size_t held_frames_max(const config::Settings& settings) {
  return (buffer_count(settings) - buffers_needed(settings)) / settings.cores.size();
}

base::Status Links::make_buffers(const config::Settings& settings) {
  buffer_bytes_ = buffer_total_bytes(settings);
  buffers_ = static_cast<std::uint32_t>(buffer_count(settings));
  const std::uint64_t needed = buffers_needed(settings) * 5 / 4;
  if (buffers_ < needed) {
    return base::Error{"memory.pool_mb: " + std::to_string(settings.pool_mb) + " holds " +
                       std::to_string(buffers_) + " buffers of " + std::to_string(buffer_bytes_) +
                       " bytes, the queues of these links and workers need " +
                       std::to_string(needed) + ": set at least " +
                       std::to_string(((needed * buffer_bytes_) >> 20) + 1)};
  }
  auto pool = io::make_pool("frames", buffers_, largest_mtu(settings), SOCKET_ID_ANY);
  if (!pool.ok()) return pool.error();
  pool_ = pool.value();
  pool = io::make_pool("crafted", kCraftedBuffers, 1500, SOCKET_ID_ANY);
  if (!pool.ok()) return pool.error();
  crafted_pool_ = pool.value();
  return base::ok_status();
}

base::Result<Links> Links::open(const config::Settings& settings) {
  Links links;
  if (auto made = links.make_buffers(settings); !made.ok()) return made.error();
  std::string errors;
  for (const config::Link& from : settings.links) {
    OneLink link;
    link.bypass_on_failure = from.on_failure == config::OnFailure::kBypass;
    for (std::size_t side = 0; side < 2; ++side) {
      io::PortSettings port;
      port.label = "link " + from.name + ", " + kSideNames[side];
      port.device = side == 0 ? from.outside : from.inside;
      port.mtu = from.mtu;
      port.queues = static_cast<std::uint16_t>(settings.cores.size());
      auto opened = io::open_port(port, links.pool_);
      if (opened.ok()) {
        link.ports[side] = opened.value();
      } else {
        errors += (errors.empty() ? "" : "\n") + opened.error().message;
      }
    }
    links.links_.push_back(link);
  }
  if (!errors.empty()) return base::Error{errors};
  return links;
}

base::Status Links::start() {
  for (OneLink& link : links_) {
    for (const io::Port& port : link.ports) {
      if (auto started = io::start_port(port); !started.ok()) return started;
    }
    link.mirror = LinkMirror(base::monotonic_now());
  }
  return base::ok_status();
}

void Links::close() {
  for (const OneLink& link : links_) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (link.mirror.forced_down(side)) (void)io::set_link(link.ports[side], true);
      io::close_port(link.ports[side]);
    }
  }
}

std::vector<WorkerLink> Links::view(std::uint16_t index) const {
  std::vector<WorkerLink> view;
  for (const OneLink& link : links_) {
    WorkerLink& into = view.emplace_back();
    into.bypass_on_failure = link.bypass_on_failure;
    const auto& [outside, inside] = link.ports;
    // Only equal tables name equal queues for both directions.
    if (outside.reta_size == inside.reta_size) into.reta_size = outside.reta_size;
    for (std::size_t side = 0; side < 2; ++side) {
      into.sides[side] = {link.ports[side].id, index < link.ports[side].rx_queues};
    }
  }
  return view;
}

void Links::mirror(base::Nanos now, abi::DataplaneSegment& segment, SharedState& shared) {
  for (std::size_t i = 0; i < links_.size(); ++i) {
    OneLink& link = links_[i];
    std::array<bool, 2> up{};
    for (std::size_t side = 0; side < 2; ++side) {
      const io::LinkState state = io::link_state(link.ports[side]);
      up[side] = state.up;
      segment.links[i].up[side].store(state.up ? 1 : 0, std::memory_order_relaxed);
      segment.links[i].speed_mbps[side].store(state.speed_mbps, std::memory_order_relaxed);
    }
    link.mirror.update(now, up, [&](std::size_t side, bool to) {
      // A packet socket of an interface that is down keeps frames until its ring is full, and then
      // its driver waits: no frame may be on its way to it.
      if (!to) shared.port_down[i][side].store(true, std::memory_order_relaxed);
      return io::set_link(link.ports[side], to);
    });
    for (std::size_t side = 0; side < 2; ++side) {
      const bool down = link.mirror.forced_down(side) ||
                        (!up[side] && !link.ports[side].kernel_interface.empty());
      shared.port_down[i][side].store(down, std::memory_order_relaxed);
    }
  }
}

void Links::count_buffers(abi::DataplaneSegment& segment) const {
  const std::array<const rte_mempool*, abi::kBufferPools> pools = {pool_, crafted_pool_};
  for (std::size_t i = 0; i < pools.size(); ++i) {
    segment.buffers[i].store(pools[i]->size, std::memory_order_relaxed);
    segment.buffers_free[i].store(rte_mempool_avail_count(pools[i]), std::memory_order_relaxed);
  }
}

}  // namespace sluice::worker
