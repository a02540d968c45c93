// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/collections.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <charconv>

#include "dataplane/base/check.h"
#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {
namespace {

constexpr std::uint64_t kMagic = 0x314c4f4343434c53ULL;
constexpr std::uint64_t kVersion = 1;
constexpr unsigned kPageBits = 24;
constexpr std::uint64_t kPageMask = (1ULL << kPageBits) - 1;
constexpr std::size_t kSlotsMax = (1u << kPageBits) - abi::kWorkersMax;

/// First bytes of a page.
struct PageHeader {
  std::uint32_t used_bytes;  ///< with this header
  std::uint32_t reserved;
};
constexpr std::size_t kPageRoom = abi::kCollectionPageBytes - sizeof(PageHeader);
static_assert(abi::kCollectionRecordBytesMax <= kPageRoom);
static_assert(sizeof(RecordHeader) + abi::kCollectionKeyBytesMax +
                  member_bytes(abi::kCollectionNameBytesMax, abi::kCollectionValueBytesMax) <=
              abi::kCollectionRecordBytesMax);

constexpr std::size_t words_bytes(std::size_t slots) {
  return (slots * 8 + abi::kCollectionPageBytes - 1) & ~(abi::kCollectionPageBytes - 1);
}

std::uint32_t used_bytes(const std::uint8_t* page) {
  PageHeader header;
  std::memcpy(&header, page, sizeof header);
  return std::min<std::uint32_t>(header.used_bytes, abi::kCollectionPageBytes);
}

/// visit(record) for each record of a page that is ours to read, until it says false.
template <typename Visitor>
void for_each_record(const std::uint8_t* page, Visitor&& visit) {
  const std::size_t end = used_bytes(page);
  for (std::size_t at = sizeof(PageHeader); at + sizeof(RecordHeader) <= end;) {
    const std::size_t bytes = reinterpret_cast<const RecordHeader*>(page + at)->bytes;
    if (bytes < sizeof(RecordHeader) || bytes % 8 != 0 || bytes > end - at) return;
    if (!visit(RecordView({page + at, bytes}))) return;
    at += bytes;
  }
}

bool is_timeout(std::string_view name) {
  constexpr std::string_view kTimeout = "TIMEOUT";
  return name.size() == kTimeout.size() && abi::equal_ignoring_case(name, kTimeout);
}

std::uint32_t seconds(std::int64_t number) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(number, 0, UINT32_MAX));
}

/// Writes one record from what it was and a change.
class RecordWriter {
 public:
  RecordWriter(std::span<std::uint8_t> to, const CollectionTime& time,
               const CollectionChange& change)
      : to_(to), time_(time), change_(change) {}

  void begin(const base::Hash128& identity, std::string_view key, RecordView old) {
    key = key.substr(0, abi::kCollectionKeyBytesMax);
    if (old.exists()) {
      header_ = old.header();
    } else {
      header_ = {};
      header_.identity = identity;
      header_.created_by = time_.transaction;
      header_.created_s = static_cast<std::uint32_t>(time_.wall_ns / base::kNanosPerSecond);
      header_.timeout_s = time_.timeout_s;
    }
    if (header_.updates == 0 || header_.updated_by != time_.transaction) {
      header_.updates += header_.updates == UINT32_MAX ? 0 : 1;
    }
    header_.updated_by = time_.transaction;
    header_.updated_ns = std::max(header_.updated_ns, time_.monotonic_ns);
    header_.updated_s = static_cast<std::uint32_t>(time_.wall_ns / base::kNanosPerSecond);
    header_.key_bytes = static_cast<std::uint16_t>(key.size());
    header_.member_count = 0;
    std::memset(to_.data() + sizeof header_, 0, padded(key.size()));
    if (!key.empty()) std::memcpy(to_.data() + sizeof header_, key.data(), key.size());
    used_ = sizeof header_ + padded(key.size());
  }

