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

TEST(EmptyLine, AnEmptyLineBeforeTheClientsEndIsNoRequest) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood + "\r\n");
  EXPECT_EQ(dialog.client("", net::kFin | net::kAck).fate, Fate::kForward);
  EXPECT_FALSE(dialog.server_reset());
}

/// Where the bytes of `next` come behind a first request: before its response, or after it, when
/// nothing is kept of the exchange. In two pieces, cut at `cut`.
struct Behind {
  Behind(bool pipelined, const std::string& next, std::size_t cut) : dialog(rig) {
    dialog.handshake();
    dialog.client(kGood);
    if (!pipelined) answer();
    dialog.client(next.substr(0, cut));
    rig.poll();
    transactions = rig.counters->transactions.get();
    if (cut < next.size()) dialog.client(next.substr(cut));
    if (pipelined) answer();
  }
  void answer() {
    dialog.server(kOk);
    dialog.client_ack();
    dialog.server_ack();
  }
  EngineRig rig;
  Dialog dialog;
  std::uint64_t transactions = 0;  ///< with the first piece
};

TEST(EmptyLine, HF13_OneEmptyLineBetweenRequestsPassesWhereverItIsCut) {
  const std::string next = "\r\n" + kGood;
  for (const bool pipelined : {true, false}) {
    for (std::size_t cut = 1; cut <= next.size(); ++cut) {
      Behind behind(pipelined, next, cut);
      behind.answer();
      EXPECT_EQ(behind.dialog.server_read(), kGood + next) << pipelined << " " << cut;
      const std::uint64_t of_first = pipelined ? 1 : 0;
      EXPECT_EQ(behind.transactions, of_first + (cut > 2 ? 1 : 0)) << "none for the line alone";
      const auto records = behind.rig.records(abi::RecordType::kHttp);
      ASSERT_EQ(records.size(), 2U) << pipelined << " " << cut;
      EXPECT_EQ(records[1].header.transaction, 2U);
      EXPECT_EQ(records[1].header.request_bytes, kGood.size());
      EXPECT_EQ(records[1].header.reason, Reason::kNone);
    }
  }
}

TEST(EmptyLine, HF13_OtherEmptyLinesAreRefusedWhereverTheyAreCut) {
  for (const char* line : {"\r\n\r\n", "\n", "\r", "\r\r\n", "\r\n\n"}) {
    const std::string next = line + kGood;
    for (const bool pipelined : {true, false}) {
      for (std::size_t cut = 1; cut <= next.size(); ++cut) {
        Behind behind(pipelined, next, cut);
        EXPECT_EQ(behind.dialog.server_read().find(kGood, kGood.size()), std::string::npos);
        EXPECT_NE(behind.dialog.client_read().find("HTTP/1.1 403 "), std::string::npos);
        const auto alerts = behind.rig.records(abi::RecordType::kAlert);
        ASSERT_EQ(alerts.size(), 1U) << pipelined << " " << cut;
        EXPECT_EQ(alerts[0].header.reason, Reason::kHttpLeadingCrlf) << pipelined << " " << cut;
      }
    }
  }
}

TEST(EmptyLine, HF13_AnEmptyLineBeforeTheFirstRequestIsRefused) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  EXPECT_EQ(dialog.client("\r\n" + kGood).fate, Fate::kDrop);
  const auto alerts = rig.records(abi::RecordType::kAlert);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].header.reason, Reason::kHttpLeadingCrlf);
}

TEST(EmptyLine, HF13_AnEmptyLineAloneNeitherTimesOutNorHoldsAnything) {
  for (const char* line : {"\r\n", "\r"}) {
    Behind behind(false, line, 2);
    behind.rig.advance_ms(20'000);  // twice the time for a head
    EXPECT_FALSE(behind.dialog.server_reset());
    behind.dialog.client((line[1] == 0 ? "\n" : "") + kGood);
    behind.answer();
    EXPECT_EQ(behind.dialog.server_read(), kGood + "\r\n" + kGood);
    EXPECT_EQ(behind.rig.records(abi::RecordType::kHttp).size(), 2U);
  }
}

TEST(EmptyLine, AnEmptyLineBetweenResponsesPassesWhereverItIsCut) {
  const std::string line = "\r\n";
  for (const bool asked : {true, false}) {  // the next request has come before the line
    for (std::size_t cut = 1; cut <= line.size(); ++cut) {
      EngineRig rig;
      Dialog dialog(rig);
      dialog.handshake();
      dialog.client(kGood);
      dialog.server(kOk);
      dialog.client_ack();
      if (asked) dialog.client(kGood);
      dialog.server(line.substr(0, cut));
      if (!asked) dialog.client(kGood);
      dialog.server(line.substr(cut) + kOk);
      EXPECT_EQ(dialog.client_read(), kOk + line + kOk) << asked << " " << cut;
      const auto records = rig.records(abi::RecordType::kHttp);
      ASSERT_EQ(records.size(), 2U) << asked << " " << cut;
      EXPECT_EQ(records[1].header.response_bytes, kOk.size());
    }
  }
}

}  // namespace
}  // namespace sluice::test
