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

TEST(TcpBounds, BehindABlockNothingLeavesBeyondAGap) {
  TestLink link;
  link.shake_hands();
  link.block_from = 4;
  link.up(0, "good, bad");
  expect_dropped(link.up(100, "beyond"), Reason::kBlockedFlow);
  EXPECT_EQ(link.server_view(), "good");
}

}  // namespace
}  // namespace sluice::stream
