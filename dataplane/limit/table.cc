// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/limit/table.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/base/check.h"

namespace sluice::limit {
namespace {

constexpr std::uint64_t kMagic = 0x314c494d4c43534cULL;
constexpr std::uint64_t kVersion = 1;

std::size_t sets_for(std::size_t entries) {
  return std::bit_ceil(std::max<std::size_t>(1, (entries + Table::kWays - 1) / Table::kWays));
}

}  // namespace

std::size_t Table::bytes_for(std::size_t entries) {
  return kHeaderBytes + sets_for(entries) * sizeof(Set);
}

void Table::format(std::span<std::uint8_t> memory, std::size_t entries) {
  SLUICE_CHECK(memory.size() >= bytes_for(entries));
  auto* header = reinterpret_cast<TableHeader*>(memory.data());
  base::random_hash_key(header->hash_key);
  header->set_count = sets_for(entries);
  header->version = kVersion;
  __atomic_store_n(&header->magic, kMagic, __ATOMIC_RELEASE);
}

bool Table::valid(std::span<const std::uint8_t> memory) {
  if (memory.size() < kHeaderBytes) return false;
  const auto* header = reinterpret_cast<const TableHeader*>(memory.data());
  return __atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) == kMagic &&
         header->version == kVersion && std::has_single_bit(header->set_count) &&
         header->set_count <= (memory.size() - kHeaderBytes) / sizeof(Set);
}

Table::Table(std::span<std::uint8_t> memory) {
  SLUICE_CHECK(valid(memory));
  const auto* header = reinterpret_cast<const TableHeader*>(memory.data());
  set_count_ = header->set_count;
  hash_key_ = &header->hash_key;
  sets_ = reinterpret_cast<Set*>(memory.data() + kHeaderBytes);
}

/// cmpxchg16b; on failure `expected` is what was there, read in one piece.
bool Table::swap(Entry& entry, Entry& expected, Entry desired) {
  unsigned __int128 old_value, new_value;
  std::memcpy(&old_value, &expected, sizeof old_value);
  std::memcpy(&new_value, &desired, sizeof new_value);
  auto* target = reinterpret_cast<unsigned __int128*>(&entry);
  const unsigned __int128 seen = __sync_val_compare_and_swap(target, old_value, new_value);
  if (seen == old_value) return true;
  std::memcpy(&expected, &seen, sizeof seen);
  return false;
}

Decision Table::charge(const Key& key, const Rate& rate, base::Nanos now) {
  Set& set = set_of(key);
  for (;;) {
    Entry* place = nullptr;
    Entry seen{};
    bool found = false;
    for (Entry& way : set.ways) {
      // The halves may be torn: what is decided below is confirmed by a swap of both. The time is
      // read first, so that an entry just put in cannot look live and a stranger's, which in the
      // last way would read as a full set (found by tests/models/limit_table.pml).
      const std::uint64_t arrival_ns = __atomic_load_n(&way.arrival_ns, __ATOMIC_ACQUIRE);
      const Entry entry{__atomic_load_n(&way.tag, __ATOMIC_ACQUIRE), arrival_ns};
      if (entry.tag == key.tag) {
        place = &way;
        seen = entry;
        found = true;
        break;
      }
      if (place == nullptr && entry.arrival_ns <= now) {
        place = &way;
        seen = entry;
      }
    }
    if (place == nullptr) return {Outcome::kFull};
    const std::uint64_t start = found ? std::max(seen.arrival_ns, now) : now;
    const std::uint64_t after = start + rate.interval_ns;
    if (after - now > rate.burst_ns) {
      if (swap(*place, seen, seen)) return {Outcome::kLimited, after - now - rate.burst_ns};
      continue;
    }
    if (!swap(*place, seen, Entry{key.tag, after})) continue;
    // Another worker may have put the same new key into another way meanwhile.
    if (!found) merge_duplicates(set, key, now);
    return {Outcome::kAdmitted};
  }
}

/// Keeps the first entry of `key` and moves the debt of later ones into it. Every worker that adds
/// an entry looks afterwards, so the later of two sees both. One that dies in between leaves an
/// entry that nobody charges and that ends by itself.
void Table::merge_duplicates(Set& set, const Key& key, base::Nanos now) {
  bool first = true;
  for (Entry& way : set.ways) {
    Entry entry{__atomic_load_n(&way.tag, __ATOMIC_SEQ_CST),
                __atomic_load_n(&way.arrival_ns, __ATOMIC_SEQ_CST)};
    if (entry.tag != key.tag) continue;
    if (first) {
      first = false;
      continue;
    }
    while (entry.tag == key.tag && !swap(way, entry, Entry{0, 0})) {
    }
    if (entry.tag == key.tag && entry.arrival_ns > now) {
      add_debt(set, key, entry.arrival_ns - now, now);
    }
  }
}

void Table::add_debt(Set& set, const Key& key, std::uint64_t debt_ns, base::Nanos now) {
  for (Entry& way : set.ways) {
    Entry entry{__atomic_load_n(&way.tag, __ATOMIC_SEQ_CST),
                __atomic_load_n(&way.arrival_ns, __ATOMIC_SEQ_CST)};
    while (entry.tag == key.tag) {
      if (swap(way, entry, Entry{key.tag, std::max(entry.arrival_ns, now) + debt_ns})) return;
    }
  }
}

void Table::refund(const Key& key, const Rate& rate, base::Nanos now) {
  for (Entry& way : set_of(key).ways) {
    Entry entry{__atomic_load_n(&way.tag, __ATOMIC_ACQUIRE),
                __atomic_load_n(&way.arrival_ns, __ATOMIC_ACQUIRE)};
    while (entry.tag == key.tag && entry.arrival_ns > now) {
      if (swap(way, entry, Entry{key.tag, entry.arrival_ns - rate.interval_ns})) return;
    }
  }
}

std::size_t Table::live_entries(base::Nanos now, std::size_t first, std::size_t count) const {
  const std::size_t end = std::min(set_count_, first + count);
  std::size_t live = 0;
  for (std::size_t i = first; i < end; ++i) {
    for (const Entry& way : sets_[i].ways) {
      live += __atomic_load_n(&way.arrival_ns, __ATOMIC_RELAXED) > now ? 1U : 0U;
    }
  }
  return live;
}

}  // namespace sluice::limit
