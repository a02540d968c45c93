// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/abi/limits.h"

struct pcre2_callout_block_8;

namespace sluice::rules {

/// Numbers of the callouts that metered_pattern() writes.
inline constexpr std::uint32_t kCalloutRun = 1, kCalloutReference = 2;

/// The same pattern with a callout behind every repetition without a small bound and behind small
/// ones that follow each other, in front of long ones that begin an alternative, at the beginning
/// of every group that is repeated, and in front of every back reference: PCRE2 then tells of all
/// work that grows with the value. nullopt: a construct that is not followed here (free spacing,
/// \Q, conditions, groups by name of PCRE2's own); PCRE2_AUTO_CALLOUT tells of it too, at every
/// item. `pattern`: one that PCRE2 compiles. O(pattern).
std::optional<std::string> metered_pattern(std::string_view pattern);

/// Counts a match's work from its callouts: one for each, and one for every kMeterBytes that it ran
/// over since the one before or that a back reference may compare. About 10 ns each with machine
/// code. Ends the match when there is no more.
class RegexMeter {
 public:
  static constexpr std::size_t kMeterBytes = 32;

  /// Before a match: `work` is what it may take.
  void begin(std::uint64_t work, std::size_t offset) {
    left_ = work;
    start_ = last_ = offset;
  }
  [[nodiscard]] std::uint64_t left() const { return left_; }

  /// PCRE2's callback; data: the meter. Not 0: the match ends with that error.
  static int on_callout(pcre2_callout_block_8* block, void* data);

 private:
  std::uint64_t left_ = 0;
  std::size_t start_ = 0, last_ = 0;
};

}  // namespace sluice::rules
