// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/messages.h"

namespace sluice::test {
namespace {

using engine::Fate;

TEST(Engine, ForwardsAGoodRequestAndItsResponse) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client(kGood).fate, Fate::kForward);
  EXPECT_EQ(dialog.server(kOk).fate, Fate::kForward);
  dialog.client_ack();
  EXPECT_EQ(dialog.server_read(), kGood);
  EXPECT_EQ(dialog.client_read(), kOk);
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].header.action, abi::Action::kPass);
  EXPECT_EQ(records[0].header.status, 200);
  EXPECT_EQ(records[0].header.request_bytes, kGood.size());
  EXPECT_EQ(records[0].header.inspected_bytes, kGood.size());
  EXPECT_EQ(records[0].header.response_bytes, kOk.size());
  EXPECT_EQ(records[0].header.response_body_bytes, 2u);
  EXPECT_EQ(records[0].header.generation, 1u);
  EXPECT_EQ(records[0].header.transaction, 1u);
  EXPECT_EQ(records[0].field(abi::EventFieldId::kUri), "/good");
  EXPECT_EQ(records[0].field(abi::EventFieldId::kMethod), "GET");
  EXPECT_EQ(records[0].field(abi::EventFieldId::kHost), "orders");
  EXPECT_EQ(rig.kept(), 0u);
  EXPECT_EQ(rig.count(abi::CounterId::kRequests), 1u);
  EXPECT_EQ(rig.count(abi::CounterId::kResponses), 1u);
}

TEST(Engine, KeepsAliveOverManyTransactions) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(dialog.client(kGood).fate, Fate::kForward);
    EXPECT_EQ(dialog.server(kOk).fate, Fate::kForward);
    dialog.client_ack();
    dialog.server_ack();
  }
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 100u);
  EXPECT_EQ(records.back().header.transaction, 100u);
  rig.poll();
  EXPECT_EQ(rig.counters->transactions.get(), 0u);
  EXPECT_EQ(rig.counters->retained_bytes.get(), 0u) << "memory returns to its start";
}

TEST(Engine, UninspectedTrafficPassesUntouched) {
  EngineRig rig;
  PacketBuilder other;
  other.to("198.51.100.99", 80).data(kBad);
  const Frame frame = other.build();
  EXPECT_EQ(rig.push(engine::Side::kOutside, frame).fate, Fate::kForward);
  ASSERT_EQ(rig.to_server.size(), 1u);
  EXPECT_EQ(rig.to_server[0]->frame, frame);
  EXPECT_EQ(rig.count(abi::CounterId::kUninspected), 1u);
  PacketBuilder udp;
  udp.raw({0, 53, 0, 53, 0, 8, 0, 0}, 17);
  EXPECT_EQ(rig.push(engine::Side::kOutside, udp.build()).fate, Fate::kForward);
}

TEST(Engine, OP14_OtherPortsAndAddressesLeaveAsTheyCameAndAreCounted) {
  EngineRig rig;
  PacketBuilder port, address6;
  port.to("198.51.100.2", 8080).data(kBad);
  address6.from("2001:db8::7", 40000).to("2001:db8::99", 80).data(kBad);
  const Frame frames[] = {port.build(), address6.build()};
  for (const Frame& frame : frames) {
    EXPECT_EQ(rig.push(engine::Side::kOutside, frame).fate, Fate::kForward);
    EXPECT_EQ(rig.to_server.back()->frame, frame);
  }
  EXPECT_EQ(rig.to_server.size(), 2U);
  EXPECT_EQ(rig.count(abi::CounterId::kUninspected), 2U);
}

TEST(Engine, OneSegmentOfGoodAndBadIsTrimmed) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  const auto packet = dialog.client(kGood + kBad + kGood);
  EXPECT_EQ(packet.fate, Fate::kForward);
  EXPECT_EQ(dialog.server_read(), kGood);
  EXPECT_EQ(dialog.client_read(), "") << "the reply waits for the first response";
  dialog.server(kOk);
  EXPECT_EQ(dialog.client_read(), kOk) << "and for its acknowledgement";
  dialog.client_ack();
  const std::string read = dialog.client_read();
  EXPECT_EQ(read.rfind(kOk + "HTTP/1.1 403 ", 0), 0u) << read;
  EXPECT_EQ(dialog.server_read(), kGood);
  EXPECT_TRUE(dialog.server_reset());
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 2u) << "the third request is never served";
  EXPECT_EQ(records[0].header.action, abi::Action::kPass);
  EXPECT_EQ(records[1].header.action, abi::Action::kBlock);
  EXPECT_NE(records[1].header.flags & abi::kEventReplied, 0);
  EXPECT_EQ(rig.kept(), 0u);
}

