// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/abi/limits.h"
#include "dataplane/base/hash.h"
#include "dataplane/rules/collection_record.h"

/// Persistent collections of SecLang (IP, GLOBAL, SESSION, ...): shared by all workers, kept over
/// pushes and over restarts of either process.
///
/// A hash of the collection's key names a slot, and a slot names the page with all records of such
/// keys. Pages that a slot names are never written: a change copies the page with the change in it
/// to a spare page of the worker's own and swaps the slot's word, {version, page}, by one
/// compare-and-swap; the page that was there is the worker's spare from then on. A reader copies
/// the page and looks whether the word is still the same. So there is no lock that a dead or
/// preempted worker could hold, no text is ever seen half written, and a change happens once or not
/// at all wherever its writer dies; the spare pages are found again when the segment is attached
/// (pages that no slot names). Model: tests/models/collections.pml.
namespace sluice::rules {

/// First bytes of the shared segment; the slots' words follow at kHeaderBytes, then the pages.
struct CollectionsHeader {
  std::uint64_t magic;
  std::uint64_t version;
  std::uint64_t slot_count;  ///< a power of two
  base::HashKey hash_key;    ///< chosen when the segment was made: identities stay good
};

/// The segment as one process sees it. Made before workers start.
class CollectionTable {
 public:
  static constexpr std::size_t kHeaderBytes = 4096;
  static_assert(sizeof(CollectionsHeader) <= kHeaderBytes);

  /// Slots of a segment whose pages are about `bytes` in all: a power of two.
  static std::size_t slots_for(std::size_t bytes);
  /// Bytes of a segment with so many slots, with one spare page for each of kWorkersMax workers.
  static std::size_t bytes_for(std::size_t slots);
  /// Makes an empty table in zeroed memory of bytes_for(slots), 64-byte aligned.
  static void format(std::span<std::uint8_t> memory, std::size_t slots);
  /// True when `memory` holds a table of this version and size in which every slot has a page of
  /// its own. O(slots).
  static bool valid(std::span<const std::uint8_t> memory);

  CollectionTable() = default;
  /// memory: valid(), mapped as long as the table lives, and nobody else attached to write.
  explicit CollectionTable(std::span<std::uint8_t> memory);

  [[nodiscard]] bool attached() const { return words_ != nullptr; }
  [[nodiscard]] std::size_t slot_count() const { return slot_count_; }
  [[nodiscard]] const base::HashKey& hash_key() const { return *hash_key_; }
  /// Records that have not expired. O(table): for status and tests, not for workers.
  [[nodiscard]] std::size_t live_records(std::uint64_t now_ns) const;

 private:
  friend class Collections;
  [[nodiscard]] std::uint64_t* page(std::uint32_t index) const {
    return pages_ + std::size_t{index} * (abi::kCollectionPageBytes / 8);
  }

  std::uint64_t* words_ = nullptr;  ///< {version 40 bits, page 24 bits} of each slot
  std::uint64_t* pages_ = nullptr;
  std::size_t slot_count_ = 0;
  const base::HashKey* hash_key_ = nullptr;
  std::vector<std::uint32_t> spares_;  ///< one for each worker
};

/// What one change of a collection says. Names compare without case.
struct CollectionChange {
  enum class Kind : std::uint8_t {
    kAssign,  ///< `value`, cut at kCollectionValueBytesMax
    kAdd,     ///< `number`, in 32 bits that wrap; a text that is no number counts as 0
    kDelete,
    kExpire,  ///< the member ends `number` seconds from now; nothing if there is none
  };
  Kind kind;
  std::string_view name;  ///< TIMEOUT: the seconds that the collection outlives its last change
  std::string_view value;
  std::int64_t number = 0;
};

/// Who changes a collection, and when.
struct CollectionTime {
  std::uint64_t monotonic_ns, wall_ns;
  std::uint64_t transaction;  ///< a number that no other transaction has
  std::uint32_t timeout_s;    ///< SecCollectionTimeout, of a new collection
};

enum class CollectionOutcome : std::uint8_t {
  kDone,
  kFull,       ///< the record or a name is too large: nothing changed
  kContended,  ///< lost kCollectionAttemptsMax races: nothing changed
};

/// One worker's access: lock-free, no allocation, bounded by kCollectionAttemptsMax copies of a
/// page.
class Collections {
 public:
  Collections() = default;
  /// table: attached, outlives this. worker: 0..kWorkersMax - 1, of no other object.
  Collections(const CollectionTable& table, std::uint32_t worker);

  [[nodiscard]] bool attached() const { return table_ != nullptr; }
  [[nodiscard]] base::Hash128 identity(std::string_view name) const {
    return base::keyed_hash128(table_->hash_key(), name.data(), name.size());
  }

  /// The record as it is now; it does not exist if there is none or it has expired, or when every
  /// attempt met a change. The view is good until the next call.
  RecordView read(const base::Hash128& identity, std::uint64_t now_ns);
  /// Changes the record, making it if need be. Atomic: all workers see it whole or not at all, and
  /// two additions add up. key: for KEY. Records of the page that have expired go; if there is
  /// still no room, those that were changed longest ago.
  CollectionOutcome change(const base::Hash128& identity, std::string_view key,
                           const CollectionTime& time, const CollectionChange& change);

  struct Counts {
    std::uint64_t updates = 0, evictions = 0, full = 0;
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct alignas(8) Page {
    std::uint8_t bytes[abi::kCollectionPageBytes];
  };
  [[nodiscard]] std::uint64_t& word_of(const base::Hash128& identity) const {
    return table_->words_[identity.low & (table_->slot_count_ - 1)];
  }
  bool snapshot(std::uint64_t word, const std::uint64_t& slot);
  [[nodiscard]] RecordView find(const base::Hash128& identity) const;
  std::size_t compose(RecordView own, std::size_t own_bytes, std::uint64_t now_ns);
  CollectionOutcome attempt(std::uint64_t& slot, const base::Hash128& identity,
                            std::string_view key, const CollectionTime& time,
                            const CollectionChange& change);

  const CollectionTable* table_ = nullptr;
  std::uint32_t spare_ = 0;
  Counts counts_;
  Page seen_, next_;
  alignas(8) std::uint8_t record_[abi::kCollectionRecordBytesMax] = {};
};

}  // namespace sluice::rules
