// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/worker.h"

#include <rte_pause.h>
#include <rte_prefetch.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "dataplane/io/port.h"
#include "dataplane/worker/alloc_guard.h"

namespace sluice::worker {
namespace {

/// Idle polls before a worker pauses or sleeps: a burst's gaps are shorter than that.
constexpr std::uint64_t kIdlePollsBeforeWait = 64;
/// Sleeps grow with idleness: the first keeps latency low, the longest leaves the core to others.
constexpr long kSleepShortestNs = 50'000, kSleepLongestNs = 200'000;
constexpr std::uint64_t kSleepsBeforeLongest = 100;
constexpr std::uint64_t kPausesMax = 64;
/// Two clocks drift by at most a microsecond in this time.
constexpr base::Nanos kWallInterval = 100 * base::kNanosPerMilli;
constexpr std::size_t kPrefetchAhead = 4;

rte_mbuf* mbuf_of(net::PacketRef packet) { return reinterpret_cast<rte_mbuf*>(packet.handle); }
net::PacketRef ref_of(const rte_mbuf* frame) { return {reinterpret_cast<std::uint64_t>(frame)}; }
void set_length(rte_mbuf* frame, std::size_t bytes) {
  frame->data_len = static_cast<std::uint16_t>(bytes);
  frame->pkt_len = static_cast<std::uint32_t>(bytes);
}

net::HardwareChecks checks_of(const rte_mbuf* frame) {
  return {(frame->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD,
          (frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD};
}

}  // namespace

Worker::Worker(const WorkerSetup& setup)
    : setup_(setup),
      counters_(*setup.counters),
      stages_(counters_),
      outs_(std::make_unique<Out[]>(setup.links.size() * 2)),
      burst_(std::make_unique<engine::Packet[]>(abi::kBurstMax)) {
  if (setup.steering != nullptr) {
    for (unsigned i = 0; i < kJoinedSlots; ++i) {
      (void)free_slots_.push(&setup.steering->slots(setup.index)[i]);
    }
  }
  for (std::size_t link = 0; link < setup.links.size(); ++link) {
    for (const engine::Side side : {engine::Side::kOutside, engine::Side::kInside}) {
      Out& to = out(link, side);
      to.link = static_cast<std::uint16_t>(link);
      to.side = static_cast<std::uint16_t>(side);
      to.buffer.open(setup.links[link].sides[to.side].id, setup.index);
    }
  }
}

base::Status Worker::open_engine(const engine::EngineConfig& config,
                                 engine::EngineEnvironment environment) {
  environment.stages = &stages_;
  environment.port = {this, port_frame, port_transmit, port_free, port_allocate};
  auto made = engine::Engine::create(config, environment);
  if (!made.ok()) return made.error();
  engine_ = std::move(made).value();
  if (setup_.steering != nullptr) engine_->set_joined_hook({this, take_joined});
  return base::ok_status();
}

void Worker::run() {
  // Sleeps of 50 us shall not be rounded up by the kernel's default slack of another 50 us.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  setup_.shared->workers[setup_.index].thread.store(::gettid(), std::memory_order_relaxed);
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
  stages_.stop(abi::Stage::kObserve);
  counters_.count(abi::CounterId::kPolls);
  std::size_t work = receive_all();
  if (setup_.steering != nullptr) work += receive_steered() + receive_joined();
  const std::size_t timers = engine_->poll(now_, wall_);
  if (timers != 0) stages_.stop(abi::Stage::kTimers);
  work += timers + transmit_all();
  if (work == 0) {
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
  if (now - wall_checked_ > kWallInterval) {
    wall_offset_ = base::wall_now() - now;
    wall_checked_ = now;
  }
  wall_ = now + wall_offset_;
  const Snapshot* current = setup_.shared->current.load(std::memory_order_acquire);
  engine_->observe(current->live, current->staged, current->switches);
  if (current == snapshot_) return;
  snapshot_ = current;
  engine_->end_pins(current->ending);
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

std::size_t Worker::receive_steered() {
  std::size_t received = 0;
  for (std::size_t from = 0; from < setup_.worker_count; ++from) {
    if (from == setup_.index) continue;
    void* frames[abi::kBurstMax];
    const unsigned count = rte_ring_sc_dequeue_burst(setup_.steering->frames(from, setup_.index),
                                                     frames, abi::kBurstMax, nullptr);
    if (count == 0) continue;
    std::size_t admitted = 0;
    for (unsigned i = 0; i < count; ++i) {
      auto* frame = static_cast<rte_mbuf*>(frames[i]);
      // The sender left link and side here: the port's number alone would need a table.
      const std::uint32_t origin = frame->hash.usr;
      admitted += admit(admitted, origin >> 1, static_cast<engine::Side>(origin & 1), frame, true)
                      ? 1U
                      : 0U;
    }
    counters_.count(abi::CounterId::kSteeredIn, count);
    stages_.stop(abi::Stage::kSteer);
    process(admitted);
    received += count;
  }
  return received;
}

std::size_t Worker::receive_joined() {
  std::size_t received = 0;
  for (std::size_t other = 0; other < setup_.worker_count; ++other) {
    if (other == setup_.index) continue;
    void* slot = nullptr;
    while (rte_ring_sc_dequeue(setup_.steering->returned(other, setup_.index), &slot) == 0) {
      (void)free_slots_.push(static_cast<JoinedSlot*>(slot));
    }
    if (rte_ring_sc_dequeue(setup_.steering->joined(other, setup_.index), &slot) != 0) continue;
    const JoinedSlot& joined = *static_cast<JoinedSlot*>(slot);
    const engine::JoinedDatagram datagram{{joined.frame.data(), joined.bytes},
                                          {joined.fragments.data(), joined.fragment_count},
                                          joined.link,
                                          joined.side,
                                          joined.flow_hash};
    engine_->process_joined(datagram, now_, wall_);
    (void)rte_ring_sp_enqueue(setup_.steering->returned(setup_.index, other), slot);
    stages_.stop(abi::Stage::kStream);
    ++received;
  }
  return received;
}

void Worker::decide(std::size_t link, engine::Side side, rte_mbuf** frames, std::size_t count) {
  const bool bypass = snapshot_->switches.bypass ||
                      (snapshot_->live == nullptr && setup_.links[link].bypass_on_failure);
  if (bypass) {
    counters_.count(abi::CounterId::kUninspected, count);
    for (std::size_t i = 0; i < count; ++i) send(link, engine::other(side), frames[i]);
    return;
  }
  if (snapshot_->live == nullptr) {
    for (std::size_t i = 0; i < count; ++i) drop(frames[i], abi::Reason::kNoGeneration);
    return;
  }
  for (std::size_t i = 0; i < std::min(count, kPrefetchAhead); ++i) {
    rte_prefetch0(rte_pktmbuf_mtod(frames[i], void*));
  }
  std::size_t admitted = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + kPrefetchAhead < count) {
      rte_prefetch0(rte_pktmbuf_mtod(frames[i + kPrefetchAhead], void*));
    }
    admitted += admit(admitted, link, side, frames[i], false) ? 1U : 0U;
  }
  stages_.stop(abi::Stage::kParse);
  process(admitted);
}

bool Worker::admit(std::size_t index, std::size_t link, engine::Side side, rte_mbuf* frame,
                   bool steered) {
  rte_mbuf* whole = io::linearise(frame);
  if (whole == nullptr) {
    drop(frame, abi::Reason::kLinkOversize);
    return false;
  }
  engine::Packet& packet = burst_[index];
  packet.ref = ref_of(whole);
  packet.frame = io::frame_bytes(whole);
  packet.checks = checks_of(whole);
  packet.link = static_cast<std::uint16_t>(link);
  packet.side = side;
  engine_->parse(packet);
  return steered || setup_.steering == nullptr || !steer(packet, whole);
}

std::size_t Worker::owner_of(const engine::Packet& packet) const {
  const std::uint16_t reta_size = setup_.links[packet.link].reta_size;
  return reta_size != 0 && packet.parsed.ports_known
             ? (io::symmetric_hash(fold_flow(packet.parsed)) & (reta_size - 1U)) %
                   setup_.worker_count
             : steered_to(packet.flow_hash, setup_.worker_count);
}

/// True: the frame is another worker's now, or dropped.
bool Worker::steer(engine::Packet& packet, rte_mbuf* frame) {
  if (!engine_->needs_steering(packet)) return false;
  const std::size_t owner = owner_of(packet);
  if (owner == setup_.index) return false;
  if (setup_.links[packet.link].reta_size != 0 && packet.parsed.ports_known) {
    counters_.count(abi::CounterId::kMisdirected);
  }
  if (setup_.shared->workers[owner].stalled.load(std::memory_order_relaxed)) {
    if (setup_.links[packet.link].bypass_on_failure) {
      counters_.count(abi::CounterId::kUninspected);
      send(packet.link, engine::other(packet.side), frame);
    } else {
      drop(frame, abi::Reason::kWorkerStalled);
    }
    return true;
  }
  frame->hash.usr =
      static_cast<std::uint32_t>(packet.link) << 1 | static_cast<std::uint32_t>(packet.side);
  if (rte_ring_sp_enqueue(setup_.steering->frames(setup_.index, owner), frame) != 0) {
    drop(frame, abi::Reason::kSteerFull);
  } else {
    counters_.count(abi::CounterId::kSteeredOut);
  }
  return true;
}

void Worker::process(std::size_t count) {
  if (count == 0) return;
  engine_->process({burst_.get(), count}, now_, wall_);
  for (std::size_t i = 0; i < count; ++i) {
    const engine::Packet& packet = burst_[i];
    rte_mbuf* frame = mbuf_of(packet.ref);
    switch (packet.fate) {
      case engine::Fate::kForward:
        set_length(frame, packet.frame_bytes);
        send(packet.link, engine::other(packet.side), frame);
        break;
      case engine::Fate::kKept:
        break;
      case engine::Fate::kDrop:
        rte_pktmbuf_free(frame);
        break;
    }
  }
  stages_.stop(abi::Stage::kStream);
}

base::MutableBytes Worker::port_frame(void* /*context*/, net::PacketRef packet) {
  return io::frame_bytes(mbuf_of(packet));
}

void Worker::port_transmit(void* context, net::PacketRef packet, std::size_t frame_bytes,
                           std::uint16_t link, engine::Side to) {
  set_length(mbuf_of(packet), frame_bytes);
  static_cast<Worker*>(context)->send(link, to, mbuf_of(packet));
}

void Worker::port_free(void* /*context*/, net::PacketRef packet) {
  rte_pktmbuf_free(mbuf_of(packet));
}

net::PacketRef Worker::port_allocate(void* context, std::size_t bytes, base::MutableBytes& frame) {
  rte_mbuf* made = rte_pktmbuf_alloc(static_cast<Worker*>(context)->setup_.crafted_pool);
  if (made == nullptr) return {};
  if (bytes > rte_pktmbuf_tailroom(made)) {
    rte_pktmbuf_free(made);
    return {};
  }
  set_length(made, bytes);
  frame = io::frame_bytes(made);
  return ref_of(made);
}

bool Worker::take_joined(void* context, const engine::JoinedDatagram& datagram) {
  auto& worker = *static_cast<Worker*>(context);
  std::size_t owner = steered_to(datagram.flow_hash, worker.setup_.worker_count);
  if (const std::uint16_t reta_size = worker.setup_.links[datagram.link].reta_size;
      reta_size != 0) {
    net::ParsedPacket parsed;
    net::parse(datagram.frame, {}, parsed);
    owner = (io::symmetric_hash(fold_flow(parsed)) & (reta_size - 1U)) % worker.setup_.worker_count;
  }
  return owner != worker.setup_.index && worker.hand_over(datagram, owner);
}

bool Worker::hand_over(const engine::JoinedDatagram& datagram, std::size_t owner) {
  const bool fits =
      datagram.frame.size() <= kJoinedBytesMax && datagram.fragments.size() <= abi::kFragmentsMax;
  if (!fits || free_slots_.empty()) {
    for (const net::PacketRef fragment : datagram.fragments) {
      drop(mbuf_of(fragment), abi::Reason::kSteerFull);
    }
    return true;
  }
  JoinedSlot* slot = free_slots_.back();
  free_slots_.pop();
  slot->from = setup_.index;
  slot->link = datagram.link;
  slot->side = datagram.side;
  slot->flow_hash = datagram.flow_hash;
  slot->bytes = static_cast<std::uint32_t>(datagram.frame.size());
  slot->fragment_count = static_cast<std::uint16_t>(datagram.fragments.size());
  std::copy(datagram.frame.begin(), datagram.frame.end(), slot->frame.begin());
  std::copy(datagram.fragments.begin(), datagram.fragments.end(), slot->fragments.begin());
  // Room for every slot there is: this cannot be full.
  (void)rte_ring_sp_enqueue(setup_.steering->joined(setup_.index, owner), slot);
  return true;
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
    if (setup_.shared->port_down[to.link][to.side].load(std::memory_order_relaxed)) {
      counters_.drop(abi::Reason::kPortDown, to.buffer.count());
      to.buffer.clear();
      continue;
    }
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
