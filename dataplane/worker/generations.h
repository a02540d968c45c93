// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/abi/segments.h"
#include "dataplane/base/clock.h"
#include "dataplane/config/settings.h"
#include "dataplane/engine/generation.h"
#include "dataplane/worker/memory.h"
#include "dataplane/worker/snapshot.h"

namespace sluice::worker {

/// How long an announced generation waits for transactions to give a slot back by themselves, and
/// how long at all: less than sluiced waits for the answer.
inline constexpr base::Nanos kSlotGraceNs = 1 * base::kNanosPerSecond;
inline constexpr base::Nanos kSlotWaitNs = 8 * base::kNanosPerSecond;

/// Keeps what is in force: switches, and generations announced by sluiced or found on disk. Main
/// thread only.
class Generations {
 public:
  Generations(SharedState& shared, abi::ControlSegment& control, abi::DataplaneSegment& dataplane,
              const config::Settings& settings);

  /// Makes the first snapshot, before workers run: the generation that was last live, and the
  /// switches, of the control segment or of the disk. Returns lines for the operator.
  std::string open();
  /// Looks for changes; once a millisecond or so. Takes as long as verifying an announced image.
  /// One that finds no slot is tried again at each tick: after kSlotGraceNs the oldest generation
  /// that nothing but transactions holds is ended, after kSlotWaitNs it is refused.
  void tick();
  [[nodiscard]] std::uint64_t live() const;

 private:
  /// One accepted image in our own memory.
  struct Loaded {
    Region image;
    std::unique_ptr<engine::Generation> generation;
    std::uint64_t last_snapshot = 0;  ///< sequence of the newest snapshot that names it
  };
  /// An announcement of one kind: what was answered, and what waits for a slot since when.
  struct Announced {
    std::uint64_t seen = 0;
    std::uint64_t waiting = 0;  ///< 0: nothing is under way
    base::Nanos since = 0;      ///< `waiting` was met
  };
  struct Load {
    engine::Generation* generation = nullptr;
    abi::ImageError error = abi::ImageError::kNone;
    std::string message;
  };

  void read_switches(engine::Switches& switches) const;
  void read_stored_switches(engine::Switches& switches) const;
  [[nodiscard]] std::vector<std::uint64_t> stored_candidates() const;
  Load load(const std::string& path, std::uint64_t number);
  engine::Generation* find(std::uint64_t number) const;
  Load find_or_load(Announced& announced, std::uint64_t number);
  bool waits_for_slot(Announced& announced, std::uint64_t number, const Load& load);
  void end_oldest();
  void take_announced();
  void take_staged();
  void answer(abi::GenerationAnswer& answer, std::uint64_t number, const Load& load,
              base::Nanos since);
  std::unique_ptr<Snapshot> next_snapshot() const;
  void publish(std::unique_ptr<Snapshot> snapshot);
  [[nodiscard]] std::uint64_t observed_by_all() const;
  void wait_observed() const;
  void reclaim();

  SharedState& shared_;
  abi::ControlSegment& control_;
  abi::DataplaneSegment& dataplane_;
  std::string shm_, state_;
  std::size_t workers_;
  Announced announced_live_, announced_staged_;
  std::vector<std::unique_ptr<Loaded>> loaded_;  ///< at most abi::kGenerationSlots
  /// Oldest first; the last one is current. Freed when every worker has observed a newer one.
  std::deque<std::unique_ptr<Snapshot>> snapshots_;
};

}  // namespace sluice::worker
