// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/worker/snapshot.h"

/// The processor time that this process gets, and who keeps it from it.
namespace sluice::worker {

/// Goes before other processes, where the kernel lets it (CAP_SYS_NICE): a link waits for this
/// start, which takes 0.2 s of processor time and waited up to five times as long for them on a
/// loaded machine.
class StartPriority {
 public:
  StartPriority();
  /// Gives it back, for all threads made meanwhile.
  void end() const;

 private:
  int before_;
};

/// What others take of the workers' cores: while this process starts, and then by how long each
/// worker stands in line for its core.
class CoreWatch {
 public:
  /// main_core: its use by this process itself is not counted.
  CoreWatch(std::vector<unsigned> cores, unsigned main_core);

  /// A sentence for each core that others keep busy, "" if none, of the time since the constructor.
  /// To be asked before the workers run.
  [[nodiscard]] std::string busy_cores() const;
  /// The same for workers that had to wait for their core. Looks every kWaitSpan and names each
  /// worker once in kSaidAgainAfter.
  [[nodiscard]] std::string waiting_workers(base::Nanos now, const SharedState& shared);

  static constexpr base::Nanos kWaitSpan = 10 * base::kNanosPerSecond;
  static constexpr base::Nanos kSaidAgainAfter = 600 * base::kNanosPerSecond;
  static constexpr unsigned kBusyPercent = 50, kWaitPercent = 25;

 private:
  struct Waited {
    std::uint64_t nanos = 0;  ///< in line since the thread began
    base::Nanos said = 0;     ///< 0: never
  };
  std::vector<unsigned> cores_;
  unsigned main_core_;
  std::vector<std::uint64_t> busy_ticks_;  ///< of each core, at the constructor
  std::uint64_t own_ticks_;
  base::Nanos began_;
  base::Nanos looked_ = 0;
  std::vector<Waited> waited_;
};

}  // namespace sluice::worker
