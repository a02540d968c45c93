// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/arena_buffer.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

namespace sluice::http {
namespace {

/// What others took of the room that it gave back is theirs, also where they took all of it (found
/// by fuzz_http once AddressSanitizer saw an arena's pieces).
TEST(ArenaVector, GrowsElsewhereOnceItHasGivenRoomBack) {
  alignas(64) std::array<std::uint8_t, 4096> memory{};
  base::Arena arena(memory);
  ArenaBuffer buffer;
  buffer.start(arena);
  const base::Bytes head = base::as_bytes("a head");
  ASSERT_TRUE(buffer.append(head.data(), head.size()));
  const std::size_t end = arena.used();
  buffer.trim();
  const std::size_t freed = end - arena.used() - base::kRedZoneBytes;
  void* const other = arena.allocate(freed, 1);
  ASSERT_NE(other, nullptr);
  ASSERT_EQ(arena.used(), end);
  std::memset(other, 'o', freed);
  const base::Bytes more = base::as_bytes("what came behind it");
  ASSERT_TRUE(buffer.append(more.data(), more.size()));
  EXPECT_EQ(buffer.text(), "a headwhat came behind it");
  const auto* const bytes = static_cast<const char*>(other);
  EXPECT_EQ(std::string(bytes, freed), std::string(freed, 'o'));
}

/// As long as nobody has taken it, it grows into that room again.
TEST(ArenaVector, GrowsInPlaceWhileItIsTheNewest) {
  alignas(64) std::array<std::uint8_t, 4096> memory{};
  base::Arena arena(memory);
  ArenaBuffer buffer;
  buffer.start(arena);
  ASSERT_TRUE(buffer.push(1));
  buffer.trim();
  const std::uint8_t* const before = buffer.data();
  ASSERT_TRUE(buffer.push(2));
  EXPECT_EQ(buffer.data(), before);
}

}  // namespace
}  // namespace sluice::http