  /// The members of the old record, the one that the change names changed. False: no room.
  bool add_members(RecordView old) {
    if (is_timeout(change_.name)) set_timeout();
    if (!old.exists()) return true;
    bool fits = true;
    old.for_each([&](const CollectionMember& member) {
      if (member.expired(time_.monotonic_ns)) return true;
      const bool meant = !applied_ && member.name.size() == change_.name.size() &&
                         abi::equal_ignoring_case(member.name, change_.name);
      fits = meant ? change(member) : add(member.name, member.value, member.expires_ns);
      return fits;
    });
    return fits;
  }
  /// The change of a member that there was not. False: no room.
  bool add_new() {
    if (applied_) return true;
    switch (change_.kind) {
      case CollectionChange::Kind::kAssign:
        applied_ = true;
        return add(change_.name, cut(change_.value), 0);
      case CollectionChange::Kind::kAdd:
        applied_ = true;
        return add_number(change_.name, 0, 0);
      case CollectionChange::Kind::kDelete:
      case CollectionChange::Kind::kExpire:
        return true;
    }
    return true;
  }
  [[nodiscard]] bool applied() const { return applied_; }
  std::size_t finish() {
    header_.bytes = static_cast<std::uint16_t>(used_);
    std::memcpy(to_.data(), &header_, sizeof header_);
    return used_;
  }

 private:
  static std::string_view cut(std::string_view value) {
    return value.substr(0, abi::kCollectionValueBytesMax);
  }
  void set_timeout() {
    switch (change_.kind) {
      case CollectionChange::Kind::kAssign:
        header_.timeout_s = seconds(order_number(base::as_bytes(change_.value)));
        break;
      case CollectionChange::Kind::kAdd:
        header_.timeout_s = seconds(std::int64_t{header_.timeout_s} + change_.number);
        break;
      case CollectionChange::Kind::kDelete:
      case CollectionChange::Kind::kExpire:
        return;
    }
    applied_ = true;
  }
  bool change(const CollectionMember& member) {
    applied_ = true;
    switch (change_.kind) {
      case CollectionChange::Kind::kAssign:
        return add(member.name, cut(change_.value), member.expires_ns);
      case CollectionChange::Kind::kAdd:
        return add_number(member.name, eq_number(base::as_bytes(member.value)), member.expires_ns);
      case CollectionChange::Kind::kDelete:
        return true;
      case CollectionChange::Kind::kExpire:
        return add(member.name, member.value,
                   time_.monotonic_ns + seconds(change_.number) * base::kNanosPerSecond);
    }
    return true;
  }
  bool add_number(std::string_view name, std::int32_t before, std::uint64_t expires_ns) {
    char text[16];
    const auto end =
        std::to_chars(text, text + sizeof text, wrapping_sum(before, change_.number)).ptr;
    return add(name, {text, static_cast<std::size_t>(end - text)}, expires_ns);
  }
  bool add(std::string_view name, std::string_view value, std::uint64_t expires_ns) {
    const std::size_t bytes = member_bytes(name.size(), value.size());
    if (name.size() > abi::kCollectionNameBytesMax || to_.size() - used_ < bytes) return false;
    const MemberHeader header{expires_ns, static_cast<std::uint16_t>(name.size()),
                              static_cast<std::uint16_t>(value.size()), 0};
    std::uint8_t* at = to_.data() + used_;
    std::memset(at, 0, bytes);
    std::memcpy(at, &header, sizeof header);
    if (!name.empty()) std::memcpy(at + sizeof header, name.data(), name.size());
    if (!value.empty()) std::memcpy(at + sizeof header + name.size(), value.data(), value.size());
    used_ += bytes;
    ++header_.member_count;
    return true;
  }

  std::span<std::uint8_t> to_;
  const CollectionTime& time_;
  const CollectionChange& change_;
  RecordHeader header_ = {};
  std::size_t used_ = 0;
  bool applied_ = false;
};

}  // namespace

// -- the segment ----------------------------------------------------------------------------------

std::size_t CollectionTable::slots_for(std::size_t bytes) {
  return std::bit_floor(
      std::clamp<std::size_t>(bytes / abi::kCollectionPageBytes, 1, std::bit_floor(kSlotsMax)));
}

std::size_t CollectionTable::bytes_for(std::size_t slots) {
  return kHeaderBytes + words_bytes(slots) + (slots + abi::kWorkersMax) * abi::kCollectionPageBytes;
}

