// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/stream/test_link.h"

/// Bounds and blocks that no receiver shows: evasions.md rows TD8 and RX3, contract 5.
namespace sluice::stream {
namespace {

using abi::Reason;

TEST(TcpBounds, TD8_NothingIsCopiedFurtherAheadThanTheBound) {
  TestLink link;
  link.client_options = link.server_options = {3, 3, 7, 1};
  link.shake_hands();
  link.server_ack(0);  // the window of a SYN-ACK is not scaled
  const auto bound = static_cast<std::int64_t>(abi::kOutOfOrderBytesMax);
  expect_forwarded(link.up(bound - 10, "0123456789"));
  expect_dropped(link.up(bound, "x"), Reason::kTcpOooFull);
  expect_forwarded(link.up(0, "one more"));
  expect_forwarded(link.up(bound, "x"));
}

TEST(TcpBounds, RX3_TheLastQuarterOfThePoolIsKeptForBytesInOrder) {
  TestLink link({16, 8});
  link.shake_hands();
  std::int64_t sent = 0;
  while (link.pools.blocks_free() > link.pools.blocks_total() / 4) {
    expect_forwarded(link.up(sent, std::string(1000, 'x')));
    sent += 1000;
  }
  expect_dropped(link.up(sent + 10, "beyond"), Reason::kTcpOooFull);
  expect_forwarded(link.up(sent, "in order"));
}

/// With room for one block less than it needs (found by the simulator, seed 1796000283965).
TEST(TcpBounds, RX3_ASegmentOfTwoBlocksTakesNoneOfTheLastQuarter) {
  TestLink link({16, 8});
  link.shake_hands();
  const std::size_t kept = link.pools.blocks_total() / 4;
  std::int64_t sent = 0;
  while (link.pools.blocks_free() > kept + 3) {
    expect_forwarded(link.up(sent, std::string(1000, 'x')));
    sent += 1000;
  }
  constexpr auto kBlock = static_cast<std::int64_t>(Pools::kBlockBytes);
  const std::int64_t next = (sent / kBlock + 1) * kBlock;
  expect_forwarded(link.up(next + 10, "a list, and a block"));
  ASSERT_EQ(link.pools.blocks_free(), kept + 1);
  expect_dropped(link.up(next + 2 * kBlock - 5, "two blocks"), Reason::kTcpOooFull);
  EXPECT_EQ(link.pools.blocks_free(), kept + 1);
  expect_forwarded(link.up(next + 2 * kBlock, "one block"));
  EXPECT_EQ(link.pools.blocks_free(), kept);
}

TEST(TcpBounds, RX3_SegmentsHeldByVeryManyFlowsAreBoundedAndHarmNoOther) {
  constexpr std::size_t kFlows = 2000, kHeldMax = 500;
  TestLink link({4 * kFlows, kHeldMax});
  link.shake_hands();
  const Connection fresh = link.connection;
  std::vector<Connection> flows(kFlows, fresh);
  const auto with = [&](std::size_t flow, auto&& act) {
    link.connection = flows[flow];
    act();
    flows[flow] = link.connection;
  };
  link.hold_from = 4;
  std::size_t held = 0;
  for (std::size_t i = 0; i < kFlows; ++i) {
    with(i, [&] {
      const Outcome outcome = link.up(0, "waits for its verdict");
      held += outcome.fate == Fate::kHold ? 1U : 0U;
      if (outcome.fate != Fate::kHold) expect_dropped(outcome, Reason::kTcpHoldFull);
    });
  }
  EXPECT_EQ(held, kHeldMax);
  EXPECT_EQ(link.held(), kHeldMax);
  EXPECT_EQ(link.server_view(), "");
  // One whose bytes need not wait has what it had.
  link.hold_from = std::numeric_limits<std::int64_t>::max();
  flows.push_back(fresh);
  with(kFlows, [&] { expect_forwarded(link.up(0, "in order")); });
  // The verdicts come: what waited leaves, and what was dropped leaves when it is sent again.
  for (std::size_t i = 0; i < kFlows; ++i) {
    with(i, [&] {
      link.connection.allow_until(link.pools, kUp, 100, true, link);
      if (i >= kHeldMax) expect_forwarded(link.up(0, "waits for its verdict"));
    });
  }
  EXPECT_EQ(link.held(), 0U);
  for (std::size_t i = 0; i <= kFlows; ++i) {
    with(i, [&] { link.connection.close(link.pools, Reason::kFlowIdle, link); });
  }
  EXPECT_TRUE(link.memory_returned());
}

TEST(TcpBounds, BehindABlockNothingLeavesBeyondAGap) {
  TestLink link;
  link.shake_hands();
  link.block_from = 4;
  link.up(0, "good, bad");
  expect_dropped(link.up(100, "beyond"), Reason::kBlockedFlow);
  EXPECT_EQ(link.server_view(), "good");
}

TEST(TcpBounds, BehindABlockNoEndLeavesWithBytesThatLeftBeyondAGap) {
  TestLink link;
  link.shake_hands();
  link.block_from = 4;
  expect_forwarded(link.up(100, "beyond"));
  link.up(0, "good, bad");
  expect_forwarded(link.up(100, "beyond"));
  expect_dropped(link.up(100, "beyond", net::kAck | net::kFin), Reason::kBlockedFlow);
}

}  // namespace
}  // namespace sluice::stream
