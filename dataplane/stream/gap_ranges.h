// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/limits.h"
#include "dataplane/stream/pools.h"

namespace sluice::stream {

/// The ranges of one direction that left beyond a gap: sorted, apart from each other, at most
/// abi::kOutOfOrderRangesMax (evasion RX12: no list to walk). Lies in a block of the pool while
/// there are any.
struct GapRanges {
  struct Range {
    std::int64_t begin, end;
  };
  std::uint32_t count;
  Range ranges[abi::kOutOfOrderRangesMax];

  /// Adds begin..end (not empty), joining what it touches. False: the list is full. O(count).
  [[nodiscard]] bool insert(std::int64_t begin, std::int64_t end);
  /// Whether insert(begin, end) would find room.
  [[nodiscard]] bool fits(std::int64_t begin, std::int64_t end) const;
  /// How far bytes are known without a break when all bytes below `offset` are. O(count).
  [[nodiscard]] std::int64_t extend(std::int64_t offset) const;
  /// Whether one range holds all of begin..end.
  [[nodiscard]] bool contains(std::int64_t begin, std::int64_t end) const;
  /// Removes what lies below `offset`.
  void drop_below(std::int64_t offset);
  [[nodiscard]] std::int64_t highest() const { return ranges[count - 1].end; }
};
static_assert(sizeof(GapRanges) <= Pools::kBlockBytes);

}  // namespace sluice::stream
