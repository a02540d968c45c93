// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/stream/test_link.h"

/// evasions.md section 6, as far as it is the stream's.
namespace sluice::stream {
namespace {

using abi::Reason;

test::Frame timestamp_option(std::uint32_t value) {
  test::Frame option = {1, 1, 8, 10};
  test::put32(option, value);
  test::put32(option, 0);
  return option;
}

/// A connection whose ends agreed on timestamps; the client's clock stands at 1000.
struct TimestampedLink : TestLink {
  TimestampedLink() {
    client_options = timestamp_option(1000);
    server_options = timestamp_option(77);
    shake_hands();
  }
  Outcome up_at(std::uint32_t value, std::int64_t offset, std::string_view payload) {
    auto builder = segment(kUp, client_isn + 1 + static_cast<std::uint32_t>(offset), server_isn + 1,
                           net::kAck | net::kPsh, payload);
    builder.timestamps(value, 77);
    return pass(kUp, builder);
  }
};

TEST(TcpOptions, TO1_OlderTimestampsThanOneTickAreDropped) {
  TimestampedLink link;
  expect_forwarded(link.up_at(2000, 0, "AB"));
  expect_dropped(link.up_at(1998, 2, "decoy"), Reason::kTcpPaws);
  expect_dropped(link.up_at(2000 + 0x80000000U, 2, "decoy"), Reason::kTcpPaws);
  expect_forwarded(link.up_at(1999, 2, "CD"));
  expect_forwarded(link.up_at(2000, 4, "EF"));
  expect_forwarded(link.up_at(2000 + 0x7fffffffU, 6, "GH"));
  EXPECT_EQ(link.seen[0], "ABCDEFGH");
}

TEST(TcpOptions, TO1_InMonitorAnOldSegmentIsInspectedAllTheSame) {
  TimestampedLink link;
  link.enforce = false;
  expect_forwarded(link.up_at(2000, 0, "AB"));
  const auto passed = link.up_at(1990, 2, "CD");
  EXPECT_EQ(passed.reason, Reason::kTcpPaws);
  EXPECT_EQ(passed.fate, Fate::kForward);
  EXPECT_EQ(link.seen[0], "ABCD");
}

TEST(TcpOptions, TO1_ASegmentBeyondAGapDoesNotMoveTheClock) {
  TimestampedLink link;
  expect_forwarded(link.up_at(9000, 4, "later"));
  expect_forwarded(link.up_at(1000, 0, "1234"));
  EXPECT_EQ(link.seen[0], "1234later");
}

TEST(TcpOptions, TO1_ADroppedSegmentDoesNotMoveTheClock) {
  TimestampedLink link;
  link.up_at(1000, 0, "AB");
  expect_dropped(link.up_at(900000, 0, "XY"), Reason::kTcpOverlapDiffers);
  expect_forwarded(link.up_at(1001, 2, "CD"));
}

TEST(TcpOptions, TO3_ASegmentWithoutTimestampIsInspected) {
  TimestampedLink link;
  expect_forwarded(link.up(0, "plain"));
  EXPECT_EQ(link.seen[0], "plain");
}

TEST(TcpOptions, TO4_TimestampsCountOnlyIfTheSynAckConfirmsThem) {
  TestLink link;
  link.client_options = timestamp_option(1000);
  link.shake_hands();
  auto builder = link.segment(kUp, link.client_isn + 1, link.server_isn + 1, net::kAck, "data");
  builder.timestamps(1, 0);
  expect_forwarded(link.pass(kUp, builder));
  EXPECT_FALSE(link.connection.timestamps());
}

// Found by the simulator: a second SYN without options hid what the server had agreed to.
TEST(TcpOptions, TO4_ASynSentAgainWithoutOptionsHidesNone) {
  TestLink link;
  link.client_options = timestamp_option(1000);
  link.server_options = timestamp_option(77);
  link.syn();
  link.client_options = {};
  expect_forwarded(link.syn());
  link.syn_ack();
  link.last_ack();
  EXPECT_TRUE(link.connection.timestamps());
}

TEST(TcpOptions, TO7_ASynSentAgainWithAnotherScaleIsDropped) {
  TestLink link;
  link.client_options = {3, 3, 7, 0};
  link.syn();
  link.client_options = {3, 3, 2, 0};
  expect_dropped(link.syn(), Reason::kTcpSynDiffers);
}

TEST(TcpOptions, TO7_WindowScaleCountsOnlyFromBothSyns) {
  TestLink both, one;
  both.client_options = one.client_options = {3, 3, 7, 0};
  both.server_options = {3, 3, 14, 0};
  both.shake_hands();
  one.shake_hands();
  both.server_window = one.server_window = 1000;
  both.server_ack(0);
  one.server_ack(0);
  expect_forwarded(both.up(200000, "x"));
  expect_dropped(one.up(200000, "x"), Reason::kTcpWindow);
}

TEST(TcpOptions, TO7_WindowScaleIsAtMostFourteen) {
  TestLink link;
  link.client_options = {3, 3, 7, 0};
  link.server_options = {3, 3, 200, 0};
  link.shake_hands();
  EXPECT_EQ(link.connection.half(kDown).window_scale, 14);
}

TEST(TcpOptions, TO7_TheWindowOfASynIsNotScaled) {
  TestLink link;
  link.client_options = {3, 3, 14, 0};
  link.server_options = {3, 3, 14, 0};
  link.server_window = 1000;
  link.shake_hands();
  expect_dropped(link.up(3000, "x"), Reason::kTcpWindow);
}

TEST(TcpOptions, TO8_TinySegmentSizesAreRaised) {
  TestLink link;
  link.client_options = {2, 4, 0, 1};
  link.shake_hands();
  EXPECT_EQ(link.connection.half(kUp).mss, net::kMssMin);
}

TEST(TcpOptions, TO8_WhoeverNamesATinySegmentSizeIsNamed) {
  for (const bool enforce : {true, false}) {
    for (const std::uint8_t mss : {std::uint8_t{215}, std::uint8_t{216}}) {
      const Reason expected = mss < net::kMssMin ? Reason::kTcpMss : Reason::kNone;
      TestLink link;
      link.enforce = enforce;
      link.client_options = link.server_options = {2, 4, 0, mss};
      EXPECT_EQ(link.syn().reason, expected) << enforce << " " << int{mss};
      EXPECT_EQ(link.syn_ack().reason, expected) << enforce << " " << int{mss};
      EXPECT_EQ(link.sent[0].back().options.mss, enforce ? net::kMssMin : mss);
    }
  }
}

// Evasion TO9: SACK blocks free nothing.
TEST(TcpOptions, TO9_SelectiveAcknowledgementsFreeNothing) {
  TestLink link;
  link.client_options = link.server_options = {4, 2, 1, 1};
  link.shake_hands();
  EXPECT_TRUE(link.connection.sack());
  link.up(4, "BBBB");
  auto builder = link.segment(kDown, link.server_isn + 1, link.client_isn + 1, net::kAck);
  builder.options = {1, 1, 5, 10};
  test::put32(builder.options, link.client_isn + 5);
  test::put32(builder.options, link.client_isn + 9);
  expect_forwarded(link.pass(kDown, builder));
  expect_dropped(link.up(4, "XXXX"), Reason::kTcpOverlapDiffers);
}

TEST(TcpOptions, TO12_ReservedBitsAreClearedAndMeanNothing) {
  TestLink link;
  link.shake_hands();
  auto builder = link.segment(kUp, link.client_isn + 1, link.server_isn + 1,
                              net::kAck | net::kEce | net::kCwr, "data");
  builder.reserved = 15;
  expect_forwarded(link.pass(kUp, builder));
  EXPECT_EQ(link.seen[0], "data");
  EXPECT_EQ(link.sent[0].back().reserved, 0);
}

TEST(TcpOptions, TD12_AnUrgentPointerWithoutItsFlagLeavesAsZero) {
  TestLink link;
  link.shake_hands();
  auto builder = link.segment(kUp, link.client_isn + 1, link.server_isn + 1, net::kAck, "data");
  builder.urgent_pointer = 3;
  expect_forwarded(link.pass(kUp, builder));
  EXPECT_EQ(link.sent[0].back().urgent_pointer, 0);
  EXPECT_EQ(link.seen[0], "data");
}

/// MPTCP's key and a Fast Open cookie, a segment size of 20, and both allowed options.
const test::Frame kOddSynOptions = {30, 12, 0, 1, 1, 2, 3, 4,  5, 6, 7, 8, 34, 6,
                                    9,  9,  9, 9, 2, 4, 0, 20, 3, 3, 7, 4, 2,  1};

void expect_clean(const Sent& left) {
  using Present = net::TcpOptions::Present;
  EXPECT_EQ(left.flags, net::kSyn | net::kAck);
  EXPECT_EQ(left.reserved, 0);
  EXPECT_EQ(left.urgent_pointer, 0);
  EXPECT_EQ(left.options.present, Present::kMss | Present::kWindowScale | Present::kSackPermitted);
  EXPECT_EQ(left.options.mss, net::kMssMin);
  EXPECT_EQ(left.options.window_scale, 7);
}

auto odd_syn_ack(TestLink& link) {
  auto answer = link.segment(kDown, link.server_isn, link.client_isn + 1, net::kSyn | net::kAck);
  answer.options = kOddSynOptions;
  answer.reserved = 15;
  answer.urgent_pointer = 7;
  return answer;
}

TEST(TcpOptions, TheSynAckLeavesCleanAndCleanAgain) {
  TestLink link;
  link.client_options = {3, 3, 2, 1};
  link.syn();
  const auto answer = odd_syn_ack(link);
  expect_forwarded(link.pass(kDown, answer));
  expect_clean(link.sent[1].back());
  // Once more before the client's last acknowledgement, and once more behind it.
  expect_forwarded(link.pass(kDown, answer));
  expect_clean(link.sent[1].back());
  link.last_ack();
  ASSERT_TRUE(link.is_open);
  expect_forwarded(link.pass(kDown, answer));
  ASSERT_EQ(link.sent[1].size(), 3U);
  expect_clean(link.sent[1].back());
}

TEST(TcpOptions, InMonitorTheSynAckLeavesAsItCame) {
  TestLink link;
  link.enforce = false;
  link.syn();
  const auto answer = odd_syn_ack(link);
  expect_forwarded(link.pass(kDown, answer));
  const Sent& left = link.sent[1].back();
  EXPECT_EQ(left.reserved, 15);
  EXPECT_EQ(left.urgent_pointer, 7);
  EXPECT_TRUE(left.options.has(net::TcpOptions::kMultipath));
  EXPECT_EQ(left.options.mss, 20);
}

}  // namespace
}  // namespace sluice::stream
