// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/clock.h"

namespace sluice::flow {

/// One timer for each of a fixed number of ids (the flow table's slots): four levels of 256 slots,
/// 2^20 ns (about a millisecond) a tick, 52 days at most. schedule() and cancel() are O(1);
/// advance() does a bounded number of steps, so a million flows that end at once cost many polls a
/// little each (evasion RX10). A busy flow need not touch its timer: let it fire, look at when the
/// flow was last active, and schedule it again. Varghese and Lauck, 1987.
class TimerWheel {
 public:
  static constexpr unsigned kTickBits = 20;

  static std::size_t memory_bytes(std::size_t timers_max);
  /// memory: memory_bytes(timers_max), aligned to 8, borrowed for the wheel's lifetime. now: the
  /// clock's present value.
  TimerWheel(std::span<std::uint8_t> memory, std::size_t timers_max, base::Nanos now);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  /// Sets or moves the timer of `id` (below timers_max). It fires at the first advance() at or
  /// after `deadline`, never before it, and at most a tick late.
  void schedule(std::uint32_t id, base::Nanos deadline);
  void cancel(std::uint32_t id);
  [[nodiscard]] bool scheduled(std::uint32_t id) const { return timers_[id].slot != kIdle; }
  [[nodiscard]] std::size_t size() const { return count_; }

  /// Moves on towards `now` and calls expired(id) for each timer that is due; it may schedule and
  /// cancel any id. steps_max: timers looked at and empty stretches skipped, together. True: there
  /// is more to do at this `now`.
  template <typename Expired>
  bool advance(base::Nanos now, std::size_t steps_max, Expired&& expired) {
    const std::uint64_t target = now >> kTickBits;
    for (std::size_t step = 0; step < steps_max; ++step) {
      const std::uint32_t id = next_due(target);
      if (id == kNothingYet) continue;
      if (id == kDone) return false;
      expired(id);
    }
    return true;
  }

 private:
  static constexpr unsigned kLevels = 4, kSlotBits = 8, kSlots = 1 << kSlotBits;
  static constexpr std::uint16_t kIdle = 0xffff;
  static constexpr std::uint32_t kNil = 0xffffffff, kDone = 0xffffffff, kNothingYet = 0xfffffffe;

  struct Timer {
    std::uint64_t tick;
    std::uint32_t next, previous;
    std::uint16_t slot;  ///< level * kSlots + slot; kIdle when not scheduled
  };

  std::uint32_t next_due(std::uint64_t target);
  void link(std::uint32_t id, std::uint64_t tick);
  void unlink(std::uint32_t id);
  unsigned next_used(unsigned level, unsigned from) const;

  Timer* timers_ = nullptr;
  std::size_t timers_max_;
  std::size_t count_ = 0;
  std::uint64_t tick_;  ///< every timer below it has fired
  std::uint32_t heads_[kLevels * kSlots];
  std::uint64_t used_[kLevels][kSlots / 64] = {};
};

}  // namespace sluice::flow
