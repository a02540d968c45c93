// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

/// Selective acknowledgement (RFC 2018), by offsets of the stream.
namespace sluice::sim {

/// What a receiver tells of what it has beyond a gap: the newest block first, at most four, as
/// Linux keeps them.
class SackList {
 public:
  using Block = std::pair<std::int64_t, std::int64_t>;

  /// A segment came beyond the gap.
  void add(std::int64_t begin, std::int64_t end);
  /// The gap now ends at `next`; nothing is left beyond it if `queue_empty`.
  void advance(std::int64_t next, bool queue_empty);
  void clear() { blocks_.clear(); }
  [[nodiscard]] const std::vector<Block>& blocks() const { return blocks_; }
  /// Right edge of the highest block; -1: there is none.
  [[nodiscard]] std::int64_t highest() const;

 private:
  static constexpr std::size_t kBlocksMax = 4;

  std::vector<Block> blocks_;
};

/// What a sender was told that its peer has.
class Scoreboard {
 public:
  void add(std::int64_t begin, std::int64_t end) { blocks_.emplace_back(begin, end); }
  /// What is acknowledged is known anyway.
  void forget_below(std::int64_t una);
  /// A receiver may forget what it has told of (RFC 2018 section 8).
  void clear() { blocks_.clear(); }
  /// Where the peer's bytes begin that lie first beyond `offset`, or `end`.
  [[nodiscard]] std::int64_t hole_end(std::int64_t offset, std::int64_t end) const;

 private:
  std::vector<SackList::Block> blocks_;
};

}  // namespace sluice::sim
