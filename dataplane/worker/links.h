// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <rte_mempool.h>

#include <array>
#include <string>
#include <vector>

#include "dataplane/abi/segments.h"
#include "dataplane/base/result.h"
#include "dataplane/config/settings.h"
#include "dataplane/io/port.h"
#include "dataplane/worker/link_mirror.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {

/// The ports of all links and the buffers behind them; main thread only.
class Links {
 public:
  Links() = default;
  Links(Links&&) = default;
  Links& operator=(Links&&) = default;
  /// Opens every port. Every device that cannot be opened is in the error, one a line.
  static base::Result<Links> open(const config::Settings& settings);
  base::Status start();
  void close();

  /// How worker `index` sees them.
  [[nodiscard]] std::vector<WorkerLink> view(std::uint16_t index) const;
  /// Takes one side down while the other is, where the devices can; writes the state of all, and
  /// for the workers which ports take no frames.
  void mirror(base::Nanos now, abi::DataplaneSegment& segment, SharedState& shared);
  /// Writes how many buffers there are, and are free.
  void count_buffers(abi::DataplaneSegment& segment) const;
  [[nodiscard]] rte_mempool* crafted_pool() const { return crafted_pool_; }
  [[nodiscard]] std::uint32_t buffers() const { return buffers_; }
  [[nodiscard]] std::uint32_t buffer_bytes() const { return buffer_bytes_; }

 private:
  struct OneLink {
    std::array<io::Port, 2> ports;  ///< by engine::Side
    LinkMirror mirror;
    bool bypass_on_failure = false;
  };
  base::Status make_buffers(const config::Settings& settings);

  std::vector<OneLink> links_;
  rte_mempool* pool_ = nullptr;
  rte_mempool* crafted_pool_ = nullptr;  ///< replies must not wait for the frames of others
  std::uint32_t buffers_ = 0, buffer_bytes_ = 0;
};

/// Frames that the engine of one worker may hold at once: what the queues leave of memory.pool_mb.
std::size_t held_frames_max(const config::Settings& settings);

/// MiB that the EAL must have for `settings`.
std::size_t eal_memory_mb(const config::Settings& settings);

}  // namespace sluice::worker
