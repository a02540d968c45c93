// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/memo.h"

#include <algorithm>
#include <new>

namespace sluice::rules {

base::Result<Memo> Memo::create() {
  Memo memo;
  memo.buckets_.reset(new (std::nothrow) Bucket[kBuckets]());
  if (memo.buckets_ == nullptr) return base::Error{"no memory for the memo of a worker"};
  return memo;
}

void Memo::put(const Place& place, std::uint32_t ruleset, std::uint32_t set,
               std::span<const std::uint16_t> checks) {
  std::copy_backward(place.bucket, place.bucket + kWays - 1, place.bucket + kWays);
  Entry& entry = place.bucket[0];
  entry = {place.hash,
           ruleset,
           static_cast<std::uint16_t>(set),
           static_cast<std::uint16_t>(checks.size()),
           {}};
  std::copy(checks.begin(), checks.end(), entry.checks.begin());
}

}  // namespace sluice::rules
