// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "controlplane/publish/dataplane_view.h"
#include "controlplane/telemetry/record.h"
#include "dataplane/abi/ring.h"

namespace sluice::telemetry {

/// Merges the rings of all workers by the dataplane's time. A record waits at most `wait_ns` for an
/// older one of a slower worker.
class Merger {
 public:
  static constexpr std::uint64_t kWaitNs = 100'000'000;
  using Sink = std::function<void(const Record&)>;

  explicit Merger(std::uint64_t wait_ns = kWaitNs) : wait_ns_(wait_ns) {}

  /// Goes on where the rings' tails are. `view` outlives the next call.
  void attach(const publish::DataplaneView& view);
  void detach();

  /// Hands out what is due at `now_ns` (CLOCK_MONOTONIC), oldest first, at most `max` records.
  /// all: wait for nobody (the dataplane is gone). Returns how many.
  std::size_t drain(std::uint64_t now_ns, std::size_t max, bool all, const Sink& sink);

  /// What was handed out is safe: its room in the rings is free again.
  void release();

  /// Records that could not be taken apart, and damaged rings.
  [[nodiscard]] std::uint64_t damaged() const;

 private:
  struct Source {
    abi::RingReader reader;
    abi::RingReader::Record record;
    std::uint64_t time_ns = 0;
    bool waiting = false;  ///< `record` is valid
  };
  bool fill(Source& source);

  std::uint64_t wait_ns_;
  std::vector<Source> sources_;
  Record decoded_;
  std::uint64_t damaged_ = 0;
};

}  // namespace sluice::telemetry
