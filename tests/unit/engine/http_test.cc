// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/messages.h"

namespace sluice::test {
namespace {

using abi::Reason;
using engine::Fate;

const std::string kUpgrade =
    "GET /chat HTTP/1.1\r\nHost: orders\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const std::string kSwitching =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The reason of the first alert after one client segment.
Reason refused(const std::string& data) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client(data).fate, Fate::kDrop) << data;
  EXPECT_EQ(dialog.server_read(), "") << data;
  EXPECT_NE(dialog.client_read().find("HTTP/1.1 403 "), std::string::npos) << data;
  const auto alerts = rig.records(abi::RecordType::kAlert);
  if (alerts.size() != 1) return Reason::kNone;
  return alerts[0].header.reason;
}

TEST(Http, AmbiguityIsRefusedByName) {
  EXPECT_EQ(refused("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"), Reason::kTlsUninspected);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n"),
            Reason::kHttpClAndTe);
  EXPECT_EQ(refused("GET /x\r\n"), Reason::kHttpNoVersion);
  EXPECT_EQ(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Reason::kHttpH2Preface);
  EXPECT_EQ(refused("CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n"), Reason::kHttpConnect);
  EXPECT_EQ(refused(kUpgrade), Reason::kHttpUpgrade);
  EXPECT_EQ(refused("GET / HTTP/1.1\nHost: a\n\n"), Reason::kHttpBareLf);
}

TEST(Http, ABodyThatTheClientCutsIsJudgedBeforeItsEnd) {
  for (const bool bad : {true, false}) {
    EngineRig rig;
    Dialog dialog(rig);
    dialog.handshake();
    const std::string body = bad ? "a=attack" : "a=flower";
    dialog.client(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n" +
        body);
    EXPECT_EQ(dialog.client("", net::kFin | net::kAck).fate, bad ? Fate::kDrop : Fate::kForward);
    EXPECT_EQ(rig.records(abi::RecordType::kAlert).size(), bad ? 1U : 0U);
    EXPECT_EQ(dialog.server_reset(), bad);
  }
}

TEST(Http, AHeadThatTheClientCutsIsRefusedBeforeItsEnd) {
  for (const bool blocks : {true, false}) {
    RigOptions options;
    if (!blocks) options.mode = abi::Mode::kMonitor;
    EngineRig rig(options);
    Dialog dialog(rig);
    dialog.handshake();
    dialog.client("GET /?q=attack HTTP/1.1\r\nHost: a\r\n");
    EXPECT_EQ(dialog.client("", net::kFin | net::kAck).fate, blocks ? Fate::kDrop : Fate::kForward);
    EXPECT_EQ(dialog.server_reset(), blocks);
    rig.engine->close_all(rig.now, rig.now + EngineRig::kWallOffset);
    const auto records = rig.records(blocks ? abi::RecordType::kAlert : abi::RecordType::kHttp);
    ASSERT_EQ(records.size(), 1U) << blocks;
    EXPECT_EQ(records[0].header.reason, Reason::kHttpFraming);
    EXPECT_EQ(records[0].header.action, blocks ? abi::Action::kBlock : abi::Action::kMonitor);
    EXPECT_EQ(rig.pins(), 0U);
  }
}

TEST(Http, ARefusedHeadIsStillJudgedForTheRecord) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(
      "GET /?q=attack HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
      "Content-Length: 2\r\n\r\n");
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].header.reason, Reason::kHttpClDup);
  EXPECT_EQ(alerts[0].rules, std::vector<std::uint32_t>{100});
  EXPECT_EQ(alerts[0].field(abi::EventFieldId::kUri), "/?q=attack");
}

TEST(Http, MonitorGoesOnBehindARefusal) {
  RigOptions options;
  options.mode = abi::Mode::kMonitor;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client("GET /?q=attack HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  dialog.server(kOk);
  dialog.client(kGood);
  dialog.server(kOk);
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].header.action, abi::Action::kMonitor);
  EXPECT_EQ(records[0].rules, std::vector<std::uint32_t>{100});
  EXPECT_EQ(records[1].header.action, abi::Action::kPass);
}

