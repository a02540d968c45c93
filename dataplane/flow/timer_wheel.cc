// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/flow/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "dataplane/base/check.h"

namespace sluice::flow {

std::size_t TimerWheel::memory_bytes(std::size_t timers_max) { return timers_max * sizeof(Timer); }

TimerWheel::TimerWheel(std::span<std::uint8_t> memory, std::size_t timers_max, base::Nanos now)
    : timers_(reinterpret_cast<Timer*>(memory.data())),
      timers_max_(timers_max),
      tick_(now >> kTickBits) {
  SLUICE_CHECK(memory.size() >= memory_bytes(timers_max));
  std::fill(std::begin(heads_), std::end(heads_), kNil);
  for (std::size_t i = 0; i < timers_max; ++i) timers_[i] = {0, kNil, kNil, kIdle};
}

void TimerWheel::schedule(std::uint32_t id, base::Nanos deadline) {
  SLUICE_CHECK(id < timers_max_);
  if (timers_[id].slot != kIdle) unlink(id);
  // Rounded up: a timer is never early.
  const std::uint64_t tick = (deadline + ((1U << kTickBits) - 1)) >> kTickBits;
  link(id, std::max(tick, tick_));
}

void TimerWheel::cancel(std::uint32_t id) {
  SLUICE_CHECK(id < timers_max_);
  if (timers_[id].slot != kIdle) unlink(id);
}

void TimerWheel::link(std::uint32_t id, std::uint64_t tick) {
  // The level is the highest digit (base 256) in which the deadline differs from now.
  const std::uint64_t differs = tick ^ tick_;
  unsigned level = 0;
  while (level + 1 < kLevels && (differs >> (kSlotBits * (level + 1))) != 0) ++level;
  // Beyond the horizon: as far as it goes, from where it is put again.
  const std::uint64_t reach = tick_ + (std::uint64_t{kSlots - 1} << (kSlotBits * (kLevels - 1)));
  const auto digit =
      static_cast<unsigned>(std::min(tick, reach) >> (kSlotBits * level)) & (kSlots - 1);
  const auto slot = static_cast<std::uint16_t>(level * kSlots + digit);
  Timer& timer = timers_[id];
  timer = {tick, heads_[slot], kNil, slot};
  if (timer.next != kNil) timers_[timer.next].previous = id;
  heads_[slot] = id;
  used_[level][digit / 64] |= std::uint64_t{1} << (digit % 64);
  ++count_;
}

void TimerWheel::unlink(std::uint32_t id) {
  Timer& timer = timers_[id];
  if (timer.next != kNil) timers_[timer.next].previous = timer.previous;
  if (timer.previous != kNil) {
    timers_[timer.previous].next = timer.next;
  } else {
    heads_[timer.slot] = timer.next;
    if (timer.next == kNil) {
      const unsigned digit = timer.slot % kSlots;
      used_[timer.slot / kSlots][digit / 64] &= ~(std::uint64_t{1} << (digit % 64));
    }
  }
  timer.slot = kIdle;
  --count_;
}

/// The first used slot of a level at or behind `from`; kSlots when there is none.
unsigned TimerWheel::next_used(unsigned level, unsigned from) const {
  for (unsigned word = from / 64; word < kSlots / 64; ++word) {
    std::uint64_t bits = used_[level][word];
    if (word == from / 64) bits &= ~std::uint64_t{0} << (from % 64);
    if (bits != 0) return word * 64 + static_cast<unsigned>(std::countr_zero(bits));
  }
  return kSlots;
}

/// One step: a due timer's id (unlinked), kNothingYet after moving timers or time on, kDone.
std::uint32_t TimerWheel::next_due(std::uint64_t target) {
  if (count_ == 0) {
    tick_ = std::max(tick_, target + 1);
    return kDone;
  }
  if (tick_ > target) return kDone;
  // Timers of the higher levels whose digit is reached come down, one a step.
  for (unsigned level = kLevels - 1; level > 0; --level) {
    const unsigned digit = (tick_ >> (kSlotBits * level)) & (kSlots - 1);
    const std::uint32_t id = heads_[level * kSlots + digit];
    if (id == kNil) continue;
    const std::uint64_t tick = timers_[id].tick;
    unlink(id);
    link(id, tick);
    return kNothingYet;
  }
  const unsigned from = tick_ & (kSlots - 1);
  const unsigned slot = next_used(0, from);
  if (slot < kSlots) {
    tick_ += slot - from;
    if (tick_ > target) {
      tick_ = target + 1;
      return kDone;
    }
    const std::uint32_t id = heads_[slot];
    unlink(id);
    return id;
  }
  // Nothing left in this stretch of level 0: on to the next stretch that has anything.
  std::uint64_t next = (tick_ | (kSlots - 1)) + 1;
  for (unsigned level = 1; level < kLevels; ++level) {
    const unsigned digit = (next >> (kSlotBits * level)) & (kSlots - 1);
    if (digit == 0 && level + 1 < kLevels) break;  // a higher level must come down first
    const unsigned used = next_used(level, digit);
    if (used < kSlots) {
      next = ((next >> (kSlotBits * level)) + (used - digit)) << (kSlotBits * level);
      break;
    }
    // This level is empty up to its end.
    next = ((next >> (kSlotBits * (level + 1))) + 1) << (kSlotBits * (level + 1));
  }
  tick_ = std::min(next, target + 1);
  return kNothingYet;
}

}  // namespace sluice::flow
