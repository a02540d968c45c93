// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/publish/file_io.h"
#include "dataplane/abi/segments.h"
#include "dataplane/base/result.h"

namespace sluice::publish {

/// What the control plane sees of one start of the dataplane: its segment, mapped and checked.
/// Every offset is checked at attach; the dataplane's memory is otherwise only read, but for the
/// tails of its rings.
class DataplaneView {
 public:
  /// Maps `<shm>/dataplane`. Error: none there, still starting, damaged, or of another version.
  static base::Result<std::unique_ptr<DataplaneView>> attach(const std::string& shm);

  struct Worker {
    const abi::WorkerStatus* status;
    const abi::WorkerCounters* counters;
    abi::RingHeader* rings[2];  ///< verdict, http
    const std::uint8_t* ring_data[2];
    std::uint64_t ring_capacity[2];
  };

  /// A later start has put another file in its place.
  [[nodiscard]] bool replaced() const;
  /// It polls no more (abi::kWorkerStalledNs).
  [[nodiscard]] static bool stalled(const Worker& worker);
  /// Running: its process lives, its main thread has moved within `stale_ms`, and no worker is
  /// stalled.
  enum class Health { kRunning, kStopped, kStalled };
  [[nodiscard]] Health health(std::uint64_t stale_ms = 3000) const;

  [[nodiscard]] const abi::DataplaneSegment& segment() const { return *segment_; }
  [[nodiscard]] const std::vector<Worker>& workers() const { return workers_; }
  [[nodiscard]] std::uint64_t live() const;
  [[nodiscard]] std::uint64_t staged() const;

 private:
  bool check();
  std::string path_;
  Mapping mapping_;
  const abi::DataplaneSegment* segment_ = nullptr;
  std::vector<Worker> workers_;
};

const char* health_name(DataplaneView::Health health);

}  // namespace sluice::publish