TEST(Engine, AnAttackSplitAtEveryByteNeverArrivesWhole) {
  for (const std::string& attack : {kBad, kBadHeader, kBadBody, kBadChunked}) {
    for (std::size_t cut = 1; cut < attack.size(); ++cut) {
      EngineRig rig;
      Dialog dialog(rig);
      dialog.handshake();
      dialog.client(attack.substr(0, cut));
      dialog.client(attack.substr(cut));
      EXPECT_LT(dialog.server_read().size(), attack.size()) << cut;
      EXPECT_EQ(attack.rfind(dialog.server_read(), 0), 0u) << cut;
      EXPECT_NE(dialog.client_read().find(" 403 "), std::string::npos) << cut;
      EXPECT_TRUE(dialog.server_reset()) << cut;
      EXPECT_EQ(rig.observed(0).substr(0, dialog.server_read().size()), dialog.server_read());
    }
  }
}

TEST(Engine, AnAttackInReversedOrderNeverArrivesWhole) {
  for (const std::string& attack : {kBad, kBadHeader, kBadBody, kBadChunked}) {
    for (std::size_t cut = 1; cut + 2 < attack.size(); cut += 3) {
      EngineRig rig;
      Dialog dialog(rig);
      dialog.handshake();
      dialog.client_at(cut + 1, attack.substr(cut + 1));
      dialog.client_at(cut, attack.substr(cut, 1));
      dialog.client_at(0, attack.substr(0, cut));
      EXPECT_LT(dialog.server_read().size(), attack.size()) << cut;
      EXPECT_NE(dialog.client_read().find(" 403 "), std::string::npos) << cut;
    }
  }
}

TEST(Engine, AGoodRequestSplitAtEveryByteArrives) {
  for (std::size_t cut = 1; cut < kGoodBody.size(); ++cut) {
    EngineRig rig;
    Dialog dialog(rig);
    dialog.handshake();
    EXPECT_EQ(dialog.client(kGoodBody.substr(0, cut)).fate, Fate::kForward);
    EXPECT_EQ(dialog.client(kGoodBody.substr(cut)).fate, Fate::kForward);
    EXPECT_EQ(dialog.server_read(), kGoodBody);
  }
}

TEST(Engine, SegmentsBeyondAGapLeaveAtOnceAndTheFillerIsJudged) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client_at(10, kGood.substr(10)).fate, Fate::kForward);
  EXPECT_EQ(dialog.client_at(0, kGood.substr(0, 10)).fate, Fate::kForward);
  EXPECT_EQ(dialog.server_read(), kGood);
  EXPECT_EQ(rig.count(abi::CounterId::kOutOfOrder), 1u);
}

TEST(Engine, GoodBytesBeforeForwardedBadOnesResetBoth) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  const std::string stream = kGood + kBad;
  EXPECT_EQ(dialog.client_at(kGood.size(), kBad).fate, Fate::kForward);
  dialog.client_at(0, kGood);
  EXPECT_EQ(dialog.server_read(), "");
  EXPECT_TRUE(dialog.client_reset());
  EXPECT_TRUE(dialog.server_reset());
  EXPECT_EQ(rig.dropped(abi::Reason::kReplyForwarded), 1u);
}

TEST(Engine, ADifferingRetransmissionIsDropped) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood.substr(0, 20));
  std::string other = kGood.substr(0, 20);
  other[10] = 'X';
  const auto packet = dialog.client_at(0, other);
  EXPECT_EQ(packet.fate, Fate::kDrop);
  EXPECT_EQ(packet.reason, abi::Reason::kTcpOverlapDiffers);
  dialog.client_at(20, kGood.substr(20));
  EXPECT_EQ(dialog.server_read(), kGood);
}