void CollectionTable::format(std::span<std::uint8_t> memory, std::size_t slots) {
  SLUICE_CHECK(std::has_single_bit(slots) && slots <= kSlotsMax &&
               memory.size() >= bytes_for(slots));
  auto* header = reinterpret_cast<CollectionsHeader*>(memory.data());
  base::random_hash_key(header->hash_key);
  header->slot_count = slots;
  header->version = kVersion;
  auto* words = reinterpret_cast<std::uint64_t*>(memory.data() + kHeaderBytes);
  for (std::size_t i = 0; i < slots; ++i) words[i] = i;
  __atomic_store_n(&header->magic, kMagic, __ATOMIC_RELEASE);
}

bool CollectionTable::valid(std::span<const std::uint8_t> memory) {
  if (memory.size() < kHeaderBytes) return false;
  const auto* header = reinterpret_cast<const CollectionsHeader*>(memory.data());
  const std::uint64_t slots = header->slot_count;
  if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) != kMagic || header->version != kVersion ||
      !std::has_single_bit(slots) || slots > kSlotsMax || memory.size() < bytes_for(slots)) {
    return false;
  }
  const auto* words = reinterpret_cast<const std::uint64_t*>(memory.data() + kHeaderBytes);
  std::vector<bool> named(slots + abi::kWorkersMax);
  for (std::size_t i = 0; i < slots; ++i) {
    const std::uint64_t page = words[i] & kPageMask;
    if (page >= named.size() || named[page]) return false;
    named[page] = true;
  }
  return true;
}

CollectionTable::CollectionTable(std::span<std::uint8_t> memory) {
  SLUICE_CHECK(valid(memory));
  const auto* header = reinterpret_cast<const CollectionsHeader*>(memory.data());
  slot_count_ = header->slot_count;
  hash_key_ = &header->hash_key;
  words_ = reinterpret_cast<std::uint64_t*>(memory.data() + kHeaderBytes);
  pages_ =
      reinterpret_cast<std::uint64_t*>(memory.data() + kHeaderBytes + words_bytes(slot_count_));
  std::vector<bool> named(slot_count_ + abi::kWorkersMax);
  for (std::size_t i = 0; i < slot_count_; ++i) named[words_[i] & kPageMask] = true;
  for (std::size_t page = 0; page < named.size(); ++page) {
    if (!named[page]) spares_.push_back(static_cast<std::uint32_t>(page));
  }
}

std::size_t CollectionTable::live_records(std::uint64_t now_ns) const {
  std::size_t count = 0;
  for (std::size_t i = 0; i < slot_count_; ++i) {
    const std::uint64_t word = __atomic_load_n(&words_[i], __ATOMIC_ACQUIRE);
    for_each_record(
        reinterpret_cast<const std::uint8_t*>(page(static_cast<std::uint32_t>(word & kPageMask))),
        [&](const RecordView& record) {
          count += record.expired(now_ns) ? 0U : 1U;
          return true;
        });
  }
  return count;
}

// -- one worker -----------------------------------------------------------------------------------

Collections::Collections(const CollectionTable& table, std::uint32_t worker) : table_(&table) {
  SLUICE_CHECK(worker < table.spares_.size());
  spare_ = table.spares_[worker];
}

/// Copies the page that `word` names into seen_. False: the slot has another page by now, and what
/// was copied may be a mixture.
bool Collections::snapshot(std::uint64_t word, const std::uint64_t& slot) {
  const std::uint64_t* page = table_->page(static_cast<std::uint32_t>(word & kPageMask));
  auto* to = reinterpret_cast<std::uint64_t*>(seen_.bytes);
  to[0] = __atomic_load_n(page, __ATOMIC_RELAXED);
  const std::size_t words = (used_bytes(seen_.bytes) + 7) / 8;
  for (std::size_t i = 1; i < words; ++i) to[i] = __atomic_load_n(page + i, __ATOMIC_RELAXED);
  std::atomic_thread_fence(std::memory_order_acquire);
  return __atomic_load_n(&slot, __ATOMIC_RELAXED) == word;
}

RecordView Collections::find(const base::Hash128& identity) const {
  RecordView found;
  for_each_record(seen_.bytes, [&](const RecordView& record) {
    if (record.header().identity == identity) found = record;
    return !found.exists();
  });
  return found;
}

