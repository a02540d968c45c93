// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/stream/test_link.h"

/// evasions.md section 5, and contracts 1 and 2.
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

// Evasion TD13.
TEST(TcpData, TD13_FillerWaitsUntilAllThatItMakesDeliverableIsAllowed) {
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

TEST(TcpData, TD13_FillerOfABadRequestNeverLeaves) {
  TestLink link;
  link.shake_hands();
  link.block_from = 2;
  link.up(3, "ACK!");
  const Outcome filler = link.up(0, "ATT");
  expect_dropped(filler, Reason::kBlockedFlow);
  EXPECT_EQ(link.server_view(), "???ACK!") << "bad bytes have left beyond: nothing is sent on";
  EXPECT_GT(link.connection.highest_forwarded(link.pools, kUp), 2);
}

// Evasion TD14: of a segment with a good and a bad request only the good part leaves.
TEST(TcpData, TD14_SegmentAcrossTheBlockIsTrimmed) {
  TestLink link;
  link.shake_hands();
  link.block_from = 5;
  expect_forwarded(link.up(0, "good!bad."));
  EXPECT_EQ(link.server_view(), "good!");
  expect_dropped(link.up(5, "bad."), Reason::kBlockedFlow);
  expect_dropped(link.up(9, "more"), Reason::kBlockedFlow);
  // The server lost it: the good part alone leaves again.
  expect_forwarded(link.up(0, "good!bad."));
  EXPECT_EQ(link.sent[0].back().payload, "good!");
}

TEST(TcpData, TD14_HeldSegmentAcrossTheBlockIsTrimmed) {
  TestLink link;
  link.shake_hands();
  link.hold_from = 2;
  EXPECT_EQ(link.up(0, "good!bad.").fate, Fate::kHold);
  EXPECT_EQ(link.up(9, "rest").fate, Fate::kHold);
  link.connection.block_at(link.pools, kUp, 5, link);
  EXPECT_EQ(link.server_view(), "good!");
  EXPECT_EQ(link.discarded.size(), 1U);
}

// Evasion TD1: the same places with other bytes.
TEST(TcpData, TD1_DifferingRetransmissionIsDropped) {
  for (const auto& [offset, text] : std::vector<std::pair<int, std::string>>{
           {0, "BBBB"}, {1, "BBB"}, {3, "BCD"}, {0, "AAAB"}, {0, "B"}}) {
    TestLink link;
    link.shake_hands();
    link.up(0, "AAAA");
    expect_dropped(link.up(offset, text), Reason::kTcpOverlapDiffers);
    EXPECT_EQ(link.seen[0], "AAAA");
    expect_forwarded(link.up(0, "AAAA"));
    expect_forwarded(link.up(4, "good"));
    EXPECT_EQ(link.server_view(), "AAAAgood");
  }
}

TEST(TcpData, TD1_ConnectionIsBlockedAfterSoManyConflicts) {
  TestLink link;
  link.shake_hands();
  link.up(0, "AAAA");
  EXPECT_FALSE(link.up(0, "BBBB").block_connection);
  EXPECT_FALSE(link.up(0, "CCCC").block_connection);
  const Outcome third = link.up(0, "DDDD");
  EXPECT_TRUE(third.block_connection);
  expect_dropped(link.up(4, "more"), Reason::kBlockedFlow);
  expect_forwarded(link.up(0, "AAAA"));
}

// Evasion TD2: bytes below the acknowledgement are not looked at, the rest is.
TEST(TcpData, TD2_StraddlingSegmentIsJudgedByItsUnacknowledgedPart) {
  TestLink link;
  link.shake_hands();
  link.up(0, "0123456789");
  link.server_ack(8);
  expect_forwarded(link.up(6, "xx89AB"));
  EXPECT_EQ(link.seen[0], "0123456789AB");
  expect_dropped(link.up(6, "xx8xAB"), Reason::kTcpOverlapDiffers);
  expect_forwarded(link.up(0, "other"));
  EXPECT_EQ(link.seen[0], "0123456789AB");
}

// Evasion TD3: the filler does not win over what left beyond the gap.
TEST(TcpData, TD3_FillerThatDisagreesWithBytesBeyondTheGapIsDropped) {
  TestLink link;
  link.shake_hands();
  link.up(2, "AAAA");
  expect_dropped(link.up(0, "hhhhhh"), Reason::kTcpOverlapDiffers);
  EXPECT_EQ(link.seen[0], "");
  expect_forwarded(link.up(0, "hhAAAA"));
  EXPECT_EQ(link.seen[0], "hhAAAA");
}

// Evasion TD4: ten shapes of two segments beyond a gap, differing and equal.
TEST(TcpData, TD4_OverlapShapesPassWhenEqualAndAreDroppedWhenNot) {
  const std::vector<std::pair<std::pair<int, int>, std::pair<int, int>>> shapes = {
      {{4, 8}, {4, 8}},  {{4, 8}, {4, 10}}, {{4, 8}, {4, 6}}, {{4, 8}, {2, 6}},  {{4, 8}, {2, 8}},
      {{4, 8}, {2, 10}}, {{4, 8}, {6, 10}}, {{4, 8}, {5, 7}}, {{4, 8}, {7, 12}}, {{4, 8}, {1, 5}}};
  const std::string good = "abcdefghijklmnop", bad = "ABCDEFGHIJKLMNOP";
  const auto part = [](const std::string& text, std::pair<int, int> range) {
    return text.substr(static_cast<std::size_t>(range.first),
                       static_cast<std::size_t>(range.second - range.first));
  };
  for (const auto& [first, second] : shapes) {
    for (const bool swap : {false, true}) {
      const auto a = swap ? second : first, b = swap ? first : second;
      TestLink link;
      link.shake_hands();
      expect_forwarded(link.up(a.first, part(good, a)));
      expect_dropped(link.up(b.first, part(bad, b)), Reason::kTcpOverlapDiffers);
      expect_forwarded(link.up(b.first, part(good, b)));
      expect_forwarded(link.up(12, "mnop"));
      // A third one that bridges, in both readings.
      expect_dropped(link.up(3, part(bad, {3, 13})), Reason::kTcpOverlapDiffers);
      expect_forwarded(link.up(0, good));
      EXPECT_EQ(link.seen[0], good);
      EXPECT_EQ(link.server_view(), good);
    }
  }
}

// Evasion TD6: an acknowledgement of bytes that never left.
TEST(TcpData, TD6_ServerCannotAcknowledgeWhatNeverLeft) {
  TestLink link;
  link.shake_hands();
  link.up(0, "ABC");
  expect_dropped(link.server_ack(4), Reason::kTcpAckUnseen);
  link.hold_from = 3;
  link.up(3, "DEF");
  expect_dropped(link.server_ack(6), Reason::kTcpAckUnseen);
  link.up(9, "JKL");
  expect_dropped(link.server_ack(12), Reason::kTcpAckUnseen);
  expect_forwarded(link.server_ack(3));
}

// Evasion TD7: what cannot be kept does not leave.
TEST(TcpData, TD7_NothingLeavesBeyondTheBoundOfUnacknowledgedBytes) {
  TestLink link({8, 8});
  link.server_window = 65535;
  link.shake_hands();
  const std::string block(2048, 'x');
  std::int64_t offset = 0;
  Outcome last;
  while (offset < 65000) {
    last = link.up(offset, block);
    if (last.fate != Fate::kForward) break;
    offset += 2048;
  }
  expect_dropped(last, Reason::kTcpRetainFull);
  EXPECT_EQ(link.seen[0].size(), static_cast<std::size_t>(offset));
  expect_dropped(link.up(0, std::string(2048, 'y')), Reason::kTcpOverlapDiffers);
  link.server_ack(offset);
  expect_forwarded(link.up(offset, block));
}

// Evasion TD8.
TEST(TcpData, TD8_CopiesBeyondGapsAreBoundedByCountAndLeaveRoomForOthers) {
  TestLink link({64, 8});
  link.shake_hands();
  int forwarded = 0;
  Outcome last;
  for (int i = 0; i < 200; ++i) {
    last = link.up(1 + 2 * i, "x");
    if (last.fate != Fate::kForward) break;
    ++forwarded;
  }
  EXPECT_EQ(forwarded, static_cast<int>(abi::kOutOfOrderRangesMax));
  expect_dropped(last, Reason::kTcpOooFull);
  expect_forwarded(link.up(0, "g"));
}

TEST(TcpData, TD8_CopiesBeyondGapsAreBoundedByBytes) {
  TestLink link({16, 8});
  link.shake_hands();
  Outcome last;
  std::int64_t offset = 4096;
  for (; offset < 60000; offset += 4096) {
    last = link.up(offset, std::string(2048, 'x'));
    if (last.fate != Fate::kForward) break;
  }
  expect_dropped(last, Reason::kTcpOooFull);
  EXPECT_GE(link.pools.blocks_free(), 16U / 4 - 1) << "a quarter is kept for bytes in order";
  expect_forwarded(link.up(0, "in order"));
}

// Evasion TD9.
TEST(TcpData, TD9_OneByteSegmentsInAnyOrderAreShownWhole) {
  const std::string text = "GET /?q=union+select HTTP/1.1\r\n\r\n";
  TestLink forward, reverse;
  forward.shake_hands();
  reverse.shake_hands();
  for (std::size_t i = 0; i < text.size(); ++i) {
    forward.up(static_cast<std::int64_t>(i), text.substr(i, 1));
    const std::size_t back = text.size() - 1 - i;
    reverse.up(static_cast<std::int64_t>(back), text.substr(back, 1));
  }
  EXPECT_EQ(forward.seen[0], text);
  EXPECT_EQ(reverse.seen[0], text);
}

TEST(TcpData, TD9_TooManySmallSegmentsInOneRequestBlockTheConnection) {
  TestLink link;
  link.shake_hands();
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < abi::kSmallSegmentsMax; ++i) {
    expect_forwarded(link.up(offset++, "x"));
    if (i % 100 == 0) link.server_ack(offset);
  }
  const Outcome one_too_many = link.up(offset, "x");
  expect_dropped(one_too_many, Reason::kTcpSmallSegments);
  EXPECT_TRUE(one_too_many.block_connection);
}