TEST(Engine, ManyDifferingRetransmissionsResetTheConnection) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood.substr(0, 20));
  for (int i = 0; i < 3; ++i) dialog.client_at(0, std::string(20, 'X'));
  EXPECT_TRUE(dialog.client_reset());
  EXPECT_TRUE(dialog.server_reset());
}

TEST(Engine, MidstreamIsResetByDefault) {
  EngineRig rig;
  Dialog dialog(rig);
  const auto packet = dialog.client(kBad);
  EXPECT_EQ(packet.fate, Fate::kDrop);
  EXPECT_EQ(packet.reason, abi::Reason::kTcpNoFlow);
  EXPECT_TRUE(dialog.client_reset());
  EXPECT_TRUE(dialog.server_reset());
}

// Of a pair of appliances the other one goes on: it knows no flow, and no half of a request passes.
TEST(Engine, OP5_AFlowThatAnotherApplianceBeganIsResetInTheMiddleOfARequest) {
  EngineRig first, second;
  Dialog dialog(first);
  dialog.handshake();
  const std::string begun = kBadBody.substr(0, kBadBody.size() - 4);
  EXPECT_EQ(dialog.client(begun).fate, Fate::kForward);
  const std::string rest = kBadBody.substr(begun.size());
  EXPECT_EQ(second.push(engine::Side::kOutside, dialog.client_frame(begun.size(), rest)).reason,
            abi::Reason::kTcpNoFlow);
  // The client and the server are told; what they send on stays out, and a new connection is
  // judged.
  EXPECT_FALSE(second.to_client.empty());
  Dialog other(second, 40001);
  other.handshake();
  other.client(kBadBody);
  EXPECT_EQ(second.records(abi::RecordType::kAlert).size(), 1U);
  EXPECT_EQ(other.server_read().find("attack"), std::string::npos);
}

TEST(Engine, MidstreamPassForwardsUninspected) {
  RigOptions options;
  options.midstream = abi::Midstream::kPass;
  EngineRig rig(options);
  Dialog dialog(rig);
  EXPECT_EQ(dialog.client(kBad).fate, Fate::kForward);
  EXPECT_EQ(dialog.server_read(), kBad);
}

TEST(Engine, MonitorChangesNothingAndSaysWhatItWouldDo) {
  RigOptions options;
  options.mode = abi::Mode::kMonitor;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  const std::size_t before = rig.to_server.size();
  const Frame bad = dialog.client_frame(0, kBad);
  dialog.client(kBad);
  ASSERT_EQ(rig.to_server.size(), before + 1);
  EXPECT_EQ(rig.to_server.back()->frame, bad);
  dialog.server(kOk);
  dialog.client_ack();
  const auto records = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].header.action, abi::Action::kMonitor);
  EXPECT_EQ(records[0].header.reason, abi::Reason::kRules);
  EXPECT_EQ(records[0].header.status, 200);
}

TEST(Engine, MonitorForwardsEveryOddSegment) {
  RigOptions options;
  options.mode = abi::Mode::kMonitor;
  EngineRig rig(options);
  Dialog dialog(rig);
  EXPECT_EQ(dialog.client("midstream").fate, Fate::kForward);
  Dialog other(rig, 40001);
  other.handshake();
  EXPECT_EQ(other.client("\x16\x03\x01 no http at all\r\n\r\n").fate, Fate::kForward);
  EXPECT_EQ(other.client_at(0, std::string(10, 'X')).fate, Fate::kForward);
  EXPECT_EQ(other.client(kGood, net::kAck | net::kUrg).fate, Fate::kForward);
  EXPECT_EQ(rig.count(abi::CounterId::kCrafted), 0u);
}

TEST(Engine, BypassForwardsUninspectedAndForgets) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  rig.set_switches(0xff, true);
  EXPECT_EQ(dialog.client(kBad).fate, Fate::kForward);
  rig.set_switches(0xff, false);
  EXPECT_EQ(dialog.client(kGood).reason, abi::Reason::kTcpNoFlow) << "its state would be stale";
  Dialog fresh(rig, 40001);
  fresh.handshake();
  EXPECT_EQ(fresh.client(kBad).fate, Fate::kDrop);
}

