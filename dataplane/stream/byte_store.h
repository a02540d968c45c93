// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/stream/pools.h"

namespace sluice::stream {

/// Copies of the bytes of one direction that are not yet acknowledged, or wait beyond a gap: blocks
/// of the pool at fixed places of the stream. A stream that fits one block costs that block alone;
/// a longer one adds a block that maps 512 others, so the span is bounded by kSpanBytesMax and
/// every access is O(1). 16 bytes while empty.
///
/// Bytes that nobody needs to see (Progress::skip_until) are not copied where they fill a whole
/// block: that block is then absent for good, and a present block holds every byte that was put.
class ByteStore {
 public:
  static constexpr std::int64_t kBlock = static_cast<std::int64_t>(Pools::kBlockBytes);
  static constexpr std::int64_t kMapSlots = kBlock / 4;
  static constexpr std::int64_t kSpanBytesMax = kBlock * kMapSlots;

  /// Copies `bytes` to `offset`, leaving out whole blocks that end at or below skip_until. All or
  /// nothing: false when the pool is empty or the span too long. gap: bytes beyond a gap, which may
  /// not take the last quarter of the pool. O(bytes).
  [[nodiscard]] bool put(Pools& pools, std::int64_t offset, base::Bytes bytes,
                         std::int64_t skip_until, bool gap);

  /// Whether every byte at offset.. that is kept equals `bytes`. The caller asks only about bytes
  /// that were put. O(bytes).
  [[nodiscard]] bool matches(Pools& pools, std::int64_t offset, base::Bytes bytes) const;

  /// The kept bytes from `offset` on, to `end` or the end of their block. Empty when that block was
  /// left out or freed.
  [[nodiscard]] base::Bytes view(Pools& pools, std::int64_t offset, std::int64_t end) const;

  /// Forgets all blocks that lie whole below `offset`. O(blocks freed), at most 512 steps.
  void free_below(Pools& pools, std::int64_t offset);
  void free_all(Pools& pools);

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t blocks() const { return count_ + (mapped_ ? 1U : 0U); }

 private:
  [[nodiscard]] std::uint32_t find(Pools& pools, std::uint32_t number) const;
  [[nodiscard]] std::uint32_t add(Pools& pools, std::uint32_t number);
  void drop_map_if_empty(Pools& pools);

  std::uint32_t root_ = Pools::kNone;  ///< the block, or the map
  std::uint32_t lowest_ = 0;           ///< no block has a lower number
  std::uint32_t count_ = 0;
  bool mapped_ = false;
};

}  // namespace sluice::stream