TEST(TcpData, TD9_ANewRequestStartsTheCountOfSmallSegmentsAgain) {
  TestLink link;
  link.shake_hands();
  for (int i = 0; i < 3000; ++i) {
    if (i % 500 == 0) link.connection.message_began(kUp);
    expect_forwarded(link.up(i, "x"));
  }
}

// Evasion TD10.
TEST(TcpData, TD10_SequenceNumbersWrap) {
  for (const std::uint32_t isn : {0xfffffff6U, 0x7ffffff6U, 0xffffffffU, 0x7fffffffU}) {
    TestLink link;
    link.client_isn = isn;
    link.server_isn = isn;
    link.shake_hands();
    expect_forwarded(link.up(0, "01234567"));
    EXPECT_TRUE(link.up(16, "GHIJ").out_of_order);
    expect_forwarded(link.up(8, "89ABCDEF"));
    EXPECT_EQ(link.seen[0], "0123456789ABCDEFGHIJ");
    expect_dropped(link.up(5, "xxxxxx"), Reason::kTcpOverlapDiffers);
    expect_forwarded(link.server_ack(20));
    expect_forwarded(link.down(0, "response"));
    expect_forwarded(link.client_ack(8));
    EXPECT_TRUE(link.memory_returned());
  }
}

TEST(TcpData, TD10_OffsetsGoBeyondFourGibibytes) {
  TestLink link;
  link.shake_hands();
  // In leaps: monitor takes an acknowledgement's word for bytes that it did not see.
  link.enforce = false;
  std::int64_t offset = 0;
  while (offset < (std::int64_t{1} << 32)) {
    offset += (1 << 29) - 12345;
    link.client_ack(offset);
    ASSERT_EQ(link.connection.half(kDown).forwarded, offset);
  }
  link.enforce = true;
  expect_forwarded(link.down(offset, "response"));
  EXPECT_TRUE(link.seen[1].ends_with("response"));
  expect_dropped(link.down(offset, "XXXXonse"), Reason::kTcpOverlapDiffers);
  expect_forwarded(link.client_ack(offset + 8));
  EXPECT_TRUE(link.memory_returned());
}

