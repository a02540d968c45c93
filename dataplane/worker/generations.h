// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "dataplane/abi/segments.h"
#include "dataplane/worker/snapshot.h"

namespace sluice::worker {

/// Keeps what is in force: switches and generations, announced by sluiced or found on disk. Main
/// thread only.
class Generations {
 public:
  Generations(SharedState& shared, abi::ControlSegment& control, abi::DataplaneSegment& dataplane,
              std::string state_folder, std::size_t workers);

  /// Makes the first snapshot: switches of the control segment, or those on disk.
  void open();
  /// Looks for changes; once a millisecond or so.
  void tick();
  /// True once every worker has observed the newest snapshot.
  [[nodiscard]] bool all_observed() const;

 private:
  void read_switches(engine::Switches& switches) const;
  void read_stored_switches(engine::Switches& switches) const;
  void publish(std::unique_ptr<Snapshot> snapshot);
  void reclaim();

  SharedState& shared_;
  abi::ControlSegment& control_;
  abi::DataplaneSegment& dataplane_;
  std::string state_;
  std::size_t workers_;
  /// Oldest first; the last one is current. Freed when every worker has observed a newer one.
  std::deque<std::unique_ptr<Snapshot>> snapshots_;
};

}  // namespace sluice::worker
