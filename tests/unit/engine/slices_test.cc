// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// Requests whose rules stop at the end of a slice (docs/adr/0014-slices.md). The slices of these
// rigs are the smallest that there are: everything that can wait does.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dataplane/abi/segments.h"
#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/messages.h"

namespace sluice::test {
namespace {

using engine::Fate;

RigOptions in_slices(abi::Mode mode = abi::Mode::kBlock) {
  RigOptions options;
  options.mode = mode;
  options.config.slice_ns = 1;
  return options;
}

constexpr unsigned kFin = net::kFin | net::kAck, kRst = net::kRst | net::kAck;

/// A form of that many fields, with `value` each.
std::string form(std::size_t fields, const std::string& last, const std::string& value = "carrot") {
  std::string body;
  for (std::size_t i = 0; i < fields; ++i) body += "f" + std::to_string(i) + "=" + value + "&";
  body += "last=" + last;
  return "POST /items HTTP/1.1\r\nHost: orders\r\nContent-Type: "
         "application/x-www-form-urlencoded\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(Slices, ARequestLeavesOnceItIsJudged) {
  EngineRig rig(in_slices());
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client(kGoodBody).fate, Fate::kKept);
  EXPECT_EQ(dialog.server_read(), "");
  rig.poll();
  EXPECT_GT(rig.counters->held_bytes.get(), kGoodBody.size());
  EXPECT_EQ(rig.counters->held_segments.get(), 1U);
  EXPECT_GT(rig.judge_on(), 1U);
  rig.poll();
  EXPECT_EQ(rig.counters->held_bytes.get(), 0U);
  EXPECT_EQ(dialog.server_read(), kGoodBody);
  dialog.server(kOk);
  EXPECT_EQ(dialog.client_read(), kOk);
  EXPECT_EQ(rig.pins(), 0U);
  EXPECT_EQ(rig.kept(), 0U);
}

TEST(Slices, TheTimeThatARequestWaitsForItsVerdictIsCounted) {
  EngineRig rig(in_slices());
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGoodBody);
  constexpr base::Nanos kWaited = 3'000'000;
  rig.now += kWaited;
  rig.judge_on();
  rig.now += 50 * base::kNanosPerMilli;  // the server's
  dialog.server(kOk);
  const abi::WorkerCounters& counters = *rig.counters;
  const base::Nanos waited = counters.added_latency_sum_ns.get();
  EXPECT_GE(waited, kWaited);
  EXPECT_LT(waited, 2 * kWaited) << "polls move the clock too, the server's time is not ours";
  std::uint64_t requests = 0;
  for (std::size_t i = 0; i < abi::kLatencyBuckets; ++i) {
    const std::uint64_t count = counters.added_latency[i].get();
    requests += count;
    if (count != 0) {
      EXPECT_LT(waited, 64ULL << i);
      EXPECT_GE(waited, 64ULL << (i - 1));
    }
  }
  EXPECT_EQ(requests, 1U);
}

TEST(Slices, ABadRequestIsAnswered) {
  for (const std::string& bad : {kBad, kBadHeader, kBadBody, kBadChunked, form(50, "attack")}) {
    EngineRig rig(in_slices());
    Dialog dialog(rig);
    dialog.handshake();
    dialog.client(bad);
    EXPECT_GT(rig.judge_on(), 1U);
    EXPECT_EQ(dialog.server_read(), "") << bad;
    EXPECT_EQ(dialog.client_read().substr(0, 12), "HTTP/1.1 403") << bad;
    EXPECT_EQ(rig.pins(), 0U);
  }
}

TEST(Slices, NeighboursAreServedBetweenThem) {
  EngineRig rig(in_slices());
  Dialog slow(rig, 40000), quick(rig, 40001);
  slow.handshake();
  quick.handshake();
  const std::string long_form = form(80, "carrot");
  slow.client(long_form);
  quick.client(kGood);
  std::size_t polls = 0;
  while (quick.server_read().empty() && polls < 1000) {
    rig.poll();
    ++polls;
  }
  EXPECT_EQ(quick.server_read(), kGood);
  EXPECT_EQ(slow.server_read(), "") << "still judged";
  EXPECT_GT(rig.judge_on(), polls / 2);
  EXPECT_EQ(slow.server_read(), long_form);
}