// Evasions TD11, TD12.
TEST(TcpData, TD11_UrgentDataIsMadeOrdinary) {
  TestLink link;
  link.shake_hands();
  auto builder = link.segment(kUp, link.client_isn + 1, link.server_isn + 1,
                              net::kAck | net::kPsh | net::kUrg, "abcdef");
  builder.urgent_pointer = 3;
  const Outcome outcome = link.pass(kUp, builder);
  expect_forwarded(outcome);
  EXPECT_EQ(outcome.reason, Reason::kTcpUrgent);
  EXPECT_EQ(link.sent[0].back().flags & net::kUrg, 0);
  EXPECT_EQ(link.seen[0], "abcdef");
}

// Evasion TD17: heads of responses are compared too, also behind a body that is not shown.
TEST(TcpData, TD17_DifferingResponseHeadIsDropped) {
  TestLink link;
  link.shake_hands();
  link.skip_until = 9000;
  link.down(0, "HEAD ONE");
  for (std::int64_t at = 8; at < 9000; at += 1124) link.down(at, std::string(1124, 'b'));
  ASSERT_EQ(link.connection.half(kDown).received, 9000);
  EXPECT_EQ(link.seen[1], "HEAD ONE");
  link.down(9000, "HEAD TWO");
  expect_dropped(link.down(9000, "HEAD XXX"), Reason::kTcpOverlapDiffers);
  expect_dropped(link.down(0, "HEAD XXX"), Reason::kTcpOverlapDiffers);
  expect_forwarded(link.down(0, "HEAD ONE"));
}

