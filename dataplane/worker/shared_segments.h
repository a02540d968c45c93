// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/abi/segments.h"
#include "dataplane/base/result.h"
#include "dataplane/config/settings.h"
#include "dataplane/worker/memory.h"

namespace sluice::worker {

/// Our end of the instance's shared memory (abi/segments.h).
class SharedSegments {
 public:
  /// Attaches `control` (creating it if need be) and makes `dataplane` under a new inode, with the
  /// counters and rings of every worker; it is visible to sluiced after announce_running().
  static base::Result<SharedSegments> create(const config::Settings& settings);

  /// The layout is complete: puts the segment in place and marks it running.
  base::Status announce_running();
  void mark_stopping();

  [[nodiscard]] abi::ControlSegment& control() { return *control_; }
  [[nodiscard]] abi::DataplaneSegment& dataplane() { return *dataplane_; }
  [[nodiscard]] abi::WorkerCounters& counters(std::size_t worker) { return *counters_[worker]; }
  [[nodiscard]] abi::RingWriter& verdict_ring(std::size_t worker) { return verdict_[worker]; }
  [[nodiscard]] abi::RingWriter& http_ring(std::size_t worker) { return http_[worker]; }

 private:
  base::Status attach_control();
  void lay_out(const config::Settings& settings);

  std::string shm_;
  Region control_region_, dataplane_region_;
  abi::ControlSegment* control_ = nullptr;
  abi::DataplaneSegment* dataplane_ = nullptr;
  std::vector<abi::WorkerCounters*> counters_;
  std::vector<abi::RingWriter> verdict_, http_;
};

}  // namespace sluice::worker
