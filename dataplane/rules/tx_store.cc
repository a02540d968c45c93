// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/tx_store.h"

#include <algorithm>

#include "dataplane/abi/names.h"

namespace sluice::rules {

bool TxStore::begin(const Ruleset& ruleset, Region& region) {
  const auto slots = ruleset.array<abi::TxSlot>(ruleset.header().slots);
  slot_count_ = static_cast<std::uint32_t>(slots.size());
  extra_count_ = 0;
  capacity_ = slot_count_ + 16;
  members_ = region.allocate_array<Member>(capacity_);
  if (members_ == nullptr) {
    slot_count_ = 0;
    return false;
  }
  for (std::uint32_t i = 0; i < slot_count_; ++i) {
    members_[i] = {ruleset.text(slots[i].key), ruleset.text(slots[i].initial),
                   slots[i].is_set != 0};
  }
  return true;
}

bool TxStore::copy(const TxStore& from, Region& region) {
  *this = from;
  members_ = region.allocate_array<Member>(capacity_);
  if (members_ == nullptr) return false;
  std::copy_n(from.members_, from.size(), members_);
  return true;
}

std::uint32_t TxStore::find(std::string_view key) const {
  for (std::uint32_t i = 0; i < size(); ++i) {
    if (members_[i].key.size() == key.size() && abi::same_name(members_[i].key, key)) return i;
  }
  return kNotFound;
}

std::uint32_t TxStore::find_or_add(std::string_view key, Region& region) {
  if (const std::uint32_t known = find(key); known != kNotFound) return known;
  if (size() == capacity_) {
    if (capacity_ >= abi::kTxVariablesMax) return kNotFound;
    auto* larger = region.allocate_array<Member>(2 * std::size_t{capacity_});
    if (larger == nullptr) return kNotFound;
    std::copy_n(members_, size(), larger);
    members_ = larger;
    capacity_ *= 2;
  }
  members_[size()] = {key, {}, false};
  return slot_count_ + extra_count_++;
}

}  // namespace sluice::rules
