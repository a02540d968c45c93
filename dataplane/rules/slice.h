// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <x86intrin.h>

#include <cstdint>
#include <limits>

namespace sluice::rules {

/// How long the rules may go on at a stretch. What is judged asks between two units of work (a
/// value scanned, a rule tried, a piece of a body read) whether its slice is over, and leaves the
/// rest to Transaction::go_on(). One for each worker.
class Slice {
 public:
  /// Asked again after so many steps of the budget: the clock costs as much as a small rule.
  static constexpr std::uint64_t kStepsPerLook = 128;
  /// A value whose scans may take a good part of a slice: the clock is looked at behind it.
  static constexpr std::size_t kLongValueBytes = 512;

  /// cycles: of the TSC, from start() on; 0: it never ends, 1: with each unit.
  void begin(std::uint64_t cycles) {
    cycles_ = cycles;
    end_ = 0;
    next_look_ = 0;
  }
  /// The clock runs from the first call on, so that what brings no work costs no look at it.
  void start() {
    if (cycles_ > 1 && end_ == 0) end_ = __rdtsc() + cycles_;
    next_look_ = 0;
  }
  /// What a slice finds again before it goes on is no progress: the time for that comes afterwards,
  /// or each of many slices on a slow machine would end with what the last one found.
  void go_on() {
    if (cycles_ > 1) end_ = __rdtsc() + cycles_;
  }
  /// `steps`: that what is judged has taken so far.
  [[nodiscard]] bool is_over(std::uint64_t steps) {
    if (cycles_ == 0) return false;
    if (cycles_ == 1) return true;
    if (steps < next_look_) return false;
    next_look_ = steps + kStepsPerLook;
    return __rdtsc() >= end_;
  }
  [[nodiscard]] bool is_limited() const { return cycles_ != 0; }
  [[nodiscard]] bool ends_with_each_unit() const { return cycles_ == 1; }
  /// Another transaction, whose steps are counted apart, or a unit that took long.
  void look_soon() { next_look_ = 0; }

 private:
  std::uint64_t cycles_ = 0, end_ = 0, next_look_ = 0;
};

}  // namespace sluice::rules