TEST(Http, ContinueIsNoFinalResponse) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  const std::string head =
      "POST /items HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  EXPECT_EQ(dialog.client(head).fate, Fate::kForward);
  EXPECT_EQ(dialog.server("HTTP/1.1 100 Continue\r\n\r\n").fate, Fate::kForward);
  EXPECT_EQ(dialog.client("body").fate, Fate::kForward);
  EXPECT_EQ(dialog.server(kOk).fate, Fate::kForward);
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].header.status, 200);
  EXPECT_EQ(records[0].header.request_body_bytes, 4u);
}

TEST(Http, ABadBodyAfterContinueIsAnswered) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(
      "POST /items HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\n"
      "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\n");
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  dialog.server(interim);
  dialog.client_ack();
  dialog.client("q=attack");
  EXPECT_EQ(dialog.client_read().rfind(interim + "HTTP/1.1 403 ", 0), 0u) << dialog.client_read();
}

TEST(Http, AnAllowedUpgradeIsOpaqueOnceTheServerAgrees) {
  RigOptions options;
  options.allow_websocket = true;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client(kUpgrade).fate, Fate::kForward);
  EXPECT_EQ(dialog
                .client("\x81\x06"
                        "attack")
                .fate,
            Fate::kKept)
      << "the server has not agreed";
  EXPECT_EQ(dialog.server(kSwitching).fate, Fate::kForward);
  EXPECT_EQ(dialog.server_read(), kUpgrade +
                                      "\x81\x06"
                                      "attack");
  EXPECT_EQ(dialog.server("\x81\x02hi").fate, Fate::kForward);
  EXPECT_EQ(dialog
                .client("\x81\x06"
                        "attack")
                .fate,
            Fate::kForward);
  EXPECT_EQ(rig.kept(), 0u);
  EXPECT_EQ(rig.records(abi::RecordType::kHttp).size(), 1u);
}

TEST(Http, ARefusedUpgradeStaysHttp) {
  RigOptions options;
  options.allow_websocket = true;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kUpgrade);
  EXPECT_EQ(dialog.client(kBad).fate, Fate::kKept);
  dialog.server("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(dialog.server_read(), kUpgrade) << "what waited was judged as HTTP";
  dialog.client_ack();
  EXPECT_NE(dialog.client_read().find(" 403 "), std::string::npos);
  EXPECT_EQ(rig.kept(), 0u);
}

TEST(Http, PipelinesAreServedInOrder) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client(kGood + kHead + kGood).fate, Fate::kForward);
  EXPECT_EQ(dialog.server(kOk + "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + kOk).fate,
            Fate::kForward);
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[1].field(abi::EventFieldId::kMethod), "HEAD");
  EXPECT_EQ(records[1].header.response_body_bytes, 0u);
  EXPECT_EQ(records[2].header.response_body_bytes, 2u);
}

TEST(Http, ADeepPipelineWaitsForResponses) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  for (std::size_t i = 0; i < abi::kPipelinedMax; ++i) {
    EXPECT_EQ(dialog.client(kGood).fate, Fate::kForward);
  }
  EXPECT_EQ(dialog.client(kGood).fate, Fate::kKept);
  dialog.server(kOk);
  EXPECT_EQ(rig.kept(), 0u) << "a response has made room";
  EXPECT_EQ(dialog.server_read().size(), kGood.size() * (abi::kPipelinedMax + 1));
}

TEST(Http, LongResponsesPassWithoutBeingShown) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 14000\r\n\r\n";
  dialog.server(head + std::string(1000, 'x'));
  for (int i = 0; i < 13; ++i) {
    EXPECT_EQ(dialog.server(std::string(1000, 'x')).fate, Fate::kForward);
    dialog.client_ack();
  }
  EXPECT_EQ(rig.observed(1).size(), head.size()) << "only the head";
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].header.response_body_bytes, 14000u);
  EXPECT_EQ(records[0].header.response_bytes, head.size() + 14000);
  EXPECT_EQ(dialog.client(kBad).fate, Fate::kDrop) << "the next request is judged";
  EXPECT_NE(dialog.client_read().find(" 403 "), std::string::npos);
}

TEST(Http, AResponseUntilCloseEndsWithTheServersFin) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  dialog.server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome");
  dialog.server(" text", net::kFin | net::kAck);
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].header.response_body_bytes, 9u);
}

TEST(Http, AnUnaskedResponseThatClosesPasses) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  const std::string timeout =
      "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
  EXPECT_EQ(dialog.server(timeout).fate, Fate::kForward);
  EXPECT_EQ(dialog.client_read(), timeout);
}

