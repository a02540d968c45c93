// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "dataplane/abi/limits.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/check.h"
#include "dataplane/flow/flow_key.h"

namespace sluice::flow {

/// The index part of a flow table: buckets of one cache line with short tags, found by a keyed
/// hash. It knows slot numbers only; FlowTable adds keys and values.
class BucketIndex {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::uint32_t kNone = 0xffffffff;

  static std::size_t memory_bytes(std::size_t flows_max);
  BucketIndex(base::Arena& arena, std::size_t flows_max);

  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&buckets_[hash & mask_]); }

  /// Calls matches(slot) for every slot whose tag fits until it returns true; that slot or kNone.
  /// Chains are short: a bucket holds four entries on average of eight, and the hash is keyed.
  template <typename Matches>
  std::uint32_t find(std::uint64_t hash, Matches&& matches) const {
    const std::uint16_t tag = tag_of(hash);
    for (const Bucket* bucket = &buckets_[hash & mask_];; bucket = &overflow_[bucket->next - 1]) {
      for (unsigned way = 0; way < kWays; ++way) {
        if (bucket->tags[way] == tag && bucket->slots[way] != 0 &&
            matches(bucket->slots[way] - 1)) {
          return bucket->slots[way] - 1;
        }
      }
      if (bucket->next == 0) return kNone;
    }
  }

  /// False when no bucket is left: the caller's table is full.
  [[nodiscard]] bool insert(std::uint64_t hash, std::uint32_t slot);
  void erase(std::uint64_t hash, std::uint32_t slot);

 private:
  struct alignas(abi::kCacheLineBytes) Bucket {
    std::uint32_t slots[kWays];  ///< slot + 1; 0 is free
    std::uint16_t tags[kWays];
    std::uint32_t next;  ///< overflow bucket + 1; 0 is none
  };
  static_assert(sizeof(Bucket) == abi::kCacheLineBytes);

  static std::uint16_t tag_of(std::uint64_t hash) { return static_cast<std::uint16_t>(hash >> 48); }
  static std::size_t bucket_count(std::size_t flows_max);
  static std::size_t overflow_count(std::size_t flows_max);

  Bucket* buckets_ = nullptr;
  Bucket* overflow_ = nullptr;
  std::uint64_t mask_ = 0;
  std::uint32_t free_overflow_ = 0;  ///< chained through `next`
};

/// The connections of one worker: keys and values in fixed slots, found through a BucketIndex. All
/// memory is the caller's and is taken at construction; nothing grows. Full: insert() says so. The
/// engine then forgets a connection that is finished or reset, or refuses the new one (flow_full):
/// nobody is evicted into being uninspected.
/// T: default constructible; made on insert(), destroyed on erase().
template <typename T>
class FlowTable {
 public:
  static constexpr std::uint32_t kNone = BucketIndex::kNone;

  static std::size_t memory_bytes(std::size_t flows_max) {
    return BucketIndex::memory_bytes(flows_max) + flows_max * sizeof(Slot) +
           flows_max * sizeof(std::uint32_t) + 2 * abi::kCacheLineBytes +
           2 * base::Arena::kGapBytesMax;
  }

  /// memory: memory_bytes(flows_max), zeroed or not, borrowed for the table's lifetime. flows_max:
  /// 1 .. 2^31. hash_key: borrowed too.
  FlowTable(std::span<std::uint8_t> memory, std::size_t flows_max, const base::HashKey& hash_key)
      : arena_(memory), index_(arena_, flows_max), hash_key_(hash_key), flows_max_(flows_max) {
    slots_ = static_cast<Slot*>(arena_.allocate(flows_max * sizeof(Slot), alignof(Slot)));
    free_ = arena_.allocate_array<std::uint32_t>(flows_max);
    SLUICE_CHECK(slots_ != nullptr && free_ != nullptr);
    // The lowest slot is taken first, so that an appliance with few flows touches few pages.
    for (std::size_t i = 0; i < flows_max; ++i) {
      free_[i] = static_cast<std::uint32_t>(flows_max - 1 - i);
      slots_[i].used = false;
    }
    free_count_ = flows_max;
  }
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  [[nodiscard]] std::uint64_t hash(const FlowKey& key) const { return flow_hash(hash_key_, key); }

