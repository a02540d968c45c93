// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/flow/flow_table.h"

#include <cstring>

namespace sluice::flow {

// Half full on average: a Poisson load of 4 on 8 ways overflows 2.1 % of the buckets; 1 in 8 is
// kept for that.
std::size_t BucketIndex::bucket_count(std::size_t flows_max) {
  return std::bit_ceil((flows_max + 3) / 4);
}
std::size_t BucketIndex::overflow_count(std::size_t flows_max) {
  return bucket_count(flows_max) / 8 + 4;
}

std::size_t BucketIndex::memory_bytes(std::size_t flows_max) {
  return (bucket_count(flows_max) + overflow_count(flows_max) + 1) * sizeof(Bucket) +
         2 * base::Arena::kGapBytesMax;
}

BucketIndex::BucketIndex(base::Arena& arena, std::size_t flows_max) {
  SLUICE_CHECK(flows_max >= 1 && flows_max <= (std::size_t{1} << 31));
  const std::size_t count = bucket_count(flows_max), overflow = overflow_count(flows_max);
  buckets_ = static_cast<Bucket*>(arena.allocate(count * sizeof(Bucket), alignof(Bucket)));
  overflow_ = static_cast<Bucket*>(arena.allocate(overflow * sizeof(Bucket), alignof(Bucket)));
  SLUICE_CHECK(buckets_ != nullptr && overflow_ != nullptr);
  std::memset(buckets_, 0, count * sizeof(Bucket));
  std::memset(overflow_, 0, overflow * sizeof(Bucket));
  for (std::size_t i = 0; i < overflow; ++i) {
    overflow_[i].next = free_overflow_;
    free_overflow_ = static_cast<std::uint32_t>(i + 1);
  }
  mask_ = count - 1;
}

bool BucketIndex::insert(std::uint64_t hash, std::uint32_t slot) {
  Bucket* bucket = &buckets_[hash & mask_];
  while (true) {
    for (unsigned way = 0; way < kWays; ++way) {
      if (bucket->slots[way] != 0) continue;
      bucket->slots[way] = slot + 1;
      bucket->tags[way] = tag_of(hash);
      return true;
    }
    if (bucket->next == 0) break;
    bucket = &overflow_[bucket->next - 1];
  }
  if (free_overflow_ == 0) return false;
  const std::uint32_t taken = free_overflow_;
  Bucket& added = overflow_[taken - 1];
  free_overflow_ = added.next;
  added = Bucket{};
  added.slots[0] = slot + 1;
  added.tags[0] = tag_of(hash);
  bucket->next = taken;
  return true;
}

void BucketIndex::erase(std::uint64_t hash, std::uint32_t slot) {
  Bucket* bucket = &buckets_[hash & mask_];
  Bucket* before = nullptr;
  while (true) {
    for (unsigned way = 0; way < kWays; ++way) {
      if (bucket->slots[way] != slot + 1) continue;
      bucket->slots[way] = 0;
      bool empty = before != nullptr;
      for (unsigned other = 0; other < kWays && empty; ++other) empty = bucket->slots[other] == 0;
      if (empty) {
        const std::uint32_t freed = before->next;
        before->next = bucket->next;
        bucket->next = free_overflow_;
        free_overflow_ = freed;
      }
      return;
    }
    SLUICE_CHECK(bucket->next != 0);
    before = bucket;
    bucket = &overflow_[bucket->next - 1];
  }
}

}  // namespace sluice::flow
