// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/run.h"

#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace sluice::gen {
namespace {

constexpr std::uint16_t kBurst = 64;
constexpr int kStartsPerPoll = 64;

constexpr base::Nanos nanos(double seconds) { return static_cast<base::Nanos>(seconds * 1e9); }

base::Nanos thread_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<base::Nanos>(now.tv_sec) * base::kNanosPerSecond +
         static_cast<base::Nanos>(now.tv_nsec);
}

}  // namespace

Run::Run(const Options& options, const Ports& ports, const Script& script)
    : options_(options),
      ports_(ports),
      to_server_(ports.client, ports.pool),
      to_client_(ports.server, ports.pool) {
  nanos_per_cycle_ = 1e9 / static_cast<double>(rte_get_tsc_hz());
  if (options.mode == "packets") {
    packets_ = std::make_unique<PacketLoad>(options.plan, options.packets, to_server_);
    return;
  }
  if (ports.client != kNoPort) {
    client_ = std::make_unique<Client>(script, options.plan, options.client, to_server_);
    noise_ = std::make_unique<Noise>(options.plan, options.noise, to_server_);
  }
  if (ports.server != kNoPort) {
    server_ = std::make_unique<Server>(script, options.plan, options.server, to_client_);
  }
}

base::Nanos Run::now() const {
  // One clock for all runs of the process, so that initial sequence numbers and timestamps grow
  // from run to run; from 1 ms on, so that no time is 0, which stands for "never".
  static const std::uint64_t clock_start = rte_rdtsc();
  return static_cast<base::Nanos>(static_cast<double>(rte_rdtsc() - clock_start) *
                                  nanos_per_cycle_) +
         base::kNanosPerMilli;
}

bool Run::receive(std::uint16_t port, bool at_client, base::Nanos now) {
  std::array<rte_mbuf*, kBurst> mbufs;
  std::array<base::Bytes, kBurst> frames;
  const std::uint16_t count = rte_eth_rx_burst(port, 0, mbufs.data(), kBurst);
  if (count == 0) return false;
  for (std::uint16_t i = 0; i < count; ++i) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
  for (std::uint16_t i = 0; i < count; ++i) {
    if (mbufs[i]->nb_segs > 1) rte_pktmbuf_linearize(mbufs[i]);
    frames[i] = {rte_pktmbuf_mtod(mbufs[i], const std::uint8_t*), mbufs[i]->data_len};
    wire_bytes_ += mbufs[i]->pkt_len;
  }
  const std::span<const base::Bytes> burst(frames.data(), count);
  (at_client ? client_frames_ : server_frames_) += count;
  if (packets_) {
    if (!at_client) packets_->receive(burst);
  } else if (at_client) {
    client_->receive(burst, now);
  } else {
    server_->receive(burst, now);
  }
  rte_pktmbuf_free_bulk(mbufs.data(), count);
  return true;
}

/// The share of the full load that is due now.
double Run::ramp_share(base::Nanos now) const {
  if (phase_ != Phase::kRampUp) return 1;
  const double whole = std::max(options_.phases.ramp_up * 1e9, 1.0);
  return std::clamp(static_cast<double>(now - phase_start_) / whole, 0.01, 1.0);
}

bool Run::issue_open_loop(base::Nanos now) {
  bool any = false;
  const double rate = options_.rate * ramp_share(now);
  for (int i = 0; i < kStartsPerPoll && next_due_ <= now; ++i) {
    if (!client_->start(next_due_, now)) break;
    any = true;
    due_in_sustain_ += phase_ == Phase::kSustain ? 1U : 0U;
    due_carry_ += 1e9 / rate;
    const auto step = static_cast<base::Nanos>(due_carry_);
    due_carry_ -= static_cast<double>(step);
    next_due_ += step;
  }
  return any;
}

bool Run::issue(base::Nanos now) {
  const bool loading = phase_ == Phase::kRampUp || phase_ == Phase::kSustain;
  if (packets_) return loading && packets_->send(now) != 0;
  if (!client_) return false;
  if (phase_ == Phase::kInitialise) {
    bool any = false;
    for (int i = 0; i < kStartsPerPoll && held_opened_ < options_.held; ++i) {
      // Not more at a time than the far end has room for half-open ones.
      if (client_->open_connections() - client_->stats().established > 4096) break;
      if (!client_->open_idle(now)) break;
      ++held_opened_;
      any = true;
    }
    return any;
  }
  if (phase_ == Phase::kRampDown) {
    drained_ = client_->drain(now);
    return false;
  }
  noise_->poll(now);
  if (options_.rate > 0) return issue_open_loop(now);
  client_->keep_busy(
      std::max(1U, static_cast<std::uint32_t>(ramp_share(now) * options_.plan.connections)), now);
  return false;
}

