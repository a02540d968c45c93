// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/stream/pools.h"

#include "dataplane/abi/limits.h"
#include "dataplane/base/check.h"
#include "dataplane/base/poison.h"

namespace sluice::stream {

std::size_t Pools::block_memory_bytes(const PoolSizes& sizes) {
  return sizes.blocks * (kBlockStride + 2 * sizeof(std::uint32_t)) + 2 * abi::kCacheLineBytes +
         3 * base::Arena::kGapBytesMax;
}
std::size_t Pools::held_memory_bytes(const PoolSizes& sizes) {
  return sizes.held_packets * (sizeof(Held) + sizeof(std::uint32_t)) + 2 * abi::kCacheLineBytes +
         2 * base::Arena::kGapBytesMax;
}
std::size_t Pools::memory_bytes(const PoolSizes& sizes) {
  return block_memory_bytes(sizes) + held_memory_bytes(sizes);
}

Pools::Pools(std::span<std::uint8_t> memory, const PoolSizes& sizes)
    : arena_(memory), sizes_(sizes) {
  blocks_ = static_cast<std::uint8_t*>(
      arena_.allocate(sizes.blocks * kBlockStride, abi::kCacheLineBytes));
  block_numbers_ = arena_.allocate_array<std::uint32_t>(sizes.blocks);
  free_blocks_ = arena_.allocate_array<std::uint32_t>(sizes.blocks);
  held_ = arena_.allocate_array<Held>(sizes.held_packets);
  free_held_ = arena_.allocate_array<std::uint32_t>(sizes.held_packets);
  SLUICE_CHECK(blocks_ != nullptr && block_numbers_ != nullptr && free_blocks_ != nullptr);
  SLUICE_CHECK(held_ != nullptr && free_held_ != nullptr);
  base::poison(blocks_, sizes.blocks * kBlockStride);
  base::poison(held_, sizes.held_packets * sizeof(Held));
  // Last given first taken, from the lowest on: few pages are touched while there is little to do.
  for (std::size_t i = 0; i < sizes.blocks; ++i) {
    free_blocks_[i] = static_cast<std::uint32_t>(sizes.blocks - 1 - i);
  }
  free_block_count_ = sizes.blocks;
  for (std::size_t i = 0; i < sizes.held_packets; ++i) {
    free_held_[i] = static_cast<std::uint32_t>(sizes.held_packets - 1 - i);
  }
  free_held_count_ = sizes.held_packets;
}

std::uint32_t Pools::take_block() {
  if (free_block_count_ == 0) return kNone;
  const std::uint32_t index = free_blocks_[--free_block_count_];
  base::unpoison(block(index), kBlockBytes);
  return index;
}
void Pools::give_block(std::uint32_t index) {
  SLUICE_CHECK(index < sizes_.blocks && free_block_count_ < sizes_.blocks);
  base::poison(block(index), kBlockBytes);
  free_blocks_[free_block_count_++] = index;
}
std::uint32_t Pools::take_held() {
  if (free_held_count_ == 0) return kNone;
  const std::uint32_t index = free_held_[--free_held_count_];
  base::unpoison(&held_[index], sizeof(Held));
  return index;
}
void Pools::give_held(std::uint32_t index) {
  SLUICE_CHECK(index < sizes_.held_packets && free_held_count_ < sizes_.held_packets);
  base::poison(&held_[index], sizeof(Held));
  free_held_[free_held_count_++] = index;
}

}  // namespace sluice::stream
