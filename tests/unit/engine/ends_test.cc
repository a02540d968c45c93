// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/messages.h"

namespace sluice::test {
namespace {

using engine::Fate;

const std::string kPart = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\na=flower";
constexpr std::uint64_t kPinMaxMs = 60'000;  // of the rig's policy

TEST(Ends, ACutBodyGivesItsTransactionBackWithItsConnectionsEnd) {
  // How the client ends: FIN; FIN and RST behind it; RST at once.
  for (const int ending : {0, 1, 2}) {
    for (const bool server_acks : {true, false}) {
      EngineRig rig;
      Dialog dialog(rig);
      dialog.handshake();
      dialog.client(kPart);
      if (server_acks) dialog.server_ack();
      EXPECT_EQ(rig.pins(), 1U);
      if (ending != 2) {
        dialog.client("", net::kFin | net::kAck);
        ++dialog.client_sent;
      }
      if (ending == 0) {
        EXPECT_EQ(rig.pins(), 1U) << "the server may answer what it has";
        dialog.server_acked = dialog.client_sent;
        rig.push(engine::Side::kInside, dialog.server_frame(0, "", net::kFin | net::kAck));
        dialog.client_acked = 1;
        rig.push(engine::Side::kOutside, dialog.client_frame(dialog.client_sent, "", net::kAck));
      } else {
        dialog.client("", net::kRst | net::kAck);
      }
      EXPECT_EQ(rig.pins(), 0U) << ending << server_acks;
      EXPECT_EQ(rig.records(abi::RecordType::kHttp).size(), 1U) << ending << server_acks;
    }
  }
}

TEST(Ends, ARequestWithoutResponseIsGivenBackWithAReset) {
  for (const bool by_client : {true, false}) {
    EngineRig rig;
    Dialog dialog(rig);
    dialog.handshake();
    dialog.client(kGood);
    dialog.server_ack();
    ASSERT_EQ(rig.pins(), 1U);
    if (by_client) {
      EXPECT_EQ(dialog.client("", net::kRst | net::kAck).fate, Fate::kForward);
    } else {
      EXPECT_EQ(dialog.server("", net::kRst | net::kAck).fate, Fate::kForward);
    }
    EXPECT_EQ(rig.pins(), 0U);
    EXPECT_EQ(rig.records(abi::RecordType::kHttp).size(), 1U);
    rig.poll();
    EXPECT_EQ(rig.counters->transactions.get(), 0U);
  }
}

TEST(Ends, BehindAResetNothingOfTheConnectionPasses) {
  // The RST may die behind us: who sent it for show goes on, and the server takes part.
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kPart);
  dialog.server_ack();
  dialog.client("", net::kRst | net::kAck);
  rig.to_server.clear();
  rig.to_client.clear();
  EXPECT_EQ(dialog.client("&b=attack").fate, Fate::kDrop);
  EXPECT_EQ(dialog.server(kOk).fate, Fate::kDrop);
  EXPECT_EQ(dialog.server_read(), "");
  EXPECT_EQ(dialog.client_read(), "");
  EXPECT_TRUE(dialog.server_reset()) << "whoever speaks is told";
  EXPECT_TRUE(dialog.client_reset());
  Dialog next(rig, 40000);
  next.client_isn += 1'000'000;
  next.handshake();
  EXPECT_EQ(next.client(kGood).fate, Fate::kForward) << "the ports may be used again";
}

TEST(Ends, AResetInTheWindowAloneEndsNothing) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kPart);  // not acknowledged: a RST at its start is in the window
  EXPECT_EQ(dialog.client_at(0, "", net::kRst).fate, Fate::kForward);
  EXPECT_EQ(rig.pins(), 1U);
  EXPECT_EQ(dialog.client("&b=cedar").fate, Fate::kForward);
  rig.advance_ms(abi::kResetTimeoutNs / base::kNanosPerMilli + 1000);
  EXPECT_EQ(rig.pins(), 0U);
}

TEST(Ends, AClientThatResetsWhileItsReplyWaitsIsWaitedForNoLonger) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  dialog.client(kBad);
  EXPECT_EQ(rig.pins(), 2U) << "the reply waits for the answer before it";
  dialog.client("", net::kRst | net::kAck);
  EXPECT_EQ(rig.pins(), 0U);
  EXPECT_TRUE(dialog.server_reset());
  EXPECT_EQ(dialog.server(kOk).fate, Fate::kDrop);
  EXPECT_EQ(rig.records(abi::RecordType::kAlert).size(), 1U);
}