TEST(Slices, TheRequestBehindAGoodOneWaitsForItsOwnVerdict) {
  EngineRig rig(in_slices());
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood + kBad);
  rig.judge_on();
  EXPECT_EQ(dialog.server_read(), kGood);
  dialog.server_ack();
  dialog.server(kOk);
  dialog.client_ack();
  rig.judge_on();
  EXPECT_EQ(dialog.client_read().substr(0, kOk.size() + 12), kOk + "HTTP/1.1 403");
}

TEST(Slices, AFinWaitsBehindTheRequest) {
  for (const bool apart : {true, false}) {
    EngineRig rig(in_slices());
    Dialog dialog(rig);
    dialog.handshake();
    if (apart) {
      dialog.client(kGood);
      EXPECT_EQ(dialog.client("", kFin).fate, Fate::kKept);
    } else {
      EXPECT_EQ(dialog.client(kGood, kFin | net::kPsh).fate, Fate::kKept);
    }
    EXPECT_TRUE(rig.to_server.empty() || !rig.to_server.back()->has(net::kFin));
    EXPECT_EQ(dialog.server_read(), "");
    rig.judge_on();
    EXPECT_EQ(dialog.server_read(), kGood);
    EXPECT_TRUE(rig.to_server.back()->has(net::kFin));
  }
}

TEST(Slices, ABodyCutByAFinIsJudgedBeforeItLeaves) {
  for (const bool attacks : {true, false}) {
    EngineRig rig(in_slices());
    Dialog dialog(rig);
    dialog.handshake();
    const std::string part =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Content-Length: 100\r\n\r\na=" +
        std::string(attacks ? "attack" : "carrot");
    dialog.client(part);
    rig.judge_on();
    EXPECT_EQ(dialog.server_read(), part) << "its end may still be good";
    dialog.client("", kFin);
    EXPECT_FALSE(rig.to_server.back()->has(net::kFin));
    rig.judge_on();
    EXPECT_EQ(rig.to_server.back()->has(net::kFin), !attacks);
    EXPECT_EQ(dialog.client_reset() || !dialog.client_read().empty(), attacks);
  }
}

TEST(Slices, AResetGivesTheWorkUp) {
  EngineRig rig(in_slices());
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGoodBody);
  ASSERT_TRUE(rig.engine->judging());
  // Where the server is: nothing has left.
  dialog.client_at(0, "", kRst);
  EXPECT_FALSE(rig.engine->judging());
  EXPECT_EQ(rig.pins(), 0U);
  EXPECT_EQ(rig.kept(), 0U);
  rig.advance_ms(1000);
  EXPECT_EQ(dialog.server_read(), "");
  EXPECT_EQ(rig.records(abi::RecordType::kHttp).size(), 1U);
}

TEST(Slices, AServersResetGivesTheWorkUp) {
  EngineRig rig(in_slices());
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGoodBody);
  ASSERT_TRUE(rig.engine->judging());
  dialog.server("", kRst);
  EXPECT_FALSE(rig.engine->judging());
  EXPECT_EQ(rig.pins(), 0U);
  EXPECT_EQ(rig.kept(), 0U);
}

/// Its scans may stop, nothing is known of it, and it has all pairs of what the rules look for.
std::string long_value(unsigned number) {
  return "at-tt-ta-ac-ck" + std::to_string(number) + std::string(abi::kLongWorkBytes, '-');
}