TEST(Engine, TheModeSwitchWorksAtOnce) {
  EngineRig rig;
  rig.set_switches(static_cast<std::uint32_t>(abi::Mode::kMonitor), false);
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client(kBad).fate, Fate::kForward);
  rig.set_switches(static_cast<std::uint32_t>(abi::Mode::kOff), false);
  EXPECT_EQ(dialog.client(kBad).reason, abi::Reason::kModeOff);
  rig.set_switches(0xff, false);
  Dialog fresh(rig, 40001);
  fresh.handshake();
  EXPECT_EQ(fresh.client(kBad).fate, Fate::kDrop);
}

TEST(Engine, ASynOnAConnectionThatWeEndedStartsAfresh) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kBad);
  Dialog again(rig);
  again.client_isn = 5'000'000;
  again.server_isn = 6'000'000;
  rig.to_client.clear();
  rig.to_server.clear();
  again.handshake();
  EXPECT_EQ(again.client(kGood).fate, Fate::kForward);
  EXPECT_EQ(again.server_read(), kGood);
}

TEST(Engine, FullTablesFailClosed) {
  RigOptions options;
  options.config.flows_max = 2;
  EngineRig rig(options);
  for (unsigned port = 40000; port < 40002; ++port) {
    Dialog dialog(rig, port);
    dialog.handshake();
    EXPECT_EQ(dialog.client(kGood).fate, Fate::kForward);
  }
  Dialog third(rig, 40002);
  third.handshake();
  EXPECT_EQ(third.client(kGood).fate, Fate::kDrop);
  EXPECT_GE(rig.dropped(abi::Reason::kFlowFull), 1u);
}

/// Both FINs and their acknowledgements.
void finish(EngineRig& rig, Dialog& dialog) {
  dialog.client("", net::kFin | net::kAck);
  dialog.client_sent += 1;
  dialog.server_acked = dialog.client_sent;
  rig.push(engine::Side::kInside,
           dialog.server_frame(dialog.server_sent, {}, net::kFin | net::kAck));
  dialog.server_sent += 1;
  dialog.client_acked = dialog.server_sent;
  dialog.client("", net::kAck);
}

TEST(Engine, FinishedConnectionsGiveWayWhenTheTableIsFull) {
  RigOptions options;
  options.config.flows_max = 3;
  EngineRig rig(options);
  const auto opens = [&](Dialog& dialog) {
    dialog.handshake();
    return dialog.client(kGood).fate == Fate::kForward;
  };
  Dialog first(rig, 40000), second(rig, 40001), third(rig, 40002);
  ASSERT_TRUE(opens(first) && opens(second) && opens(third));
  finish(rig, second);
  finish(rig, first);
  EXPECT_EQ(second.client("", net::kAck).fate, Fate::kForward) << "kept for late segments";
  Dialog fourth(rig, 40003);
  EXPECT_TRUE(opens(fourth));
  EXPECT_EQ(second.client("", net::kAck).fate, Fate::kDrop) << "it finished first";
  EXPECT_EQ(first.client("", net::kAck).fate, Fate::kForward);
  EXPECT_EQ(third.client(kGood).fate, Fate::kForward);
  // The tuple of a finished connection is taken over: it is no longer one that gives way.
  Dialog again(rig, 40000);
  again.client_isn = 5'000'000;
  again.server_isn = 6'000'000;
  EXPECT_TRUE(opens(again));
  Dialog fifth(rig, 40004);
  EXPECT_FALSE(opens(fifth));
  EXPECT_EQ(again.client(kGood).fate, Fate::kForward);
  EXPECT_EQ(third.client(kGood).fate, Fate::kForward);
  EXPECT_EQ(fourth.client(kGood).fate, Fate::kForward);
  EXPECT_GE(rig.dropped(abi::Reason::kFlowFull), 1u);
}

/// A connection that its client has reset.
void open_and_reset(Dialog& dialog) {
  dialog.handshake();
  EXPECT_EQ(dialog.client(kGood).fate, Fate::kForward);
  dialog.client("", net::kRst | net::kAck);
}

