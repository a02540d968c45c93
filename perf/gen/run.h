// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>
#include <vector>

#include "perf/gen/client.h"
#include "perf/gen/noise.h"
#include "perf/gen/options.h"
#include "perf/gen/packets.h"
#include "perf/gen/server.h"

namespace sluice::gen {

/// What the loop itself did in the sustain phase: whether the generator had anything left to give.
struct LoopAccount {
  std::uint64_t polls = 0, busy_polls = 0;
  std::uint64_t stalled_polls = 0;  ///< a port did not take all frames: its receiver is behind
  base::Nanos wall = 0, busy = 0, on_cpu = 0;
};

/// Counters at one moment.
struct Sample {
  base::Nanos at = 0;
  std::uint64_t served = 0, connections = 0, body_bytes = 0, packets_sent = 0, packets_received = 0;
  std::uint64_t client_frames = 0, server_frames = 0, wire_bytes = 0;
  std::uint32_t established = 0;
};

/// Drives one run through its phases.
class Run {
 public:
  Run(const Options& options, const Ports& ports, const Script& script);

  /// Runs to the end. `stop`: set by a signal to begin the ramp-down at once.
  void execute(const volatile int& stop);

  [[nodiscard]] const Client* client() const { return client_.get(); }
  [[nodiscard]] const Server* server() const { return server_.get(); }
  [[nodiscard]] const Noise* noise() const { return noise_.get(); }
  [[nodiscard]] const PacketLoad* packets() const { return packets_.get(); }
  [[nodiscard]] const Transmitter& to_server() const { return to_server_; }
  [[nodiscard]] const Transmitter& to_client() const { return to_client_; }
  [[nodiscard]] const LoopAccount& account() const { return account_; }
  /// At the start and end of the sustain phase and once a second between.
  [[nodiscard]] const std::vector<Sample>& samples() const { return samples_; }
  [[nodiscard]] bool links_up() const { return links_up_; }
  [[nodiscard]] std::uint64_t received(bool at_client) const {
    return at_client ? client_frames_ : server_frames_;
  }
  /// Open loop: transactions that were due and could not be begun by the end of the sustain phase.
  [[nodiscard]] std::uint64_t not_begun() const { return not_begun_; }
  /// Open loop: transactions due in the sustain phase.
  [[nodiscard]] std::uint64_t due_in_sustain() const { return due_in_sustain_; }

 private:
  enum class Phase : std::uint8_t { kInitialise, kRampUp, kSustain, kRampDown };

  /// One turn of the loop. Returns whether anything was done.
  bool poll(base::Nanos now);
  bool receive(std::uint16_t port, bool at_client, base::Nanos now);
  bool issue(base::Nanos now);
  bool issue_open_loop(base::Nanos now);
  void enter(Phase phase, base::Nanos now);
  /// Moves on when the phase is over; false at the end of the run.
  bool advance(base::Nanos now, bool stop);
  [[nodiscard]] double ramp_share(base::Nanos now) const;
  [[nodiscard]] Sample sample(base::Nanos now) const;
  [[nodiscard]] base::Nanos now() const;

  const Options& options_;
  Ports ports_;
  Transmitter to_server_, to_client_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Noise> noise_;
  std::unique_ptr<PacketLoad> packets_;
  Phase phase_ = Phase::kInitialise;
  base::Nanos phase_start_ = 0, next_sample_ = 0, next_due_ = 0;
  double due_carry_ = 0;
  base::Nanos cpu_start_ = 0;
  std::uint64_t client_frames_ = 0, server_frames_ = 0, wire_bytes_ = 0;
  std::uint64_t not_begun_ = 0, due_in_sustain_ = 0;
  std::uint32_t held_opened_ = 0;
  bool links_up_ = false, drained_ = false;
  LoopAccount account_;
  std::vector<Sample> samples_;
  double nanos_per_cycle_ = 0;
};

}  // namespace sluice::gen