RecordView Collections::read(const base::Hash128& identity, std::uint64_t now_ns) {
  const std::uint64_t& slot = word_of(identity);
  for (std::uint32_t i = 0; i < abi::kCollectionAttemptsMax; ++i) {
    const std::uint64_t word = __atomic_load_n(&slot, __ATOMIC_ACQUIRE);
    if (!snapshot(word, slot)) continue;
    const RecordView record = find(identity);
    return record.exists() && !record.expired(now_ns) ? record : RecordView();
  }
  return {};
}

/// Puts the other records of seen_ and then record_ into next_. Returns how many live records had
/// to go.
std::size_t Collections::compose(RecordView own, std::size_t own_bytes, std::uint64_t now_ns) {
  const auto stays = [&](const RecordView& record) {
    return record.bytes().data() != own.bytes().data() && !record.expired(now_ns);
  };
  std::size_t others = 0;
  for_each_record(seen_.bytes, [&](const RecordView& record) {
    others += stays(record) ? record.bytes().size() : 0;
    return true;
  });
  std::size_t at = sizeof(PageHeader), evicted = 0;
  for_each_record(seen_.bytes, [&](const RecordView& record) {
    if (!stays(record)) return true;
    if (others + own_bytes > kPageRoom) {
      others -= record.bytes().size();
      ++evicted;
      return true;
    }
    std::memcpy(next_.bytes + at, record.bytes().data(), record.bytes().size());
    at += record.bytes().size();
    return true;
  });
  std::memcpy(next_.bytes + at, record_, own_bytes);
  const PageHeader header{static_cast<std::uint32_t>(at + own_bytes), 0};
  std::memcpy(next_.bytes, &header, sizeof header);
  return evicted;
}

CollectionOutcome Collections::attempt(std::uint64_t& slot, const base::Hash128& identity,
                                       std::string_view key, const CollectionTime& time,
                                       const CollectionChange& change) {
  std::uint64_t word = __atomic_load_n(&slot, __ATOMIC_ACQUIRE);
  if (!snapshot(word, slot)) return CollectionOutcome::kContended;
  const RecordView there = find(identity);
  const RecordView old = there.exists() && !there.expired(time.monotonic_ns) ? there : RecordView();
  RecordWriter writer(record_, time, change);
  writer.begin(identity, key, old);
  if (!writer.add_members(old) || !writer.add_new()) return CollectionOutcome::kFull;
  if (!writer.applied()) return CollectionOutcome::kDone;
  const std::size_t evicted = compose(there, writer.finish(), time.monotonic_ns);

  // Whoever still reads the spare page, which it was given as a slot's, must find the slot's word
  // changed if it sees one of these stores: the fence keeps them behind the swap that freed it.
  std::atomic_thread_fence(std::memory_order_release);
  std::uint64_t* page = table_->page(spare_);
  const auto* from = reinterpret_cast<const std::uint64_t*>(next_.bytes);
  for (std::size_t i = 0; i < (used_bytes(next_.bytes) + 7) / 8; ++i) {
    __atomic_store_n(page + i, from[i], __ATOMIC_RELAXED);
  }
  const std::uint64_t next = (((word >> kPageBits) + 1) << kPageBits) | spare_;
  const auto mine = static_cast<std::uint32_t>(word & kPageMask);
  if (!__atomic_compare_exchange_n(&slot, &word, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    return CollectionOutcome::kContended;
  }
  spare_ = mine;
  ++counts_.updates;
  counts_.evictions += evicted;
  return CollectionOutcome::kDone;
}

CollectionOutcome Collections::change(const base::Hash128& identity, std::string_view key,
                                      const CollectionTime& time, const CollectionChange& change) {
  std::uint64_t& slot = word_of(identity);
  CollectionOutcome outcome = CollectionOutcome::kContended;
  for (std::uint32_t i = 0;
       i < abi::kCollectionAttemptsMax && outcome == CollectionOutcome::kContended; ++i) {
    outcome = attempt(slot, identity, key, time, change);
  }
  counts_.full += outcome == CollectionOutcome::kDone ? 0U : 1U;
  return outcome;
}

}  // namespace sluice::rules