TEST(Http, AnUnaskedResponseThatKeepsTheConnectionIsStopped) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.server(kOk).fate, Fate::kDrop);
  EXPECT_EQ(dialog.client_read().find("200 OK"), std::string::npos);
}

TEST(Http, PhaseThreeAnswersInTheServersPlace) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  EXPECT_EQ(dialog.server("HTTP/1.1 200 OK\r\nX-Leak: 1\r\nContent-Length: 2\r\n\r\nok").fate,
            Fate::kDrop);
  EXPECT_EQ(dialog.client_read().rfind("HTTP/1.1 403 ", 0), 0u);
  EXPECT_TRUE(dialog.server_reset());
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].header.phase, 3);
  EXPECT_EQ(alerts[0].header.direction, 1);
}

TEST(Http, PhaseFourStopsTheRestOfABody) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client("GET /leaky HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(
      dialog
          .server("HTTP/1.1 200 OK\r\nContent-Type: text/leaky\r\nContent-Length: 12\r\n\r\nsecret")
          .fate,
      Fate::kForward);
  EXPECT_EQ(dialog.server("secret").fate, Fate::kDrop);
  EXPECT_TRUE(dialog.client_reset());
  EXPECT_TRUE(dialog.server_reset());
}

TEST(Http, AHeldResponseIsJudgedWhole) {
  RigOptions options;
  options.response_hold_bytes = 4096;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client("GET /leaky HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(
      dialog
          .server("HTTP/1.1 200 OK\r\nContent-Type: text/leaky\r\nContent-Length: 12\r\n\r\nsecret")
          .fate,
      Fate::kKept);
  EXPECT_EQ(dialog.server("secret").fate, Fate::kDrop);
  EXPECT_EQ(dialog.client_read().rfind("HTTP/1.1 403 ", 0), 0u) << dialog.client_read();
  EXPECT_EQ(rig.kept(), 0u);
}

TEST(Http, AHeldGoodResponsePassesWhole) {
  RigOptions options;
  options.response_hold_bytes = 4096;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client("GET /leaky HTTP/1.1\r\nHost: orders\r\n\r\n");
  EXPECT_EQ(
      dialog
          .server("HTTP/1.1 200 OK\r\nContent-Type: text/leaky\r\nContent-Length: 12\r\n\r\npublic")
          .fate,
      Fate::kKept);
  EXPECT_EQ(dialog.server("things").fate, Fate::kForward);
  EXPECT_EQ(
      dialog.client_read(),
      "HTTP/1.1 200 OK\r\nContent-Type: text/leaky\r\nContent-Length: 12\r\n\r\npublicthings");
  EXPECT_EQ(rig.kept(), 0u);
}

TEST(Http, BodyBytesBehindAnEarlyResponseAreStopped) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client("POST /static HTTP/1.1\r\nHost: orders\r\nContent-Length: 100\r\n\r\n");
  dialog.server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  dialog.client_ack();
  EXPECT_EQ(dialog.client(kBad).fate, Fate::kDrop);
  EXPECT_TRUE(dialog.server_reset());
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].header.reason, Reason::kHttpEarlyResponse);
}

TEST(Http, BodyBytesBehindAnEarlyResponseThatClosesPass) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client("POST /static HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\n");
  dialog.server("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(dialog.client("body").fate, Fate::kForward);
  EXPECT_EQ(rig.records(abi::RecordType::kHttp).size(), 1u);
}

