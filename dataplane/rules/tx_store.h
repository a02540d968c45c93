// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/rules/memory_pool.h"
#include "dataplane/rules/ruleset.h"

namespace sluice::rules {

/// The TX collection of one transaction. Keys that the rules name have slots with initial values in
/// the image; keys made at run time are kept in a list. Keys compare without case. Texts are
/// borrowed: they live in the image or in the transaction's region and never change. A slot is what
/// the image says until it is set or unset, so a transaction begins without a look at any.
class TxStore {
 public:
  static constexpr std::uint32_t kNotFound = 0xffffffff;

  /// False if the region is full. O(slots / 64).
  bool begin(const Ruleset& ruleset, Region& region);

  /// Takes over all members of another; their texts stay where they are. False: no memory.
  bool copy(const TxStore& from, Region& region);

  /// Members, set or not: 0..size() - 1, slots first.
  [[nodiscard]] std::uint32_t size() const { return slot_count_ + extra_count_; }
  [[nodiscard]] bool is_set(std::uint32_t index) const {
    return is_initial(index) ? slots_[index].is_set != 0 : members_[index].is_set;
  }
  [[nodiscard]] std::string_view key(std::uint32_t index) const {
    return index < slot_count_ ? ruleset_->text(slots_[index].key) : members_[index].key;
  }
  /// Empty if it is not set.
  [[nodiscard]] std::string_view value(std::uint32_t index) const {
    if (!is_set(index)) return {};
    return is_initial(index) ? ruleset_->text(slots_[index].initial) : members_[index].value;
  }
  /// Slot or list entry with that key, set or not. Expected O(bytes).
  [[nodiscard]] std::uint32_t find(std::string_view key) const;
  /// Slots: 0..slot_count() - 1.
  [[nodiscard]] std::uint32_t slot_count() const { return slot_count_; }
  /// find(), and else a new member under a copy of the key. kNotFound when full.
  std::uint32_t find_or_add(std::string_view key, Region& region);
  void set(std::uint32_t index, std::string_view value) {
    touch(index);
    members_[index].value = value;
    members_[index].is_set = true;
  }
  void unset(std::uint32_t index) {
    touch(index);
    members_[index].is_set = false;
  }

 private:
  struct Member {
    std::string_view key;  ///< not of slots
    std::string_view value;
    bool is_set;
    std::uint16_t next;  ///< of the same bucket: an index, or kNoMember
  };
  static constexpr std::size_t kBuckets = 256;
  static constexpr std::uint16_t kNoMember = 0xffff;

  [[nodiscard]] std::uint32_t find(std::string_view key, std::uint64_t hash) const;
  static std::size_t bucket_of(std::uint64_t hash) { return hash >> 56; }

  /// A slot that has been neither set nor unset: its member has no content yet.
  [[nodiscard]] bool is_initial(std::uint32_t index) const {
    return index < slot_count_ && (touched_[index / 64] >> index % 64 & 1) == 0;
  }
  void touch(std::uint32_t index) {
    if (index < slot_count_) touched_[index / 64] |= std::uint64_t{1} << index % 64;
  }
  [[nodiscard]] std::size_t words() const { return (slot_count_ + std::size_t{63}) / 64; }

  const Ruleset* ruleset_ = nullptr;
  std::span<const abi::TxSlot> slots_;
  std::uint64_t* touched_ = nullptr;  ///< a bit for each slot
  Member* members_ = nullptr;
  std::uint16_t* buckets_ = nullptr;  ///< of members that have no slot, once there is one
  std::uint32_t slot_count_ = 0, extra_count_ = 0, capacity_ = 0;
};

}  // namespace sluice::rules
