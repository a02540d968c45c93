// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/worker.h"

#include <rte_pause.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

#include "dataplane/worker/alloc_guard.h"

namespace sluice::worker {
namespace {

/// Idle polls before a worker pauses or sleeps: a burst's gaps are shorter than that.
constexpr std::uint64_t kIdlePollsBeforeWait = 64;
/// Sleeps grow with idleness: the first keeps latency low, the longest leaves the core to others.
constexpr long kSleepShortestNs = 50'000, kSleepLongestNs = 200'000;
constexpr std::uint64_t kSleepsBeforeLongest = 100;
constexpr std::uint64_t kPausesMax = 64;

}  // namespace

Worker::Worker(const WorkerSetup& setup)
    : setup_(setup),
      counters_(*setup.counters),
      stages_(counters_),
      outs_(std::make_unique<Out[]>(setup.links.size() * 2)) {
  for (std::size_t link = 0; link < setup.links.size(); ++link) {
    for (const engine::Side side : {engine::Side::kOutside, engine::Side::kInside}) {
      Out& to = out(link, side);
      to.link = static_cast<std::uint16_t>(link);
      to.side = static_cast<std::uint16_t>(side);
      to.buffer.open(setup.links[link].sides[to.side].id, setup.index);
    }
  }
}

void Worker::run() {
  // Sleeps of 50 us shall not be rounded up by the kernel's default slack of another 50 us.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  {
    const AllocGuard no_allocation;
    while (!setup_.shared->stop.load(std::memory_order_relaxed)) {
      if (poll_once()) {
        idle_polls_ = 0;
      } else {
        wait_idle();
      }
    }
  }
  for (std::size_t i = 0; i < setup_.links.size() * 2; ++i) outs_[i].buffer.clear();
}

bool Worker::poll_once() {
  stages_.start();
  observe();
  counters_.count(abi::CounterId::kPolls);
  const std::size_t received = receive_all();
  const std::size_t sent = transmit_all();
  if (received == 0 && sent == 0) {
    counters_.count(abi::CounterId::kIdlePolls);
    stages_.stop(abi::Stage::kIdle);
    return false;
  }
  return true;
}

void Worker::observe() {
  const base::Nanos now = base::monotonic_now();
  const std::uint64_t gap_ms = now_ == 0 ? 0 : (now - now_) / base::kNanosPerMilli;
  abi::Counter& stall = counters_.values[static_cast<std::size_t>(abi::CounterId::kStallMs)];
  if (gap_ms > stall.get()) stall.set(gap_ms);
  now_ = now;
  counters_.heartbeat_ns.set(now);
  const Snapshot* current = setup_.shared->current.load(std::memory_order_acquire);
  if (current == snapshot_) return;
  snapshot_ = current;
  counters_.count(abi::CounterId::kGenerationsSeen);
  counters_.generation.set(current->live == nullptr ? 0 : current->live->number());
  setup_.shared->workers[setup_.index].observed.store(current->sequence, std::memory_order_release);
}

std::size_t Worker::receive_all() {
  std::size_t received = 0;
  for (std::size_t link = 0; link < setup_.links.size(); ++link) {
    for (const engine::Side side : {engine::Side::kOutside, engine::Side::kInside}) {
      const WorkerPort& port = setup_.links[link].sides[static_cast<std::size_t>(side)];
      if (!port.polled) continue;
      rte_mbuf* frames[abi::kBurstMax];
      const std::size_t count = io::receive(port.id, setup_.index, frames);
      if (count == 0) continue;
      std::uint64_t bytes = 0;
      for (std::size_t i = 0; i < count; ++i) bytes += frames[i]->pkt_len;
      auto& port_counters = counters_.ports[link][static_cast<std::size_t>(side)];
      port_counters.rx_packets.add(count);
      port_counters.rx_bytes.add(bytes);
      counters_.count(abi::CounterId::kRxPackets, count);
      counters_.count(abi::CounterId::kRxBytes, bytes);
      stages_.stop(abi::Stage::kReceive);
      decide(link, side, frames, count);
      received += count;
    }
  }
  return received;
}

void Worker::decide(std::size_t link, engine::Side side, rte_mbuf** frames, std::size_t count) {
  const bool blocked = snapshot_->live == nullptr && !snapshot_->switches.bypass &&
                       !setup_.links[link].bypass_on_failure;
  for (std::size_t i = 0; i < count; ++i) {
    if (blocked) {
      drop(frames[i], abi::Reason::kNoGeneration);
    } else {
      counters_.count(abi::CounterId::kUninspected);
      send(link, engine::other(side), frames[i]);
    }
  }
}

void Worker::send(std::size_t link, engine::Side to, rte_mbuf* frame) {
  if (!out(link, to).buffer.push(frame)) drop(frame, abi::Reason::kTxFull);
}

void Worker::drop(rte_mbuf* frame, abi::Reason reason) {
  counters_.drop(reason);
  rte_pktmbuf_free(frame);
}

std::size_t Worker::transmit_all() {
  std::size_t sent = 0;
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < setup_.links.size() * 2; ++i) {
    Out& to = outs_[i];
    if (to.buffer.count() == 0) continue;
    std::uint64_t port_bytes = 0;
    const std::size_t count = to.buffer.flush(port_bytes);
    counters_.ports[to.link][to.side].tx_packets.add(count);
    counters_.ports[to.link][to.side].tx_bytes.add(port_bytes);
    sent += count;
    bytes += port_bytes;
  }
  if (sent == 0) return 0;
  counters_.count(abi::CounterId::kTxPackets, sent);
  counters_.count(abi::CounterId::kTxBytes, bytes);
  stages_.stop(abi::Stage::kTransmit);
  return sent;
}

void Worker::wait_idle() {
  ++idle_polls_;
  if (idle_polls_ <= kIdlePollsBeforeWait || setup_.idle == config::Idle::kSpin) return;
  const std::uint64_t waits = idle_polls_ - kIdlePollsBeforeWait;
  if (setup_.idle == config::Idle::kPause) {
    for (std::uint64_t i = 0; i < std::min(waits, kPausesMax); ++i) rte_pause();
    return;
  }
  const timespec wait{0, waits < kSleepsBeforeLongest ? kSleepShortestNs : kSleepLongestNs};
  ::nanosleep(&wait, nullptr);
}

}  // namespace sluice::worker