TEST(Ends, MonitorForwardsBehindAReset) {
  RigOptions options;
  options.mode = abi::Mode::kMonitor;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  dialog.client("", net::kRst | net::kAck);
  EXPECT_EQ(rig.pins(), 0U);
  EXPECT_EQ(dialog.client(kBad).fate, Fate::kForward);
  rig.advance_ms(abi::kResetTimeoutNs / base::kNanosPerMilli + 1000);
  EXPECT_EQ(rig.records(abi::RecordType::kAlert).size(), 1U) << "and sees what it forwards";
  EXPECT_EQ(rig.pins(), 0U);
}

TEST(Ends, AnOldGenerationIsGivenBackWhenItsTimeIsOver) {
  // What is under way: a download that nobody looks at, a request without an answer.
  for (const bool download : {true, false}) {
    RigOptions options;
    options.body_rate_min = 0;
    EngineRig rig(options);
    Dialog dialog(rig);
    dialog.handshake();
    dialog.client(kGood);
    if (download) dialog.server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin");
    rig.advance_ms(kPinMaxMs + 2000);
    EXPECT_EQ(rig.pins(), 1U) << "the live generation may be kept";
    rig.publish("SecRule ARGS \"@contains other\" \"id:1,phase:2,deny\"");
    rig.advance_ms(2000);
    EXPECT_EQ(rig.pins(), 0U);
    EXPECT_EQ(dialog.server_reset(), !download);
    if (!download) {
      EXPECT_NE(dialog.client_read().find("HTTP/1.1 408 "), std::string::npos);
      continue;
    }
    EXPECT_EQ(dialog.server(std::string(95, 'x')).fate, Fate::kForward);
    dialog.client_ack();
    EXPECT_EQ(dialog.client(kGood).fate, Fate::kForward);
    EXPECT_EQ(dialog.server(kOk).fate, Fate::kForward);
    EXPECT_EQ(rig.records(abi::RecordType::kHttp).size(), 2U) << "one record each";
  }
}

TEST(Ends, AGenerationThatIsToEndIsGivenBackAtOnce) {
  // As when its time is over, but of that generation alone.
  for (const bool download : {true, false}) {
    EngineRig rig;
    Dialog old(rig), newer(rig, 40001);
    old.handshake();
    old.client(kGood);
    if (download) old.server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin");
    rig.publish("SecRule ARGS \"@contains other\" \"id:1,phase:2,deny\"");
    newer.handshake();
    newer.client(kPart);
    rig.publish("SecRule ARGS \"@contains another\" \"id:1,phase:2,deny\"");
    EXPECT_EQ(rig.pins(), 2U);
    rig.engine->end_pins(1);
    rig.advance_ms(100);
    EXPECT_EQ(rig.pins(), 1U);
    EXPECT_EQ(old.client_read().find("HTTP/1.1 408 ") != std::string::npos, !download);
    EXPECT_EQ(newer.client_read(), "");
    EXPECT_EQ(newer.client("&b=cedar").fate, Fate::kForward);
    EXPECT_EQ(old.server(std::string(95, 'x')).fate, download ? Fate::kForward : Fate::kDrop);
  }
}

TEST(Ends, EveryConnectionIsAskedForWhatIsToEnd) {
  EngineRig rig;
  constexpr unsigned kApart = 4, kMany = 200 / kApart;
  for (unsigned i = 0; i < kMany * kApart; ++i) {
    Dialog dialog(rig, 40000 + i);
    dialog.handshake();
    if (i % kApart == 0) dialog.client(kPart);
  }
  rig.publish("SecRule ARGS \"@contains other\" \"id:1,phase:2,deny\"");
  EXPECT_EQ(rig.pins(), kMany);
  rig.engine->end_pins(1);
  rig.poll();
  EXPECT_GE(rig.pins(), kMany - abi::kBurstMax / kApart) << "a bounded number each poll";
  EXPECT_LT(rig.pins(), kMany);
  for (int i = 0; i < 3; ++i) rig.poll();
  EXPECT_EQ(rig.pins(), 0U);
}

TEST(Ends, TheLiveGenerationIsNotEnded) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kPart);
  rig.engine->end_pins(1);
  rig.advance_ms(100);
  EXPECT_EQ(rig.pins(), 1U);
  EXPECT_EQ(dialog.client("&b=cedar").fate, Fate::kForward);
}

TEST(Ends, AnOldGenerationIsNotGivenBackBeforeItsTime) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  rig.publish("SecRule ARGS \"@contains other\" \"id:1,phase:2,deny\"");
  rig.advance_ms(kPinMaxMs - 2000);
  EXPECT_EQ(rig.pins(), 1U);
  rig.advance_ms(4000);
  EXPECT_EQ(rig.pins(), 0U);
}

}  // namespace
}  // namespace sluice::test
