// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/stream/pools.h"

#include <gtest/gtest.h>

#include <cstring>
#include <new>
#include <vector>

#include "dataplane/base/poison.h"

namespace sluice::stream {
namespace {

TEST(Pools, HandOutEachBlockAndEachPlaceOnce) {
  constexpr PoolSizes kSizes{5, 3};
  const std::size_t bytes = Pools::memory_bytes(kSizes);
  auto* const memory = static_cast<std::uint8_t*>(operator new (bytes, std::align_val_t{64}));
  {
    Pools pools({memory, bytes}, kSizes);
    for (std::uint32_t i = 0; i < kSizes.blocks; ++i) {
      ASSERT_EQ(pools.take_block(), i);
      std::memset(pools.block(i), static_cast<int>(i), Pools::kBlockBytes);
    }
    EXPECT_EQ(pools.take_block(), Pools::kNone);
    for (std::uint32_t i = 0; i < kSizes.blocks; ++i) {
      EXPECT_EQ(pools.block(i)[0], i);
      EXPECT_EQ(pools.block(i)[Pools::kBlockBytes - 1], i);
    }
    for (std::uint32_t i = 0; i < kSizes.held_packets; ++i) {
      ASSERT_EQ(pools.take_held(), i);
      pools.held(i) = {};
    }
    EXPECT_EQ(pools.take_held(), Pools::kNone);
#ifdef SLUICE_POISONS
    EXPECT_TRUE(__asan_address_is_poisoned(pools.block(2) + Pools::kBlockBytes));
    EXPECT_TRUE(__asan_address_is_poisoned(pools.block(4) + Pools::kBlockBytes));
    pools.give_block(2);
    EXPECT_TRUE(__asan_address_is_poisoned(pools.block(2)));
    EXPECT_FALSE(__asan_address_is_poisoned(pools.block(1) + Pools::kBlockBytes - 1));
    EXPECT_FALSE(__asan_address_is_poisoned(pools.block(3)));
    pools.give_held(1);
    EXPECT_TRUE(__asan_address_is_poisoned(&pools.held(1)));
    EXPECT_FALSE(__asan_address_is_poisoned(&pools.held(2)));
#endif
  }
  std::memset(memory, 0, bytes);
  operator delete (memory, std::align_val_t{64});
}

}  // namespace
}  // namespace sluice::stream