bool Run::poll(base::Nanos now) {
  bool any = false;
  if (ports_.server != kNoPort) any |= receive(ports_.server, false, now);
  if (ports_.client != kNoPort) any |= receive(ports_.client, true, now);
  any |= issue(now);
  if (client_) client_->tick(now);
  if (server_) server_->tick(now);
  bool stalled = false;
  for (Transmitter* transmitter : {&to_server_, &to_client_}) {
    if (transmitter->waiting() == 0) continue;
    any |= transmitter->flush() != 0;
    stalled |= transmitter->waiting() != 0;
  }
  account_.polls += 1;
  account_.busy_polls += any ? 1U : 0U;
  account_.stalled_polls += stalled ? 1U : 0U;
  return any;
}

Sample Run::sample(base::Nanos now) const {
  Sample sample;
  sample.at = now;
  sample.client_frames = client_frames_;
  sample.server_frames = server_frames_;
  sample.wire_bytes = wire_bytes_;
  if (client_) {
    const ClientStats& stats = client_->stats();
    sample.served = stats.served();
    sample.connections = stats.connections_made;
    sample.body_bytes = stats.body_bytes;
    sample.established = stats.established;
  } else if (server_) {
    sample.served = server_->stats().responses;
    sample.connections = server_->stats().connections;
    sample.body_bytes = server_->stats().body_bytes;
  }
  if (packets_) {
    sample.packets_sent = packets_->sent();
    sample.packets_received = packets_->received();
  }
  return sample;
}

void Run::enter(Phase phase, base::Nanos now) {
  if (phase_ == Phase::kSustain) {
    samples_.push_back(sample(now));
    account_.wall = now - phase_start_;
    account_.on_cpu = thread_time() - cpu_start_;
    if (options_.rate > 0 && next_due_ < now) {
      not_begun_ =
          static_cast<std::uint64_t>(static_cast<double>(now - next_due_) * options_.rate / 1e9);
    }
  }
  phase_ = phase;
  phase_start_ = now;
  if (phase == Phase::kRampUp) next_due_ = now;
  if (client_) client_->set_measuring(phase == Phase::kSustain);
  if (phase == Phase::kSustain) {
    account_ = LoopAccount{};
    cpu_start_ = thread_time();
    samples_.push_back(sample(now));
    next_sample_ = now + base::kNanosPerSecond;
  }
}

bool Run::advance(base::Nanos now, bool stop) {
  const Phases& phases = options_.phases;
  const base::Nanos elapsed = now - phase_start_;
  switch (phase_) {
    case Phase::kInitialise: {
      const bool open = !client_ || client_->stats().established >= options_.held;
      if (open || elapsed >= nanos(phases.initialise)) enter(Phase::kRampUp, now);
      break;
    }
    case Phase::kRampUp:
      if (elapsed >= nanos(phases.ramp_up)) enter(Phase::kSustain, now);
      break;
    case Phase::kSustain:
      if (now >= next_sample_ && elapsed < nanos(phases.sustain)) {
        samples_.push_back(sample(now));
        next_sample_ += base::kNanosPerSecond;
      }
      if (elapsed >= nanos(phases.sustain)) enter(Phase::kRampDown, now);
      break;
    case Phase::kRampDown: {
      // Packets on the way get 0.1 s; transactions end, or the time does.
      const bool over = packets_ ? elapsed >= nanos(0.1) : client_ && drained_;
      if (over || elapsed >= nanos(phases.ramp_down)) return false;
      break;
    }
  }
  if (stop && phase_ != Phase::kRampDown) enter(Phase::kRampDown, now);
  return true;
}

void Run::execute(const volatile int& stop) {
  links_up_ = wait_for_links(ports_, options_.phases.initialise);
  if (!links_up_) return;
  base::Nanos at = now();
  phase_start_ = at;
  while (advance(at, stop != 0)) {
    const bool any = poll(at);
    const base::Nanos next = now();
    if (any) account_.busy += next - at;
    at = next;
  }
  if (client_) client_->abandon(at);
}

}  // namespace sluice::gen