/// A worker has room for so many values whose scans have stopped; others wait for theirs.
TEST(Slices, MoreValuesThanCanStopWaitTheirTurn) {
  EngineRig rig(in_slices());
  constexpr unsigned kClients = 3 * abi::kLongWorks;
  std::vector<std::unique_ptr<Dialog>> dialogs;
  std::vector<std::string> requests;
  for (unsigned i = 0; i < kClients; ++i) {
    requests.push_back(form(3, i % 2 == 0 ? "carrot" : "attack", long_value(i)));
    dialogs.push_back(std::make_unique<Dialog>(rig, 40000 + i));
    dialogs.back()->handshake();
    dialogs.back()->client(requests.back());
  }
  EXPECT_GT(rig.judge_on(), kClients);
  for (unsigned i = 0; i < kClients; ++i) {
    EXPECT_EQ(dialogs[i]->server_read() == requests[i], i % 2 == 0) << i;
  }
  EXPECT_EQ(rig.pins(), kClients / 2) << "the good ones wait for their responses";
}

TEST(Slices, WorkThatIsGivenUpMakesRoom) {
  EngineRig rig(in_slices());
  for (unsigned slices = 0; slices < 40; ++slices) {
    Dialog dialog(rig, 40000 + slices);
    dialog.handshake();
    dialog.client(form(3, "carrot", long_value(slices)));
    for (unsigned i = 0; i < slices; ++i) rig.poll();
    dialog.server({}, kRst);
    EXPECT_FALSE(rig.engine->judging());
  }
  Dialog dialog(rig, 50000);
  dialog.handshake();
  const std::string request = form(3, "carrot", long_value(50));
  dialog.client(request);
  for (int i = 0; i < 1000 && rig.engine->judging(); ++i) rig.poll();
  EXPECT_EQ(dialog.server_read(), request);
}

TEST(Slices, AConnectionThatIsForgottenGivesTheWorkUp) {
  for (const int way : {0, 1, 2}) {
    EngineRig rig(in_slices());
    Dialog dialog(rig);
    dialog.handshake();
    dialog.client(form(60, "carrot"));
    ASSERT_TRUE(rig.engine->judging());
    if (way == 0) {  // idle
      rig.now += 700 * base::kNanosPerSecond;
      for (int i = 0; i < 3; ++i) rig.poll();
    } else if (way == 1) {  // frames have passed unseen
      rig.set_switches(abi::kModeUnset, true);
      rig.set_switches(abi::kModeUnset, false);
      rig.poll();
    } else {
      rig.close_all();
    }
    EXPECT_FALSE(rig.engine->judging()) << way;
    EXPECT_EQ(rig.pins(), 0U) << way;
    EXPECT_EQ(rig.kept(), 0U) << way;
  }
}

TEST(Slices, APushChangesNothingForWhatIsUnderWay) {
  EngineRig rig(in_slices());
  Dialog bad(rig, 40000), good(rig, 40001), later(rig, 40002);
  for (Dialog* dialog : {&bad, &good, &later}) dialog->handshake();
  bad.client(kBadBody);
  good.client(kGoodBody);
  rig.publish("SecRequestBodyAccess On\nSecRule ARGS \"@contains carrot\" \"id:1,phase:2,deny\"");
  later.client(kGoodBody);
  EXPECT_EQ(rig.pins(), 3U);
  rig.judge_on();
  EXPECT_EQ(bad.server_read(), "");
  EXPECT_EQ(good.server_read(), kGoodBody);
  EXPECT_EQ(later.server_read(), "");
}

TEST(Slices, AGenerationThatIsToEndTakesTheRequestWithIt) {
  EngineRig rig(in_slices());
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(form(60, "carrot"));
  rig.publish("SecRule ARGS \"@contains other\" \"id:1,phase:2,deny\"");
  ASSERT_EQ(rig.pins(), 1U);
  ASSERT_TRUE(rig.engine->judging());
  rig.engine->end_pins(1);
  rig.poll();
  rig.poll();
  EXPECT_FALSE(rig.engine->judging());
  EXPECT_EQ(rig.pins(), 0U);
  EXPECT_EQ(dialog.client_read().substr(0, 12), "HTTP/1.1 408");
  EXPECT_EQ(dialog.server_read(), "");
}