  /// nullptr when unknown. hash: hash(key). O(1): one bucket line and one slot in the usual case.
  [[nodiscard]] T* find(const FlowKey& key, std::uint64_t hash) {
    const std::uint32_t slot =
        index_.find(hash, [&](std::uint32_t at) { return slots_[at].key == key; });
    return slot == kNone ? nullptr : &slots_[slot].value;
  }

  /// find() for a burst, with the memory of all of them on its way before the first is compared.
  /// All three spans have one length, at most abi::kBurstMax.
  void find_bulk(std::span<const FlowKey> keys, std::span<const std::uint64_t> hashes,
                 std::span<T*> found) {
    SLUICE_CHECK(keys.size() <= abi::kBurstMax);
    for (const std::uint64_t hash : hashes) index_.prefetch(hash);
    for (const std::uint64_t hash : hashes) {
      // The first slot whose tag fits is the right one but for one time in 2^13.
      index_.find(hash, [&](std::uint32_t slot) {
        const auto* line = reinterpret_cast<const std::uint8_t*>(&slots_[slot]);
        __builtin_prefetch(line);
        __builtin_prefetch(line + abi::kCacheLineBytes);
        __builtin_prefetch(line + 2 * abi::kCacheLineBytes);
        return true;
      });
    }
    for (std::size_t i = 0; i < keys.size(); ++i) found[i] = find(keys[i], hashes[i]);
  }

  /// Adds a connection that find() does not know. nullptr: full (kFlowFull).
  [[nodiscard]] T* insert(const FlowKey& key, std::uint64_t hash) {
    if (free_count_ == 0) return nullptr;
    const std::uint32_t slot = free_[free_count_ - 1];
    if (!index_.insert(hash, slot)) return nullptr;
    --free_count_;
    slots_[slot].key = key;
    slots_[slot].used = true;
    return new (&slots_[slot].value) T();
  }

  /// Forgets a connection. `value` is destroyed.
  void erase(T& value) {
    const std::uint32_t slot = index_of(value);
    index_.erase(hash(slots_[slot].key), slot);
    value.~T();
    slots_[slot].used = false;
    free_[free_count_++] = slot;
  }

  /// A number below flows_max() that stays with the connection: the timer wheel's id.
  [[nodiscard]] std::uint32_t index_of(const T& value) const {
    const auto* slot = reinterpret_cast<const Slot*>(reinterpret_cast<const std::uint8_t*>(&value) -
                                                     offsetof(Slot, value));
    return static_cast<std::uint32_t>(slot - slots_);
  }
  /// The connection of an index; nullptr if that slot is free.
  [[nodiscard]] T* at(std::uint32_t index) {
    return slots_[index].used ? &slots_[index].value : nullptr;
  }
  [[nodiscard]] const FlowKey& key_of(const T& value) const { return slots_[index_of(value)].key; }
  [[nodiscard]] std::size_t size() const { return flows_max_ - free_count_; }
  [[nodiscard]] std::size_t flows_max() const { return flows_max_; }
  static constexpr std::size_t slot_bytes() { return sizeof(Slot); }

 private:
  struct Slot {
    FlowKey key;
    bool used;
    T value;
  };
  static_assert(std::is_default_constructible_v<T>);

  base::Arena arena_;
  BucketIndex index_;
  const base::HashKey& hash_key_;
  Slot* slots_ = nullptr;
  std::uint32_t* free_ = nullptr;
  std::size_t free_count_ = 0;
  std::size_t flows_max_;
};

}  // namespace sluice::flow
