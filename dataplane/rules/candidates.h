// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/rules/memory_pool.h"
#include "dataplane/rules/value_table.h"

namespace sluice::rules {

/// What the scans found: which values may match which check. Everything that is not here does not
/// match; what is here is checked exactly before it counts.
class Candidates {
 public:
  /// False if the region is full. O(checks).
  bool begin(std::uint32_t check_count, Region& region) {
    check_count_ = check_count;
    heads_ = region.allocate_array<std::uint16_t>(check_count);
    checks_ = region.allocate_array<std::uint32_t>(check_count);
    checks_found_ = 0;
    if ((heads_ == nullptr || checks_ == nullptr) && check_count > 0) return false;
    if (check_count > 0) std::memset(heads_, 0xff, check_count * sizeof *heads_);
    blocks_ = nullptr;
    count_ = 0;
    overflow_ = false;
    return true;
  }

  /// Takes over all candidates of another. False: no memory.
  bool copy(const Candidates& from, Region& region) {
    if (!begin(from.check_count_, region)) return false;
    if (check_count_ > 0) std::memcpy(heads_, from.heads_, check_count_ * sizeof *heads_);
    checks_found_ = from.checks_found_;
    std::copy_n(from.checks_, checks_found_, checks_);
    overflow_ = from.overflow_;
    for (; count_ < from.count_; count_ += kBlock) {
      if (!reserve(region)) return false;
      std::memcpy(blocks_[count_ / kBlock], from.blocks_[count_ / kBlock], kBlock * sizeof(Entry));
    }
    count_ = from.count_;
    return true;
  }

  /// Notes a candidate; the same one again directly after itself is taken once. O(1). False when
  /// full: then every value counts as a candidate of every check.
  bool add(std::uint32_t check, Item item, Region& region) {
    if (overflow_) return false;
    const std::uint16_t head = heads_[check];
    if (head != kNoEntry && entry(head).item == item.code) return true;
    if (count_ == kEntriesMax || !reserve(region)) {
      overflow_ = true;
      return false;
    }
    if (head == kNoEntry) checks_[checks_found_++] = check;
    entry(static_cast<std::uint16_t>(count_)) = {item.code, head};
    heads_[check] = static_cast<std::uint16_t>(count_++);
    return true;
  }
  [[nodiscard]] bool any(std::uint32_t check) const {
    return overflow_ || heads_[check] != kNoEntry;
  }
  /// Every check counts as found.
  [[nodiscard]] bool has_all() const { return overflow_; }
  /// Those that any() is true of, unless has_all().
  [[nodiscard]] std::span<const std::uint32_t> checks() const { return {checks_, checks_found_}; }

 private:
  friend class CandidateSet;
  struct Entry {
    std::uint16_t item, next;
  };
  static constexpr std::uint16_t kNoEntry = 0xffff;
  static constexpr std::size_t kBlock = 256;
  static constexpr std::size_t kBlocks = 64;
  static constexpr std::size_t kEntriesMax = kBlock * kBlocks;

  bool reserve(Region& region) {
    if (blocks_ == nullptr) {
      blocks_ = region.allocate_array<Entry*>(kBlocks);
      if (blocks_ == nullptr) return false;
    }
    if (count_ % kBlock != 0) return true;
    blocks_[count_ / kBlock] = region.allocate_array<Entry>(kBlock);
    return blocks_[count_ / kBlock] != nullptr;
  }
  [[nodiscard]] Entry& entry(std::uint16_t index) const {
    return blocks_[index / kBlock][index % kBlock];
  }

  std::uint32_t check_count_ = 0;
  std::uint16_t* heads_ = nullptr;
  std::uint32_t* checks_ = nullptr;
  std::uint32_t checks_found_ = 0;
  Entry** blocks_ = nullptr;
  std::uint32_t count_ = 0;
  bool overflow_ = false;
};

/// The candidates of one check, asked about many values. A long list is laid out as bits first:
/// thousands of values that are all candidates would else be compared with each other.
class CandidateSet {
 public:
  using Bits = std::array<std::uint64_t, 2 * abi::kValuesMax / 64>;

  /// check: abi::kNone32 contains nothing. bits: zero, borrowed and zero again at the end.
  /// O(candidates of the check).
  CandidateSet(const Candidates& candidates, std::uint32_t check, Bits& bits)
      : candidates_(candidates),
        bits_(bits),
        head_(check == abi::kNone32 ? Candidates::kNoEntry : candidates.heads_[check]) {
    std::size_t length = 0;
    for (std::uint16_t at = head_; at != Candidates::kNoEntry && length <= kShort;
         at = candidates_.entry(at).next) {
      ++length;
    }
    is_long_ = length > kShort;
    if (is_long_) mark(~std::uint64_t{0});
  }
  ~CandidateSet() {
    if (is_long_) mark(0);
  }
  CandidateSet(const CandidateSet&) = delete;
  CandidateSet& operator=(const CandidateSet&) = delete;

  /// O(1).
  [[nodiscard]] bool contains(Item item) const {
    if (candidates_.overflow_) return true;
    if (is_long_) return (bits_[item.code / 64] >> (item.code % 64) & 1) != 0;
    for (std::uint16_t at = head_; at != Candidates::kNoEntry; at = candidates_.entry(at).next) {
      if (candidates_.entry(at).item == item.code) return true;
    }
    return false;
  }

 private:
  static constexpr std::size_t kShort = 8;

  void mark(std::uint64_t to) {
    for (std::uint16_t at = head_; at != Candidates::kNoEntry; at = candidates_.entry(at).next) {
      const std::uint16_t code = candidates_.entry(at).item;
      const std::uint64_t bit = std::uint64_t{1} << (code % 64);
      bits_[code / 64] = (bits_[code / 64] & ~bit) | (bit & to);
    }
  }

  const Candidates& candidates_;
  Bits& bits_;
  std::uint16_t head_;
  bool is_long_ = false;
};

}  // namespace sluice::rules