/// The server answers before it has the request: its response waits for the verdict, and both
/// leave.
TEST(Slices, AnEarlyResponseWaits) {
  EngineRig rig(in_slices());
  Dialog dialog(rig);
  dialog.handshake();
  const std::string head = "POST /items HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\n";
  dialog.client(head + "a=");
  rig.judge_on();
  ASSERT_EQ(dialog.server_read(), head + "a=");
  dialog.client("bc");
  ASSERT_TRUE(rig.engine->judging());
  dialog.server_acked = head.size() + 2;
  rig.push(engine::Side::kInside, dialog.server_frame(0, kOk));
  EXPECT_EQ(dialog.client_read(), "");
  rig.judge_on();
  EXPECT_EQ(dialog.server_read(), head + "a=bc");
  EXPECT_EQ(dialog.client_read(), kOk);
  EXPECT_EQ(rig.pins(), 0U);
}

TEST(Slices, MonitorForwardsAtOnceAndRecordsWhatItFinds) {
  for (const bool resets : {true, false}) {
    EngineRig rig(in_slices(abi::Mode::kMonitor));
    Dialog dialog(rig);
    dialog.handshake();
    EXPECT_EQ(dialog.client(kBadBody).fate, Fate::kForward);
    ASSERT_TRUE(rig.engine->judging());
    if (resets) {
      dialog.client("", kRst);
    } else {
      dialog.server(kOk);
      rig.judge_on();
      dialog.client_ack();
    }
    EXPECT_FALSE(rig.engine->judging());
    const auto alerts = rig.records(abi::RecordType::kAlert);
    ASSERT_EQ(alerts.size(), 1U) << resets;
    EXPECT_EQ(alerts[0].header.action, abi::Action::kMonitor);
    EXPECT_EQ(alerts[0].header.reason, abi::Reason::kRules);
    EXPECT_EQ(rig.pins(), 0U);
  }
}

/// The rest of the connection passes uninspected; the request that was under way is judged before.
TEST(Slices, MonitorRecordsWhatAGenerationThatEndsHadUnderWay) {
  EngineRig rig(in_slices(abi::Mode::kMonitor));
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client(form(60, "attack")).fate, Fate::kForward);
  for (int i = 0; i < 30; ++i) rig.poll();
  ASSERT_TRUE(rig.engine->judging()) << "the last value is still to come";
  rig.publish("SecRule ARGS \"@contains other\" \"id:1,phase:2,deny\"");
  rig.engine->end_pins(1);
  for (int i = 0; i < 2; ++i) rig.poll();
  ASSERT_FALSE(rig.engine->judging());
  EXPECT_EQ(rig.pins(), 0U);
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].header.reason, abi::Reason::kHttpSlow);
  EXPECT_EQ(alerts[0].rules, std::vector<std::uint32_t>{200});
}

TEST(Slices, AStagedGenerationGetsItsOwn) {
  for (const bool alone : {false, true}) {  // has work left when the live one is done
    RigOptions options = in_slices();
    if (alone) options.rules = "SecRuleEngine On";
    options.staged_rules =
        "SecRequestBodyAccess On\nSecRule ARGS \"@contains carrot\" \"id:7,phase:2,deny\"";
    EngineRig rig(options);
    Dialog dialog(rig);
    dialog.handshake();
    const std::string request = form(20, "carrot");
    dialog.client(request);
    rig.judge_on();
    EXPECT_EQ(dialog.server_read(), request);
    rig.close_all();  // no response, whose rules would find the rest of the work
    const auto records = rig.records(abi::RecordType::kHttp);
    ASSERT_EQ(records.size(), 1U) << alone;
    EXPECT_EQ(records[0].header.staged_action, abi::Action::kBlock) << alone;
  }
}

}  // namespace
}  // namespace sluice::test
