// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/base/arena.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace sluice::base {
namespace {

class ArenaTest : public testing::Test {
 protected:
  alignas(64) std::array<std::uint8_t, 4096> memory_{};
  Arena arena_{memory_};
};

TEST_F(ArenaTest, SaysWhenItIsFullAndThenStaysAsItWas) {
  ASSERT_NE(arena_.allocate(1000, 1), nullptr);
  const std::size_t used = arena_.used();
  EXPECT_EQ(arena_.allocate(4096 - used + 1, 1), nullptr);
  EXPECT_EQ(arena_.allocate(~std::size_t{0}, 64), nullptr);
  EXPECT_FALSE(arena_.extend(4096 - used + 1));
  EXPECT_EQ(arena_.used(), used);
  EXPECT_TRUE(arena_.extend(4096 - used));
  EXPECT_EQ(arena_.used(), arena_.capacity());
  EXPECT_EQ(arena_.allocate(1, 1), nullptr);
}

TEST_F(ArenaTest, ALongerAllocationStaysWhereItIs) {
  auto* const first = static_cast<std::uint8_t*>(arena_.allocate(10, 1));
  ASSERT_TRUE(arena_.extend(20));
  EXPECT_EQ(first + 30, memory_.data() + arena_.used());
}

TEST_F(ArenaTest, WhatIsGivenBackIsHandedOutAgain) {
  void* const first = arena_.allocate(100, 16);
  arena_.reset();
  EXPECT_FALSE(arena_.contains(first));
  EXPECT_EQ(arena_.allocate(100, 16), first);
  EXPECT_TRUE(arena_.contains(first));
}

#ifdef SLUICE_POISONS
/// How many bytes from there on AddressSanitizer lets through, `bytes` at most.
std::size_t usable(void* memory, std::size_t bytes) {
  void* const stop = __asan_region_is_poisoned(memory, bytes);
  return stop == nullptr ? bytes
                         : static_cast<std::size_t>(static_cast<std::uint8_t*>(stop) -
                                                    static_cast<std::uint8_t*>(memory));
}

TEST_F(ArenaTest, AddressSanitizerKnowsWhatIsHandedOut) {
  auto* const first = static_cast<std::uint8_t*>(arena_.allocate(11, 1));
  auto* const second = static_cast<std::uint8_t*>(arena_.allocate(24, 8));
  EXPECT_EQ(usable(first, 12), 11U);
  EXPECT_EQ(usable(second, 25), 24U);
  EXPECT_EQ(usable(second - 1, 1), 0U);
  ASSERT_TRUE(arena_.extend(8));
  EXPECT_EQ(usable(second, 33), 32U);
  arena_.shrink_to(arena_.used() - 16);
  EXPECT_EQ(usable(second, 32), 16U);
  arena_.reset();
  EXPECT_EQ(usable(first, 1), 0U);
  EXPECT_EQ(usable(second, 1), 0U);
}

TEST_F(ArenaTest, ItsMemoryIsItsOwnersAgainWhenItIsGone) {
  void* const piece = arena_.allocate(16);
  Arena other = std::move(arena_);
  EXPECT_EQ(usable(piece, 17), 16U);
  other.reset();
  other = Arena();
  EXPECT_EQ(usable(memory_.data(), memory_.size()), memory_.size());
}
#endif

}  // namespace
}  // namespace sluice::base
