// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/stream/test_link.h"

/// evasions.md section 4.
namespace sluice::stream {
namespace {

using abi::Reason;

constexpr unsigned kAckOnly = net::kAck;
constexpr unsigned kReset = net::kRst;

test::PacketBuilder reset_at(const TestLink& link, Direction direction, std::int64_t offset) {
  const std::uint32_t isn = direction == kUp ? link.client_isn : link.server_isn;
  return link.segment(direction, isn + 1 + static_cast<std::uint32_t>(offset), 0, kReset);
}

TEST(TcpState, TS1_ResetsEndNoInspection) {
  for (const Direction direction : {kUp, kDown}) {
    TestLink link;
    link.shake_hands();
    link.up(0, "GET ");
    link.down(0, "early");
    expect_forwarded(link.pass(direction, reset_at(link, direction, direction == kUp ? 4 : 5)));
    EXPECT_TRUE(link.connection.closing());
    link.block_from = 4;
    expect_dropped(link.up(4, "ATTACK"), Reason::kBlockedFlow);
    EXPECT_EQ(link.server_view(), "GET ");
  }
}

TEST(TcpState, TS1_TS20_ResetOutsideWhatIsUnacknowledgedIsDropped) {
  TestLink link;
  link.shake_hands();
  link.up(0, "0123456789");
  link.server_ack(5);
  for (const std::int64_t offset : {4, 11, 1000, -100000, 1 << 30}) {
    expect_dropped(link.pass(kUp, reset_at(link, kUp, offset)), Reason::kTcpRstInvalid);
  }
  EXPECT_FALSE(link.connection.closing());
  expect_forwarded(link.pass(kUp, reset_at(link, kUp, 5)));
  expect_forwarded(link.pass(kUp, reset_at(link, kUp, 10)));
}

TEST(TcpState, TS1_ResetThatAcknowledgesWhatNeverLeftIsDropped) {
  TestLink link;
  link.shake_hands();
  auto builder = reset_at(link, kUp, 0);
  builder.flags = kReset | net::kAck;
  builder.acknowledgment = link.server_isn + 100;
  expect_dropped(link.pass(kUp, builder), Reason::kTcpRstInvalid);
}

TEST(TcpState, TS2_BytesAtOrBehindAFinAreDropped) {
  TestLink link;
  link.shake_hands();
  expect_forwarded(link.up(0, "AB", net::kAck | net::kFin));
  EXPECT_TRUE(link.ended[0]);
  expect_dropped(link.up(2, "ATTACK"), Reason::kTcpFinDiffers);
  expect_dropped(link.up(0, "ABC"), Reason::kTcpFinDiffers);
  expect_dropped(link.up(0, "A", net::kAck | net::kFin), Reason::kTcpFinDiffers);
  expect_forwarded(link.up(0, "AB", net::kAck | net::kFin));
  EXPECT_EQ(link.seen[0], "AB");
}

TEST(TcpState, TS2_FinWithABadAcknowledgementChangesNothing) {
  TestLink link;
  link.shake_hands();
  expect_dropped(link.pass(kUp, link.segment(kUp, link.client_isn + 1, link.server_isn + 500,
                                             net::kAck | net::kFin)),
                 Reason::kTcpAckAhead);
  expect_forwarded(link.up(0, "good"));
}

TEST(TcpState, TS3_FinBeyondAGapIsRememberedByItsPlace) {
  TestLink link;
  link.shake_hands();
  EXPECT_TRUE(link.up(4, "", net::kAck | net::kFin).out_of_order);
  expect_dropped(link.up(0, "12345678"), Reason::kTcpFinDiffers);
  EXPECT_FALSE(link.ended[0]);
  expect_forwarded(link.up(0, "1234"));
  EXPECT_EQ(link.seen[0], "1234");
  EXPECT_TRUE(link.ended[0]);
  expect_forwarded(link.server_ack(5));
}

TEST(TcpState, TS4_StateComesFromTheClientsSynAndTheServersSynAckAlone) {
  TestLink link;
  auto odd = link.segment(kUp, link.client_isn, 4711, net::kSyn);
  expect_forwarded(link.pass(kUp, odd));
  expect_dropped(link.pass(kUp, link.segment(kUp, 9, 10, net::kSyn | net::kAck)),
                 Reason::kTcpHandshake);
  expect_dropped(
      link.pass(kDown, link.segment(kDown, 77, link.client_isn + 2, net::kSyn | net::kAck)),
      Reason::kTcpHandshake);
  expect_forwarded(link.syn_ack());
  expect_dropped(link.pass(kUp, link.segment(kUp, link.client_isn + 1, link.server_isn + 2,
                                             kAckOnly, "ATTACK")),
                 Reason::kTcpHandshake);
  EXPECT_FALSE(link.is_open);
  expect_forwarded(link.last_ack());
  EXPECT_TRUE(link.is_open);
}

TEST(TcpState, TS5_TheServerChoosesBetweenTwoSyns) {
  TestLink link;
  link.syn();
  link.client_isn = 90000;
  expect_forwarded(link.syn());
  expect_dropped(link.pass(kUp, link.segment(kUp, 5, 0, net::kSyn)), Reason::kTcpSynDiffers);
  link.client_isn = 1000;
  expect_forwarded(link.syn_ack());
  expect_dropped(link.pass(kUp, link.segment(kUp, 123, 0, net::kSyn)), Reason::kTcpSynDiffers);
  expect_dropped(link.pass(kUp, link.segment(kUp, 90001, link.server_isn + 1, kAckOnly, "decoy")),
                 Reason::kTcpHandshake);
  expect_forwarded(link.last_ack());
  expect_forwarded(link.up(0, "real"));
  EXPECT_EQ(link.seen[0], "real");
}

TEST(TcpState, TS6_SynInsideAConnectionIsDropped) {
  TestLink link;
  link.shake_hands();
  link.up(0, "half a req");
  expect_dropped(link.pass(kUp, link.segment(kUp, link.client_isn + 11, 0, net::kSyn)),
                 Reason::kTcpSynEstablished);
  expect_dropped(link.syn(), Reason::kTcpSynEstablished);
  expect_dropped(link.pass(kDown, link.segment(kDown, 1, 2, net::kSyn | net::kAck)),
                 Reason::kTcpSynEstablished);
  expect_forwarded(link.up(10, "uest"));
  EXPECT_EQ(link.seen[0], "half a request");
}

TEST(TcpState, TS7_AFinishedConnectionMayBeFollowedByAFreshOne) {
  TestLink link;
  link.shake_hands();
  link.up(0, "one", net::kAck | net::kFin);
  link.down(0, "two", net::kAck | net::kFin);
  EXPECT_FALSE(link.connection.finished());
  expect_forwarded(
      link.pass(kUp, link.segment(kUp, link.client_isn + 5, link.server_isn + 5, kAckOnly)));
  EXPECT_TRUE(link.connection.finished());
  const std::uint32_t old_isn = link.client_isn;
  expect_dropped(link.pass(kUp, link.segment(kUp, old_isn, 0, net::kSyn)),
                 Reason::kTcpSynEstablished);
  link.client_isn = 700000;
  link.server_isn = 800000;
  expect_forwarded(link.syn());
  // Bytes by the old numbers are nobody's now (found by the simulator, seed 217).
  expect_dropped(link.pass(kUp, link.segment(kUp, old_isn + 1, 5005, kAckOnly, "one")),
                 Reason::kFlowAsymmetric);
  expect_forwarded(link.syn_ack());
  expect_forwarded(link.last_ack());
  link.block_from = 0;
  expect_dropped(link.up(0, "ATTACK"), Reason::kBlockedFlow);
}

TEST(TcpState, TS8_SynWithOtherFlags) {
  for (const unsigned flag : {net::kFin, net::kRst, net::kUrg}) {
    TestLink link;
    expect_dropped(link.pass(kUp, link.segment(kUp, 1, 0, net::kSyn | flag)), Reason::kTcpFlags);
  }
  for (const unsigned flags : {unsigned{net::kPsh}, unsigned{net::kEce | net::kCwr}}) {
    TestLink link;
    expect_forwarded(link.pass(kUp, link.segment(kUp, 1000, 0, net::kSyn | flags)));
  }
}

TEST(TcpState, TS9_DataWithoutAckIsDropped) {
  TestLink link;
  link.shake_hands();
  for (const unsigned flags : {0U, unsigned{net::kPsh}, unsigned{net::kUrg}, unsigned{net::kFin},
                               unsigned{net::kFin | net::kPsh | net::kUrg}}) {
    expect_dropped(link.up(0, "decoy", flags), Reason::kTcpNoAck);
  }
  expect_forwarded(link.up(0, "good!"));
  EXPECT_EQ(link.seen[0], "good!");
}

TEST(TcpState, TS10_AcknowledgementsAheadAndFarBelow) {
  TestLink link;
  link.shake_hands();
  const auto with_ack = [&](std::int64_t ack) {
    return link.pass(kUp, link.segment(kUp, link.client_isn + 1,
                                       link.server_isn + 1 + static_cast<std::uint32_t>(ack),
                                       net::kAck | net::kPsh, "data"));
  };
  expect_dropped(with_ack(1), Reason::kTcpAckAhead);
  for (std::int64_t at = 0; at < 80000; at += 8000) {
    link.down(at, std::string(8000, 's'));
    link.client_ack(at + 8000);
  }
  expect_dropped(with_ack(80000 - 70000), Reason::kTcpAckOld);
  EXPECT_EQ(link.seen[0], "");
  expect_forwarded(with_ack(80000 - 60000));
  EXPECT_EQ(link.seen[0], "data");
}

TEST(TcpState, TS11_DataOutsideTheWindowIsDropped) {
  TestLink link;
  link.server_window = 1000;
  link.shake_hands();
  expect_dropped(link.up(100000, "x"), Reason::kTcpWindow);
  expect_dropped(link.up((std::int64_t{1} << 31) - 1, "x"), Reason::kTcpWindow);
  expect_dropped(link.up(2470, "x"), Reason::kTcpWindow);
  expect_dropped(link.up(-(std::int64_t{1} << 30) - 9, "x"), Reason::kTcpWindow);
  expect_forwarded(link.up(999, "x"));
  EXPECT_EQ(link.seen[0], "");
}

TEST(TcpState, TS12_TS13_SynFromTheServiceIsDropped) {
  TestLink link;
  expect_dropped(link.pass(kDown, link.segment(kDown, 1, 0, net::kSyn)),
                 Reason::kTcpSplitHandshake);
  link.syn();
  expect_dropped(link.pass(kDown, link.segment(kDown, 1, 0, net::kSyn)),
                 Reason::kTcpSplitHandshake);
  expect_forwarded(link.syn_ack());
  expect_forwarded(link.last_ack());
}

TEST(TcpState, TS14_TS15_DataAndFastOpenAreTakenOffASyn) {
  TestLink link;
  auto builder = link.segment(kUp, link.client_isn, 0, net::kSyn, "ATTACK");
  builder.options = {34, 6, 1, 2, 3, 4, 1, 1};
  const Outcome outcome = link.pass(kUp, builder);
  expect_forwarded(outcome);
  EXPECT_EQ(outcome.reason, Reason::kTcpSynData);
  EXPECT_EQ(link.sent[0].back().payload, "");
  link.syn_ack();
  link.last_ack();
  expect_forwarded(link.up(0, "other"));
  EXPECT_EQ(link.seen[0], "other");
}

TEST(TcpState, TS16_DataMayCompleteTheHandshakeInThreeForms) {
  for (const int form : {0, 1, 2}) {
    TestLink link;
    link.syn();
    link.syn_ack();
    const std::uint32_t at = link.client_isn + 1 + (form == 2 ? 100 : 0);
    const unsigned flags = form == 1 ? net::kAck | net::kFin : net::kAck;
    expect_forwarded(link.pass(kUp, link.segment(kUp, at, link.server_isn + 1, flags, "DATA")));
    ASSERT_TRUE(link.is_open);
    if (form == 2) link.up(0, std::string(100, 'x'));
    EXPECT_TRUE(link.seen[0].ends_with("DATA"));
  }
}

TEST(TcpState, TS17_ServerDataBeforeTheHandshakeEndsIsDropped) {
  TestLink link;
  link.syn();
  expect_dropped(link.pass(kDown, link.segment(kDown, link.server_isn, link.client_isn + 1,
                                               net::kSyn | net::kAck, "banner")),
                 Reason::kTcpEarlyData);
  link.syn_ack();
  expect_dropped(link.pass(kDown, link.segment(kDown, link.server_isn + 1, link.client_isn + 1,
                                               net::kAck, "banner")),
                 Reason::kTcpEarlyData);
  expect_forwarded(link.last_ack());
}

TEST(TcpState, TS18_ResetInAHandshakeEndsNothing) {
  TestLink link;
  link.syn();
  link.syn_ack();
  expect_dropped(link.pass(kUp, reset_at(link, kUp, 4)), Reason::kTcpRstInvalid);
  expect_forwarded(link.pass(kUp, reset_at(link, kUp, 0)));
  expect_forwarded(link.last_ack());
  EXPECT_TRUE(link.is_open);
}

TEST(TcpState, TS18_AStaleServerConnectionCanBeResetByItsChallenge) {
  TestLink link;
  link.syn();
  expect_forwarded(link.pass(kDown, link.segment(kDown, 31337, 424242, kAckOnly)));
  expect_forwarded(link.pass(kUp, link.segment(kUp, 424242, 0, kReset)));
  expect_dropped(link.pass(kUp, link.segment(kUp, 424243, 0, kReset)), Reason::kTcpRstInvalid);
  expect_forwarded(link.syn());
}

TEST(TcpState, TS5_BehindItsAnswerNoOtherSynReachesTheServer) {
  TestLink link;
  link.syn();
  link.syn_ack();
  expect_dropped(link.pass(kUp, link.segment(kUp, link.client_isn + 500, 0, net::kSyn)),
                 Reason::kTcpSynDiffers);
  expect_forwarded(link.syn());
  expect_forwarded(link.last_ack());
}

TEST(TcpState, TS9_WithoutAckNoHandshakeEnds) {
  TestLink link;
  link.syn();
  link.syn_ack();
  expect_dropped(
      link.pass(kUp, link.segment(kUp, link.client_isn + 1, link.server_isn + 1, net::kPsh, "a")),
      Reason::kTcpNoAck);
  EXPECT_FALSE(link.is_open);
}

TEST(TcpState, TS19_AResetInAHandshakeLeavesWithoutItsData) {
  TestLink link;
  link.syn();
  auto reset = reset_at(link, kUp, 0);
  reset.data("decoy");
  expect_forwarded(link.pass(kUp, reset));
  EXPECT_EQ(link.sent[0].back().payload, "");
}

TEST(TcpState, NoUrgentFlagLeavesInAHandshake) {
  TestLink link;
  link.syn();
  expect_forwarded(link.pass(kDown, link.segment(kDown, 31337, 424242, kAckOnly | net::kUrg)));
  EXPECT_EQ(link.sent[1].back().flags, kAckOnly);
  auto reset = reset_at(link, kUp, 0);
  reset.flags |= net::kUrg;
  expect_forwarded(link.pass(kUp, reset));
  EXPECT_EQ(link.sent[0].back().flags & net::kUrg, 0);
}

TEST(TcpState, TD6_BehindItsSynAckTheServerAcknowledgesTheSynAlone) {
  TestLink link;
  link.syn();
  link.syn_ack();
  const std::uint32_t next = link.server_isn + 1;
  expect_dropped(link.pass(kDown, link.segment(kDown, next, link.client_isn + 2000, kAckOnly)),
                 Reason::kTcpAckUnseen);
  expect_forwarded(link.pass(kDown, link.segment(kDown, next, link.client_isn + 1, kAckOnly)));
}

TEST(TcpState, TS19_ResetWithOtherFlagsOrData) {
  TestLink link;
  link.shake_hands();
  auto builder = reset_at(link, kUp, 0);
  builder.data("text of a reset");
  expect_forwarded(link.pass(kUp, builder));
  EXPECT_EQ(link.sent[0].back().payload, "");
  EXPECT_EQ(link.seen[0], "");
  builder.flags = net::kRst | net::kSyn;
  expect_dropped(link.pass(kUp, builder), Reason::kTcpFlags);
}

TEST(TcpState, TS21_AFloodOfSynsLeavesRoomForAHandshake) {
  std::vector<std::uint64_t> memory(HandshakeTable::memory_bytes(64) / 8 + 16);
  HandshakeTable table({reinterpret_cast<std::uint8_t*>(memory.data()), memory.size() * 8}, 64);
  for (std::uint32_t i = 0; i < 100000; ++i) {
    test::PacketBuilder builder;
    builder.tcp(i, 0, net::kSyn);
    builder.source_port = i & 0xffff;
    test::Frame frame = builder.build();
    net::ParsedPacket packet;
    net::parse(frame, {}, packet);
    Segment segment{packet, frame, {1}, 1000 + i, true};
    auto key = flow::flow_key(packet, kUp, 0);
    key.link_and_vlan = i >> 16;
    EXPECT_EQ(table.on_segment(kUp, key, i * 0x9e3779b97f4a7c15ULL, segment, nullptr).fate,
              HandshakeFate::kForward);
  }
  EXPECT_EQ(table.size(), 64U);
  EXPECT_EQ(table.displaced(), 100000U - 64U);
}

TEST(TcpState, TS21_AHandshakeIsForgottenAfterItsTime) {
  TestLink link;
  link.syn();
  link.now += abi::kHandshakeTimeoutNs + 1;
  link.syn_ack();
  link.last_ack();
  EXPECT_FALSE(link.is_open);
}

TEST(TcpState, TS23_SegmentsOfNoConnectionGoToTheMidstreamPolicy) {
  TestLink link;
  expect_dropped(link.pass(kUp, link.segment(kUp, 1, 2, kAckOnly, "ATTACK")), Reason::kTcpNoFlow);
  expect_dropped(link.pass(kUp, link.segment(kUp, 1, 2, kAckOnly)), Reason::kTcpNoFlow);
  expect_dropped(link.pass(kDown, link.segment(kDown, 1, 2, net::kSyn | net::kAck)),
                 Reason::kTcpNoFlow);
}

TEST(TcpState, TS24_KeepAlivesAndWindowProbesPass) {
  TestLink link;
  link.shake_hands();
  expect_forwarded(link.up(-1, ""));
  expect_forwarded(link.up(-1, "?"));
  link.up(0, "0123");
  link.server_ack(4);
  expect_forwarded(link.up(3, "?"));
  expect_forwarded(link.up(3, ""));
  link.server_window = 0;
  link.server_ack(4);
  expect_forwarded(link.up(4, "4"));
  expect_forwarded(link.up(4, "4"));
  expect_dropped(link.up(4, "5"), Reason::kTcpOverlapDiffers);
  EXPECT_EQ(link.seen[0], "01234");
}

TEST(TcpState, TS26_TheServerAnswersAfterTheClientsFin) {
  TestLink link;
  link.shake_hands();
  link.up(0, "request", net::kAck | net::kFin);
  expect_forwarded(link.server_ack(8));
  EXPECT_FALSE(link.connection.finished());
  expect_forwarded(link.down(0, "slow response"));
  EXPECT_EQ(link.seen[1], "slow response");
  expect_forwarded(link.client_ack(13));
}

TEST(TcpState, TS28_OneDirectionAloneIsNamed) {
  TestLink link;
  link.syn();
  expect_dropped(link.pass(kUp, link.segment(kUp, link.client_isn + 1, 7, kAckOnly)),
                 Reason::kFlowAsymmetric);
}

TEST(TcpState, SynAckSentAgainReachesTheClient) {
  TestLink link;
  link.shake_hands();
  expect_forwarded(link.syn_ack());
}

TEST(TcpState, FinWaitsBehindHeldBytesAndForTheSink) {
  TestLink link;
  link.shake_hands();
  link.hold_from = 0;
  EXPECT_EQ(link.up(0, "ABC").fate, Fate::kHold);
  EXPECT_EQ(link.up(3, "", net::kAck | net::kFin).fate, Fate::kHold);
  expect_dropped(link.up(3, "", net::kAck | net::kFin), Reason::kTcpHeldDup);
  expect_dropped(link.up(0, "ABC", net::kAck | net::kFin), Reason::kTcpHeldDup);
  expect_dropped(link.server_ack(4), Reason::kTcpAckUnseen);
  link.connection.allow_until(link.pools, kUp, 3, true, link);
  EXPECT_EQ(link.server_view(), "ABC");
  EXPECT_NE(link.sent[0].back().flags & net::kFin, 0);
  expect_forwarded(link.server_ack(4));
  link.down(0, "", net::kAck | net::kFin);
  link.client_ack(1);
  EXPECT_TRUE(link.connection.finished());
}

TEST(TcpState, FinThatTheSinkForbidsDoesNotLeave) {
  TestLink link;
  link.shake_hands();
  link.block_end = true;
  expect_forwarded(link.up(0, "ABC"));
  expect_dropped(link.up(3, "", net::kAck | net::kFin), Reason::kBlockedFlow);
  expect_dropped(link.up(3, "", net::kAck | net::kFin), Reason::kBlockedFlow);
  expect_dropped(link.up(0, "ABC", net::kAck | net::kFin), Reason::kBlockedFlow);
}

TEST(TcpState, V59_IcmpErrorsMustQuoteUnacknowledgedBytes) {
  TestLink link;
  link.shake_hands();
  link.up(0, "0123456789");
  link.server_ack(5);
  const std::uint32_t base = link.client_isn + 1;
  EXPECT_TRUE(link.connection.icmp_plausible(link.pools, kUp, base + 5));
  EXPECT_TRUE(link.connection.icmp_plausible(link.pools, kUp, base + 10));
  EXPECT_FALSE(link.connection.icmp_plausible(link.pools, kUp, base + 4));
  EXPECT_FALSE(link.connection.icmp_plausible(link.pools, kUp, base + 11));
}

}  // namespace
}  // namespace sluice::stream
