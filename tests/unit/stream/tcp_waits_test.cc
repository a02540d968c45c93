// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/stream/test_link.h"

/// What Progress::waits promises every sink, whatever it makes of being called too early (the
/// engine's would take nothing): docs/adr/0014-slices.md.
namespace sluice::stream {
namespace {

TEST(TcpWaits, NothingOfTheSameDirectionIsShown) {
  TestLink link;
  link.shake_hands();
  link.wait = true;
  EXPECT_EQ(link.up(0, "first").fate, Fate::kHold);
  EXPECT_EQ(link.up(5, "second").fate, Fate::kHold);
  EXPECT_EQ(link.seen[0], "first");
  EXPECT_EQ(link.server_view(), "");
  link.go_on(5);
  EXPECT_EQ(link.seen[0], "firstsecond");
  EXPECT_EQ(link.server_view(), "firstsecond");
  EXPECT_EQ(link.held(), 0U);
}

TEST(TcpWaits, NothingOfTheOtherDirectionIsShown) {
  TestLink link;
  link.shake_hands();
  link.wait = true;
  EXPECT_EQ(link.up(0, "request").fate, Fate::kHold);
  EXPECT_EQ(link.down(0, "response").fate, Fate::kHold);
  EXPECT_EQ(link.seen[1], "");
  EXPECT_TRUE(link.sent[1].empty());
  link.go_on(7);
  EXPECT_EQ(link.seen[1], "response");
  ASSERT_EQ(link.sent[1].size(), 1U);
  EXPECT_EQ(link.sent[1][0].payload, "response");
}

TEST(TcpWaits, NoEndIsToldAndNoFinLeaves) {
  TestLink link;
  link.shake_hands();
  link.wait = true;
  EXPECT_EQ(link.up(0, "request").fate, Fate::kHold);
  EXPECT_EQ(link.up(7, "", net::kFin | net::kAck).fate, Fate::kHold);
  EXPECT_EQ(link.down(0, "", net::kFin | net::kAck).fate, Fate::kHold);
  EXPECT_FALSE(link.ended[0] || link.ended[1]);
  EXPECT_TRUE(link.sent[0].empty() && link.sent[1].empty());
  link.go_on(7);
  EXPECT_TRUE(link.ended[0] && link.ended[1]);
  EXPECT_EQ(link.sent[0].size(), 2U);
  EXPECT_EQ(link.sent[1].size(), 1U);
}

}  // namespace
}  // namespace sluice::stream
