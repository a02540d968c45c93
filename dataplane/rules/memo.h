// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/abi/limits.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/result.h"

namespace sluice::rules {

/// What the scans of a value found, kept for when the same value comes again: most names, headers
/// and many arguments of an API's traffic do. A scan is a function of the ruleset, the scan set and
/// the bytes alone, so that a hit stands for the scan exactly; found are a keyed 128-bit hash of
/// the bytes, never the bytes (no secret stays here), and a key that nobody outside knows makes a
/// collision a matter of chance, 2^-128 a pair. One worker's; set-associative; the oldest of a
/// bucket goes. An attacker can push entries out and slow nothing below the speed without a memo.
class Memo {
 public:
  /// The checks that a value is a candidate of.
  static constexpr std::size_t kChecksMax = 4;
  struct Entry {
    base::Hash128 hash;
    std::uint32_t ruleset;  ///< Ruleset::serial(); 0: free
    std::uint16_t set;
    std::uint16_t check_count;
    std::array<std::uint16_t, kChecksMax> checks;

    [[nodiscard]] std::span<const std::uint16_t> found() const {
      return {checks.data(), check_count};
    }
  };
  /// Where an entry is or may be put.
  struct Place {
    Entry* bucket;
    base::Hash128 hash;
  };

  static base::Result<Memo> create();

  /// O(bytes). What is there comes from memory meanwhile.
  [[nodiscard]] Place place_of(const base::HashKey& key, std::uint32_t set,
                               base::Bytes value) const {
    const base::Hash128 hash = base::keyed_hash128(key, value.data(), value.size());
    const std::size_t number = (hash.low ^ set * 0x9e3779b97f4a7c15ULL) >> 32;
    Bucket& bucket = buckets_[number % kBuckets];
    __builtin_prefetch(&bucket[0]);
    __builtin_prefetch(&bucket[kWays / 2]);
    return {bucket.data(), hash};
  }
  /// The entry of a value, nullptr if there is none. Valid until the next put().
  static const Entry* find(const Place& place, std::uint32_t ruleset, std::uint32_t set) {
    for (std::size_t way = 0; way < kWays; ++way) {
      const Entry& entry = place.bucket[way];
      if (entry.hash == place.hash && entry.ruleset == ruleset && entry.set == set) return &entry;
    }
    return nullptr;
  }
  /// Keeps what was found. O(1).
  static void put(const Place& place, std::uint32_t ruleset, std::uint32_t set,
                  std::span<const std::uint16_t> checks);

 private:
  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kBuckets = abi::kMemoEntries / kWays;
  static_assert((kBuckets & (kBuckets - 1)) == 0);

  /// Two cache lines.
  struct alignas(abi::kCacheLineBytes) Bucket : std::array<Entry, kWays> {};
  static_assert(sizeof(Bucket) == 2 * abi::kCacheLineBytes);

  std::unique_ptr<Bucket[]> buckets_;
};

}  // namespace sluice::rules