TEST(TcpData, BodiesThatNobodyWantsCostNoMemory) {
  TestLink link;
  link.shake_hands();
  link.skip_until = 60001;
  link.down(0, "x");
  const std::size_t before = link.pools.blocks_free();
  for (std::int64_t at = 1; at < 50001; at += 1000) {
    if (at / 1000 == 20) continue;  // a gap
    expect_forwarded(link.down(at, std::string(1000, 'b')));
  }
  EXPECT_GE(link.pools.blocks_free() + 2, before);
  expect_forwarded(link.down(20001, std::string(1000, 'b')));
  EXPECT_EQ(link.connection.half(kDown).forwarded, 50001);
  link.client_ack(50001);
  EXPECT_TRUE(link.memory_returned());
}

// Evasions TD18, TS24.
TEST(TcpData, TD18_ZeroWindowReleasesNothing) {
  TestLink link;
  link.shake_hands();
  link.hold_from = 0;
  EXPECT_EQ(link.up(0, "ABC").fate, Fate::kHold);
  link.server_window = 0;
  link.server_ack(0);
  link.now += 60 * base::kNanosPerSecond;
  link.connection.poll(link.pools, true, link);
  EXPECT_EQ(link.held(), 1U);
  EXPECT_EQ(link.server_view(), "");
}

TEST(TcpData, CopyOfAHeldSegmentIsDroppedAndADifferingOneIsAConflict) {
  TestLink link;
  link.shake_hands();
  link.hold_from = 0;
  EXPECT_EQ(link.up(0, "ABC").fate, Fate::kHold);
  expect_dropped(link.up(0, "ABC"), Reason::kTcpHeldDup);
  expect_dropped(link.up(0, "AXC"), Reason::kTcpOverlapDiffers);
  link.connection.allow_until(link.pools, kUp, 3, true, link);
  EXPECT_EQ(link.server_view(), "ABC");
}

TEST(TcpData, SegmentThatCannotBeHeldLeavesWhenItIsSentAgain) {
  TestLink link({64, 1});
  link.shake_hands();
  link.hold_from = 0;
  EXPECT_EQ(link.up(0, "ABC").fate, Fate::kHold);
  expect_dropped(link.up(3, "DEF"), Reason::kTcpHoldFull);
  expect_dropped(link.up(6, "GHI"), Reason::kTcpHoldFull);
  link.connection.allow_until(link.pools, kUp, 9, true, link);
  EXPECT_EQ(link.server_view(), "ABC");
  expect_dropped(link.up(6, "GHI"), Reason::kTcpHoldFull);
  expect_forwarded(link.up(3, "DEF"));
  expect_forwarded(link.up(6, "GHI"));
  EXPECT_EQ(link.server_view(), "ABCDEFGHI");
}

