// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/abi/limits.h"
#include "dataplane/engine/generation.h"

namespace sluice::worker {

/// What is in force, as one unchanging object: made by the main thread, read by workers once a
/// burst through SharedState::current.
struct Snapshot {
  std::uint64_t sequence = 0;
  engine::Generation* live = nullptr;  ///< null: no valid generation
  engine::Generation* staged = nullptr;
  std::uint64_t ending = 0;  ///< number of a generation that shall go: engine::Engine::end_pins
  engine::Switches switches;
};

/// Shared by the main thread and the workers.
struct SharedState {
  /// Writer: main thread (release). Reader: workers (acquire). Never null while workers run.
  alignas(abi::kCacheLineBytes) std::atomic<const Snapshot*> current{nullptr};
  std::atomic<bool> stop{false};

  struct alignas(abi::kCacheLineBytes) PerWorker {
    /// The quiescent point: sequence of the newest snapshot seen; nothing older is used any more
    /// but by pins. Writer: that worker (release). Reader: main thread (acquire).
    std::atomic<std::uint64_t> observed{0};
    /// The main thread has seen no poll for a while. Writer: main thread. Reader: other workers,
    /// who then do what on_failure says instead of steering to it.
    std::atomic<bool> stalled{false};
    /// Its thread's id, once it runs. Writer: that worker. Reader: main thread.
    std::atomic<pid_t> thread{0};
  };
  std::array<PerWorker, abi::kWorkersMax> workers;
  /// Ports that take no frames, by link and engine::Side: frames to them are dropped as port_down.
  /// Writer: main thread. Reader: workers, once a burst.
  alignas(abi::kCacheLineBytes)
      std::array<std::array<std::atomic<bool>, 2>, abi::kLinksMax> port_down = {};
};

}  // namespace sluice::worker