TEST(Http, ASlowHeadIsAnsweredAndASlowBodyToo) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood.substr(0, 10));
  for (int i = 0; i < 8; ++i) {
    rig.advance_ms(1000);
    dialog.client(kGood.substr(10 + static_cast<std::size_t>(i), 1));
    dialog.server_ack();
  }
  EXPECT_FALSE(dialog.server_reset());
  rig.advance_ms(2500);
  EXPECT_TRUE(dialog.server_reset()) << "a byte a second does not move the deadline";
  EXPECT_NE(dialog.client_read().find("HTTP/1.1 408 "), std::string::npos);

  Dialog body(rig, 40001);
  rig.to_server.clear();
  body.handshake();
  body.client("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100000\r\n\r\nabc");
  body.server_ack();
  rig.advance_ms(19'000);
  EXPECT_FALSE(body.server_reset());
  rig.advance_ms(3'000);
  EXPECT_TRUE(body.server_reset());
}

TEST(Http, HF31_HeadsCutShortMakeRoomWhereNearlyAllTransactionsAreTaken) {
  RigOptions options;
  options.config.transactions_max = 16;
  EngineRig rig(options);
  std::vector<std::unique_ptr<Dialog>> slow;
  const auto begin = [&](std::string_view bytes) {
    slow.push_back(std::make_unique<Dialog>(rig, static_cast<unsigned>(41000 + slow.size())));
    slow.back()->handshake();
    slow.back()->client(bytes);
  };
  const auto ended = [&](std::size_t index) {
    if (slow[index]->client_read().find("HTTP/1.1 408 ") != std::string::npos) return true;
    return std::any_of(rig.to_client.begin(), rig.to_client.end(), [&](const auto& left) {
      return left->parsed.destination_port == 41000 + index && left->has(net::kRst);
    });
  };
  for (int i = 0; i < 14; ++i) begin(kGood.substr(0, 10));
  rig.advance_ms(1'000);
  EXPECT_FALSE(ended(0)) << "there is room";
  begin("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 9\r\n\r\nabc");
  rig.advance_ms(100);
  EXPECT_TRUE(ended(0)) << "the oldest";
  EXPECT_FALSE(ended(1)) << "one was enough";
  for (int i = 0; i < 14; ++i) {
    begin(kGood.substr(0, 10));
    rig.advance_ms(10);
  }
  EXPECT_TRUE(ended(13));
  EXPECT_FALSE(ended(14)) << "not yet incomplete for 250 ms";
  rig.advance_ms(300);
  begin(kGood.substr(0, 10));
  rig.advance_ms(10);
  EXPECT_TRUE(ended(14)) << "bodies too";
  for (unsigned i = 0; i < 60; ++i) {
    begin(kGood.substr(0, 10));
    rig.advance_ms(50);
    Dialog good(rig, 40000 + i);
    good.handshake();
    EXPECT_EQ(good.client(kGood).fate, Fate::kForward) << i;
    good.server(kOk);
    EXPECT_EQ(good.client_read(), kOk) << i;
  }
}

TEST(Http, AnIdleConnectionIsForgotten) {
  RigOptions options;
  options.idle_timeout_ms = 5'000;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  dialog.server(kOk);
  rig.advance_ms(6'000);
  EXPECT_EQ(rig.counters->flows.get(), 0u);
  EXPECT_EQ(dialog.client(kGood).reason, Reason::kTcpNoFlow);
}

TEST(Http, AnUnknownHostIsRefused) {
  RigOptions options;
  options.hosts = {"orders", "orders.internal"};
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client("GET / HTTP/1.1\r\nHost: Orders.Internal:80\r\n\r\n").fate,
            Fate::kForward);
  dialog.server(kOk);
  dialog.client_ack();
  EXPECT_EQ(dialog.client("GET / HTTP/1.1\r\nHost: other\r\n\r\n").fate, Fate::kDrop);
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].header.reason, Reason::kHttpUnknownHost);
}

TEST(Http, LimitsAnswer429) {
  RigOptions options;
  options.limit_burst = 3;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  int passed = 0;
  for (int i = 0; i < 3; ++i) {
    passed += dialog.client(kGood).fate == Fate::kForward ? 1 : 0;
    dialog.server(kOk);
    dialog.client_ack();
  }
  EXPECT_EQ(passed, 3);
  EXPECT_EQ(dialog.client(kGood).fate, Fate::kDrop);
  EXPECT_NE(dialog.client_read().find("HTTP/1.1 429 Too Many Requests\r\n"), std::string::npos);
  EXPECT_NE(dialog.client_read().find("Retry-After: 1\r\n"), std::string::npos);
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].header.reason, Reason::kLimit);
  EXPECT_EQ(alerts[0].header.limit_id, 0u);
  EXPECT_EQ(alerts[0].field(abi::EventFieldId::kLimitName), "per-client");
}

TEST(Http, TheClientAddressComesFromATrustedProxyAlone) {
  RigOptions options;
  options.client_header = "x-forwarded-for";
  options.trusted = "192.0.2.0/24";
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
  dialog.server(kOk);
  const auto records = rig.records(abi::RecordType::kHttp);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].field(abi::EventFieldId::kClientAddress), "203.0.113.9");
}

}  // namespace
}  // namespace sluice::test
