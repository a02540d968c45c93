// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/tx_store.h"

#include <algorithm>

#include "dataplane/abi/names.h"
#include "dataplane/rules/slot_index.h"

namespace sluice::rules {

bool TxStore::begin(const Ruleset& ruleset, Region& region) {
  slots_ = ruleset.array<abi::TxSlot>(ruleset.header().slots);
  ruleset_ = &ruleset;
  buckets_ = nullptr;
  slot_count_ = static_cast<std::uint32_t>(slots_.size());
  extra_count_ = 0;
  capacity_ = slot_count_ + 16;
  members_ = region.allocate_array<Member>(capacity_);
  touched_ = region.allocate_array<std::uint64_t>(words());
  if (members_ == nullptr || touched_ == nullptr) {
    slot_count_ = 0;
    return false;
  }
  std::fill_n(touched_, words(), 0);
  return true;
}

bool TxStore::copy(const TxStore& from, Region& region) {
  *this = from;
  members_ = region.allocate_array<Member>(capacity_);
  touched_ = region.allocate_array<std::uint64_t>(words());
  if (members_ == nullptr || touched_ == nullptr) return false;
  std::copy_n(from.members_, from.size(), members_);
  std::copy_n(from.touched_, words(), touched_);
  if (buckets_ == nullptr) return true;
  buckets_ = region.allocate_array<std::uint16_t>(kBuckets);
  if (buckets_ == nullptr) return false;
  std::copy_n(from.buckets_, kBuckets, buckets_);
  return true;
}

std::uint32_t TxStore::find(std::string_view key) const {
  return ruleset_ == nullptr ? kNotFound : find(key, ruleset_->slot_index().hash(key));
}

std::uint32_t TxStore::find(std::string_view key, std::uint64_t hash) const {
  const std::uint32_t slot = ruleset_->slot_index().find(*ruleset_, key, hash);
  if (slot != abi::kNone32 || buckets_ == nullptr) return slot;
  for (std::uint16_t at = buckets_[bucket_of(hash)]; at != kNoMember; at = members_[at].next) {
    if (abi::equal_ignoring_case(members_[at].key, key)) return at;
  }
  return kNotFound;
}

std::uint32_t TxStore::find_or_add(std::string_view key, Region& region) {
  const std::uint64_t hash = ruleset_->slot_index().hash(key);
  if (const std::uint32_t known = find(key, hash); known != kNotFound) return known;
  if (buckets_ == nullptr) {
    buckets_ = region.allocate_array<std::uint16_t>(kBuckets);
    if (buckets_ == nullptr) return kNotFound;
    std::fill_n(buckets_, kBuckets, kNoMember);
  }
  if (size() == capacity_) {
    if (capacity_ >= abi::kTxVariablesMax) return kNotFound;
    auto* larger = region.allocate_array<Member>(2 * std::size_t{capacity_});
    if (larger == nullptr) return kNotFound;
    std::copy_n(members_, size(), larger);
    members_ = larger;
    capacity_ *= 2;
  }
  auto* copy = static_cast<char*>(region.allocate(key.size(), 1));
  if (copy == nullptr) return kNotFound;
  std::copy(key.begin(), key.end(), copy);
  std::uint16_t& head = buckets_[bucket_of(hash)];
  members_[size()] = {{copy, key.size()}, {}, false, head};
  head = static_cast<std::uint16_t>(size());
  return slot_count_ + extra_count_++;
}

}  // namespace sluice::rules
