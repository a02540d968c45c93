// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/abi/limits.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"

/// The table of the generic cell rate algorithm (GCRA, ITU-T I.371 annex A): one 16-byte entry
/// {tag, theoretical arrival time} for each client key, shared by all workers and kept over
/// restarts of either process. Updates are one double-width compare-and-swap, so a process may die
/// at any step and leaves whole entries.
namespace sluice::limit {

/// A client key: the identity of the limit and the values it names, hashed.
struct Key {
  std::uint64_t tag;  ///< never 0
  std::uint64_t set;  ///< reduced by the table
};

/// One limit's rate. A request is admitted while the bucket holds at most `burst` requests.
struct Rate {
  std::uint64_t interval_ns;  ///< between two requests of the admitted rate, > 0
  std::uint64_t burst_ns;     ///< interval_ns * burst, >= interval_ns
};

enum class Outcome : std::uint8_t { kAdmitted, kLimited, kFull };

struct Decision {
  Outcome outcome;
  std::uint64_t wait_ns = 0;  ///< kLimited: until the next request would be admitted
};

/// First bytes of the shared segment; the sets follow at kHeaderBytes.
struct TableHeader {
  std::uint64_t magic;
  std::uint64_t version;
  std::uint64_t set_count;  ///< a power of two
  base::HashKey hash_key;   ///< chosen when the segment was made: tags stay good over restarts
};

class Table {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kHeaderBytes = 4096;
  static_assert(sizeof(TableHeader) <= kHeaderBytes);

  /// Bytes of a segment for at least `entries` entries.
  static std::size_t bytes_for(std::size_t entries);
  /// Makes an empty table in zeroed memory of bytes_for(entries), 64-byte aligned.
  static void format(std::span<std::uint8_t> memory, std::size_t entries);
  /// True when `memory` holds a table of this version and size.
  static bool valid(std::span<const std::uint8_t> memory);

  Table() = default;
  /// memory: valid(), mapped as long as the table lives.
  explicit Table(std::span<std::uint8_t> memory);

  [[nodiscard]] bool attached() const { return sets_ != nullptr; }
  [[nodiscard]] std::size_t capacity() const { return set_count_ * kWays; }
  [[nodiscard]] const base::HashKey& hash_key() const { return *hash_key_; }

  /// Charges one request to `key` if its rate admits it. `now`: CLOCK_MONOTONIC; workers may differ
  /// by their bursts' age. kFull: every entry of the key's set is live. Lock-free; at most two
  /// cache lines. When workers meet a new key at the same instant, each may be admitted once before
  /// their entries are merged, and the debt of all is kept.
  Decision charge(const Key& key, const Rate& rate, base::Nanos now);
  /// Takes one charge back: another limit refused the request.
  void refund(const Key& key, const Rate& rate, base::Nanos now);

  [[nodiscard]] std::size_t set_count() const { return set_count_; }
  /// Entries whose time has not passed, of `count` sets from the first-th on (those beyond the last
  /// have none). O(count): for status, not for workers.
  [[nodiscard]] std::size_t live_entries(base::Nanos now, std::size_t first,
                                         std::size_t count) const;
  /// Of all sets.
  [[nodiscard]] std::size_t live_entries(base::Nanos now) const {
    return live_entries(now, 0, set_count_);
  }

 private:
  struct alignas(16) Entry {
    std::uint64_t tag, arrival_ns;
  };
  struct alignas(64) Set {
    Entry ways[kWays];
  };

  static bool swap(Entry& entry, Entry& expected, Entry desired);
  Set& set_of(const Key& key) { return sets_[key.set & (set_count_ - 1)]; }
  void merge_duplicates(Set& set, const Key& key, base::Nanos now);
  void add_debt(Set& set, const Key& key, std::uint64_t debt_ns, base::Nanos now);

  Set* sets_ = nullptr;
  std::size_t set_count_ = 0;
  const base::HashKey* hash_key_ = nullptr;
};

}  // namespace sluice::limit
