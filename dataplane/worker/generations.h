// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/abi/segments.h"
#include "dataplane/config/settings.h"
#include "dataplane/engine/generation.h"
#include "dataplane/worker/memory.h"
#include "dataplane/worker/snapshot.h"

namespace sluice::worker {

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
  void tick();
  [[nodiscard]] std::uint64_t live() const;

 private:
  /// One accepted image in our own memory.
  struct Loaded {
    Region image;
    std::unique_ptr<engine::Generation> generation;
    std::uint64_t last_snapshot = 0;  ///< sequence of the newest snapshot that names it
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
  void take_announced();
  void take_staged();
  void answer(abi::GenerationAnswer& answer, std::uint64_t number, const Load& load,
              std::uint64_t since_ns);
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
  std::uint64_t seen_live_ = 0, seen_staged_ = 0;
  std::vector<std::unique_ptr<Loaded>> loaded_;  ///< at most abi::kGenerationSlots
  /// Oldest first; the last one is current. Freed when every worker has observed a newer one.
  std::deque<std::unique_ptr<Snapshot>> snapshots_;
};

}  // namespace sluice::worker