TEST(TcpData, BytesThatTheSinkDoesNotTakeAreShownAgain) {
  TestLink link;
  link.shake_hands();
  link.consume_max = 2;
  EXPECT_EQ(link.up(0, "ABCDE").fate, Fate::kHold);
  EXPECT_EQ(link.seen[0], "AB");
  link.connection.poll(link.pools, true, link);
  EXPECT_EQ(link.seen[0], "ABCD");
  link.connection.poll(link.pools, true, link);
  EXPECT_EQ(link.seen[0], "ABCDE");
  EXPECT_EQ(link.server_view(), "ABCDE");
}

TEST(TcpData, LargeGapIsWorkedOffOverSeveralPollsWhileItsFillerWaits) {
  TestLink link;
  link.server_options = {3, 3, 4, 0};
  link.client_options = {3, 3, 4, 0};
  link.shake_hands();
  link.last_ack();
  link.server_ack(0);
  const std::size_t total = 200 * 1000;
  for (std::size_t at = 1000; at < total; at += 1000) {
    ASSERT_TRUE(link.up(static_cast<std::int64_t>(at), std::string(1000, 'g')).out_of_order);
  }
  const Outcome filler = link.up(0, std::string(1000, 'f'));
  EXPECT_EQ(filler.fate, Fate::kHold);
  EXPECT_TRUE(filler.more_work);
  EXPECT_LT(link.seen[0].size(), 3 * abi::kInspectBytesPerCall / 2);
  int polls = 1;
  while (link.connection.poll(link.pools, true, link)) {
    ++polls;
    EXPECT_EQ(link.held(), 1U);
  }
  EXPECT_GE(polls, 3);
  EXPECT_EQ(link.held(), 0U);
  EXPECT_EQ(link.seen[0].size(), total);
  EXPECT_EQ(link.connection.half(kUp).forwarded, static_cast<std::int64_t>(total));
  link.server_ack(static_cast<std::int64_t>(total));
  EXPECT_TRUE(link.memory_returned());
}

TEST(TcpData, CloseGivesBackAllMemoryAndHeldPackets) {
  TestLink link;
  link.shake_hands();
  link.hold_from = 0;
  link.up(0, std::string(3000, 'x'));
  link.up(9000, std::string(9000, 'x'));
  link.connection.close(link.pools, Reason::kFlowIdle, link);
  EXPECT_TRUE(link.memory_returned());
  EXPECT_EQ(link.discarded, std::vector<Reason>{Reason::kFlowIdle});
}

// Contract 7: monitor holds, changes and drops nothing, and sees what it can.
TEST(TcpData, MonitorForwardsEverythingAndNamesWhatBlockModeWouldDrop) {
  TestLink link;
  link.enforce = false;
  link.shake_hands();
  link.hold_from = 0;
  expect_forwarded(link.up(3, "DEF"));
  expect_forwarded(link.up(0, "ABC"));
  EXPECT_EQ(link.seen[0], "ABCDEF");
  const Outcome differs = link.up(0, "xyz");
  expect_forwarded(differs);
  EXPECT_EQ(differs.reason, Reason::kTcpOverlapDiffers);
  EXPECT_FALSE(differs.block_connection);
  EXPECT_EQ(link.held(), 0U);
}

TEST(TcpData, MonitorGoesOnBehindBytesThatABoundMadeItMiss) {
  TestLink link({8, 8});
  link.enforce = false;
  link.shake_hands();
  link.up(0, "begin");
  for (std::int64_t at = 4096; at < 40960; at += 2048) link.up(at, std::string(2048, 'x'));
  for (std::int64_t at = 5; at < 4096; at += 4091) link.up(at, std::string(4091, 'x'));
  expect_forwarded(link.server_ack(40960));
  EXPECT_FALSE(link.lost.empty());
  link.up(40960, "seen again");
  EXPECT_NE(link.seen[0].find("seen again"), std::string::npos);
}

}  // namespace
}  // namespace sluice::stream