TEST(Engine, ResetConnectionsGiveWayToo) {
  RigOptions options;
  options.config.flows_max = 2;
  EngineRig rig(options);
  Dialog first(rig, 40000), second(rig, 40001), third(rig, 40002), fourth(rig, 40003);
  open_and_reset(first);
  second.handshake();
  EXPECT_EQ(second.client(kGood).fate, Fate::kForward);
  third.handshake();
  EXPECT_EQ(third.client(kGood).fate, Fate::kForward);
  EXPECT_EQ(first.client(kGood).fate, Fate::kDrop);
  fourth.handshake();
  EXPECT_EQ(fourth.client(kGood).fate, Fate::kDrop) << "both others are open";
  EXPECT_EQ(second.client(kGood).fate, Fate::kForward);
}

TEST(Engine, AConnectionThatTakesOverAResetOneDoesNotGiveWay) {
  RigOptions options;
  options.config.flows_max = 2;
  EngineRig rig(options);
  Dialog first(rig, 40000), second(rig, 40001), again(rig, 40000), third(rig, 40002);
  open_and_reset(first);
  second.handshake();
  EXPECT_EQ(second.client(kGood).fate, Fate::kForward);
  again.client_isn = 5'000'000;
  again.server_isn = 6'000'000;
  again.handshake();
  EXPECT_EQ(again.client(kGood).fate, Fate::kForward);
  third.handshake();
  EXPECT_EQ(third.client(kGood).fate, Fate::kDrop);
  EXPECT_EQ(again.client(kGood).fate, Fate::kForward);
}

TEST(Engine, ResetConnectionsStayKnownWhereSegmentsPassWithoutOne) {
  RigOptions options;
  options.config.flows_max = 2;
  options.midstream = abi::Midstream::kPass;
  EngineRig rig(options);
  Dialog first(rig, 40000), second(rig, 40001), third(rig, 40002);
  open_and_reset(first);
  second.handshake();
  EXPECT_EQ(second.client(kGood).fate, Fate::kForward);
  third.handshake();
  EXPECT_GE(rig.dropped(abi::Reason::kFlowFull), 1u);
  EXPECT_EQ(first.client(kBad).fate, Fate::kDrop) << "a reset that the server did not take";
}

TEST(Engine, NoMemoryForATransactionResetsBoth) {
  RigOptions options;
  options.config.transactions_max = 1;
  EngineRig rig(options);
  Dialog first(rig);
  first.handshake();
  EXPECT_EQ(first.client(kGood.substr(0, 10)).fate, Fate::kForward);
  Dialog second(rig, 40001);
  second.handshake();
  EXPECT_EQ(second.client(kGood).fate, Fate::kDrop);
  EXPECT_TRUE(second.client_reset());
  EXPECT_EQ(rig.dropped(abi::Reason::kWorkerMemory), 1u);
  EXPECT_EQ(first.client(kGood.substr(10)).fate, Fate::kForward);
}

TEST(Engine, HS8_EachRequestIsChargedOnceHoweverItComes) {
  RigOptions options;
  options.limit_burst = 4;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  for (int again = 0; again < 5; ++again) dialog.client_at(0, kGood);
  dialog.client(kGood + kGood + kGood);
  EXPECT_EQ(dialog.server_read(), kGood + kGood + kGood + kGood) << "three in one segment";
  EXPECT_EQ(dialog.client(kGood).fate, Fate::kDrop) << "the fifth";
  for (int i = 0; i < 4; ++i) dialog.server(kOk);
  dialog.client_ack();
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].header.reason, abi::Reason::kLimit);
}

TEST(Engine, HS7_RequestsThatRulesBlockAreChargedToo) {
  RigOptions options;
  options.limit_burst = 2;
  EngineRig rig(options);
  for (unsigned port = 40000; port < 40003; ++port) {
    Dialog dialog(rig, port);
    dialog.handshake();
    EXPECT_EQ(dialog.client(port == 40002 ? kGood : kBad).fate, Fate::kDrop) << port;
  }
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 3U);
  EXPECT_EQ(alerts[1].header.reason, abi::Reason::kRules);
  EXPECT_EQ(alerts[2].header.reason, abi::Reason::kLimit);
}

}  // namespace
}  // namespace sluice::test
