// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/stream/byte_store.h"

#include <algorithm>
#include <cstring>

namespace sluice::stream {
namespace {

constexpr std::int64_t kBlock = ByteStore::kBlock;
constexpr std::uint32_t kNone = Pools::kNone;

std::uint32_t number_of(std::int64_t offset) { return static_cast<std::uint32_t>(offset / kBlock); }
std::uint32_t slot_of(std::uint32_t number) {
  return number % static_cast<std::uint32_t>(ByteStore::kMapSlots);
}
std::uint32_t* map_of(Pools& pools, std::uint32_t index) {
  return reinterpret_cast<std::uint32_t*>(pools.block(index));
}
/// Whether a is before b, both block numbers that wrap.
bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

}  // namespace

std::uint32_t ByteStore::find(Pools& pools, std::uint32_t number) const {
  if (count_ == 0) return kNone;
  const std::uint32_t index = mapped_ ? map_of(pools, root_)[slot_of(number)] : root_;
  return index != kNone && pools.block_number(index) == number ? index : kNone;
}

/// Needs the room that put() has checked.
std::uint32_t ByteStore::add(Pools& pools, std::uint32_t number) {
  const std::uint32_t index = pools.take_block();
  pools.block_number(index) = number;
  if (count_ == 0) {
    root_ = index;
    lowest_ = number;
  } else {
    if (!mapped_) {
      const std::uint32_t only = root_;
      root_ = pools.take_block();
      std::fill_n(map_of(pools, root_), kMapSlots, kNone);
      map_of(pools, root_)[slot_of(pools.block_number(only))] = only;
      mapped_ = true;
    }
    map_of(pools, root_)[slot_of(number)] = index;
    if (before(number, lowest_)) lowest_ = number;
  }
  ++count_;
  return index;
}

bool ByteStore::put(Pools& pools, std::int64_t offset, base::Bytes bytes, std::int64_t skip_until,
                    bool gap) {
  if (bytes.empty()) return true;
  const std::int64_t end = offset + static_cast<std::int64_t>(bytes.size());
  // First count, so that a refusal changes nothing.
  std::size_t needed = 0;
  for (std::int64_t at = offset - offset % kBlock; at < end; at += kBlock) {
    const std::uint32_t number = number_of(at);
    if (at + kBlock <= skip_until || find(pools, number) != kNone) continue;
    ++needed;
    if (count_ == 0) continue;
    const std::uint32_t other = mapped_ ? map_of(pools, root_)[slot_of(number)] : root_;
    if (other != kNone && slot_of(pools.block_number(other)) == slot_of(number)) return false;
  }
  if (needed != 0) {
    const std::size_t map = !mapped_ && count_ + needed > 1 ? 1 : 0;
    if (needed + map > (gap ? pools.blocks_free_for_gaps() : pools.blocks_free())) return false;
  }
  for (std::int64_t at = offset; at < end;) {
    const std::int64_t start = at - at % kBlock;
    const std::int64_t stop = std::min(end, start + kBlock);
    std::uint32_t index = find(pools, number_of(at));
    if (index == kNone && start + kBlock > skip_until) index = add(pools, number_of(at));
    if (index != kNone) {
      std::memcpy(pools.block(index) + (at - start), bytes.data() + (at - offset),
                  static_cast<std::size_t>(stop - at));
    }
    at = stop;
  }
  return true;
}

bool ByteStore::matches(Pools& pools, std::int64_t offset, base::Bytes bytes) const {
  const std::int64_t end = offset + static_cast<std::int64_t>(bytes.size());
  for (std::int64_t at = offset; at < end;) {
    const std::int64_t start = at - at % kBlock;
    const std::int64_t stop = std::min(end, start + kBlock);
    const std::uint32_t index = find(pools, number_of(at));
    if (index != kNone &&
        std::memcmp(pools.block(index) + (at - start), bytes.data() + (at - offset),
                    static_cast<std::size_t>(stop - at)) != 0) {
      return false;
    }
    at = stop;
  }
  return true;
}

base::Bytes ByteStore::view(Pools& pools, std::int64_t offset, std::int64_t end) const {
  const std::uint32_t index = find(pools, number_of(offset));
  if (index == kNone) return {};
  const std::int64_t start = offset - offset % kBlock;
  const std::int64_t stop = std::min(end, start + kBlock);
  return {pools.block(index) + (offset - start), static_cast<std::size_t>(stop - offset)};
}

void ByteStore::free_below(Pools& pools, std::int64_t offset) {
  if (count_ == 0) return;
  const std::uint32_t bound = number_of(offset);
  if (!before(lowest_, bound)) return;
  if (!mapped_) {
    pools.give_block(root_);
    root_ = kNone;
    count_ = 0;
    return;
  }
  std::uint32_t* map = map_of(pools, root_);
  const std::uint32_t steps = std::min(bound - lowest_, static_cast<std::uint32_t>(kMapSlots));
  for (std::uint32_t step = 0; step < steps && count_ != 0; ++step) {
    std::uint32_t& index = map[slot_of(lowest_ + step)];
    if (index == kNone || !before(pools.block_number(index), bound)) continue;
    pools.give_block(index);
    index = kNone;
    --count_;
  }
  lowest_ = bound;
  drop_map_if_empty(pools);
}

void ByteStore::free_all(Pools& pools) {
  if (count_ == 0) return;
  if (!mapped_) {
    pools.give_block(root_);
  } else {
    const std::uint32_t* map = map_of(pools, root_);
    for (std::uint32_t number = lowest_; count_ != 0; ++number) {
      const std::uint32_t index = map[slot_of(number)];
      if (index == kNone) continue;
      pools.give_block(index);
      --count_;
    }
  }
  count_ = 0;
  if (mapped_) {
    drop_map_if_empty(pools);
  } else {
    root_ = kNone;
  }
}

void ByteStore::drop_map_if_empty(Pools& pools) {
  if (count_ != 0) return;
  pools.give_block(root_);
  root_ = kNone;
  mapped_ = false;
}

}  // namespace sluice::stream
