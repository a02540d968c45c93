// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/stream/test_link.h"

namespace sluice::stream {
namespace {

using abi::Reason;

TEST(TcpData, InOrderSegmentsAreShownAndForwarded) {
  TestLink link;
  link.shake_hands();
  expect_forwarded(link.up(0, "GET / "));
  expect_forwarded(link.up(6, "HTTP/1.1"));
  expect_forwarded(link.down(0, "HTTP/1.1 200 OK"));
  EXPECT_EQ(link.seen[0], "GET / HTTP/1.1");
  EXPECT_EQ(link.seen[1], "HTTP/1.1 200 OK");
  EXPECT_EQ(link.server_view(), "GET / HTTP/1.1");
  link.server_ack(14);
  link.client_ack(15);
  EXPECT_TRUE(link.memory_returned());
}

TEST(TcpData, SegmentBeyondAGapLeavesAtOnceAndIsShownWhenTheGapIsFilled) {
  TestLink link;
  link.shake_hands();
  const Outcome beyond = link.up(3, "DEF");
  expect_forwarded(beyond);
  EXPECT_TRUE(beyond.out_of_order);
  EXPECT_EQ(link.seen[0], "");
  expect_forwarded(link.up(0, "ABC"));
  EXPECT_EQ(link.seen[0], "ABCDEF");
  EXPECT_EQ(link.server_view(), "ABCDEF");
}

TEST(TcpData, FillerWaitsUntilAllThatItMakesDeliverableIsAllowed) {
  TestLink link;
  link.shake_hands();
  link.hold_from = 4;
  link.up(3, "DEF");
  EXPECT_EQ(link.up(0, "ABC").fate, Fate::kHold);
  EXPECT_EQ(link.seen[0], "ABCDEF");
  EXPECT_EQ(link.held(), 1U);
  link.connection.allow_until(link.pools, kUp, 5, true, link);
  EXPECT_EQ(link.held(), 1U);
  link.connection.allow_until(link.pools, kUp, 6, true, link);
  EXPECT_EQ(link.held(), 0U);
  EXPECT_EQ(link.server_view(), "ABCDEF");
}

}  // namespace
}  // namespace sluice::stream
