// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/render.h"
#include "controlplane/ctl/report_page.h"
#include "controlplane/telemetry/report.h"
#include "tests/unit/publish/dataplane_side.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

TEST(Render, NumbersAreRightAlignedAndTextLeft) {
  Table table({"name", "count"});
  table.row({"a", "1"});
  table.row({"long name", "12,345"});
  EXPECT_EQ(table.text(),
            "name       count\n"
            "a               1\n"
            "long name  12,345\n");
}

TEST(Render, GroupsThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(counted(0, "packet"), "0 packets");
  EXPECT_EQ(counted(1, "packet"), "1 packet");
  EXPECT_EQ(counted(1234, "packet"), "1,234 packets");
}

TEST(Render, ControlBytesOfStrangersNeverReachATerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
  EXPECT_EQ(printable(std::string(300, 'x'), 10), "xxxxxxxxxx...");
}

TEST(Render, SinceIsADurationOrADate) {
  const std::uint64_t now = 100'000ULL * 1'000'000'000;
  std::uint64_t since = 0;
  EXPECT_TRUE(parse_since("1h", now, since));
  EXPECT_EQ(since, now - 3'600ULL * 1'000'000'000);
  EXPECT_TRUE(parse_since("15min", now, since));
  EXPECT_EQ(since, now - 900ULL * 1'000'000'000);
  EXPECT_TRUE(parse_since("400d", now, since));
  EXPECT_EQ(since, 1u);
  EXPECT_TRUE(parse_since("1970-01-02", now, since));
  EXPECT_EQ(since, 86'400ULL * 1'000'000'000);
  for (const char* wrong : {"", "h", "15", "yesterday", "1x", "-5min", "+5min"}) {
    EXPECT_FALSE(parse_since(wrong, now, since)) << wrong;
  }
}

class ReportTest : public ::testing::Test {
 protected:
  void add(const char* verdict, const char* url, unsigned latency_us,
           const char* service = "orders") {
    std::ofstream(path_, std::ios::app)
        << R"({"timestamp":"2026-11-24T11:00:0)" << count_++ % 10
        << R"(.000000+0000","event_type":"http","src_ip":"10.0.0.9","http":{"http_method":"GET",)"
        << R"("url":")" << url << R"("},"sluice":{"verdict":")" << verdict
        << R"(","reason":"rules","service":")" << service << R"(","latency_us":)" << latency_us
        << R"(,"duration_us":5000}})"
        << "\n";
  }
  json report(const std::string& service = {}) {
    // 2026-11-24T10:59:00Z and two minutes on.
    const std::uint64_t since = 1'795'517'940ULL * 1'000'000'000;
    return json::parse(
        telemetry::report_json(path_, since, since + 120ULL * 1'000'000'000, service));
  }
  test::TempFolder folder_;
  std::string path_ = folder_.path() + "/eve.json";
  int count_ = 0;
};

TEST_F(ReportTest, SumsRecordsByVerdictRouteAndTime) {
  for (int i = 0; i < 7; ++i) add("pass", "/a/b?x=1", 3);
  for (int i = 0; i < 2; ++i) add("block", "/a/b/c", 90);
  add("monitor", "/z", 3);
  std::ofstream(path_, std::ios::app) << "{\"half a line";
  const json sums = report();
  EXPECT_EQ(sums["requests"], 10);
  EXPECT_EQ(sums["blocked"], 2);
  EXPECT_EQ(sums["monitored"], 1);
  EXPECT_EQ(sums["routes"][0]["key"], "GET /a/b");
  EXPECT_EQ(sums["routes"][0]["count"], 9);
  EXPECT_EQ(sums["routes"][0]["blocked"], 2);
  EXPECT_EQ(sums["added_us"]["p50"], 4);    // 3 us lie below 4
  EXPECT_EQ(sums["added_us"]["p99"], 128);  // 90 us lie below 128
  std::uint64_t passed = 0;
  for (const json& bucket : sums["buckets"]) passed += bucket["pass"].get<std::uint64_t>();
  EXPECT_EQ(passed, 7u);
  EXPECT_EQ(sums["buckets"].size(), telemetry::kReportBuckets);
}

TEST_F(ReportTest, SumsOneServiceAloneOrEachInARow) {
  for (int i = 0; i < 3; ++i) add("pass", "/a", 3);
  add("block", "/a", 3);
  add("block", "/b", 3, "billing");
  const auto drop = [&](const char* verdict, const char* service, int packets) {
    std::ofstream(path_, std::ios::app)
        << R"({"timestamp":"2026-11-24T11:00:00.000000+0000","event_type":"drop","drop":{"packets":)"
        << packets << R"(},"sluice":{"verdict":")" << verdict
        << R"(","reason":"tcp_mss","service":")" << service << "\"}}\n";
  };
  drop("block", "orders", 2);
  drop("pass", "orders", 4);
  drop("block", "billing", 8);
  json sums = report();
  EXPECT_EQ(sums["dropped_packets"], 10) << "without those that passed";
  ASSERT_EQ(sums["services"].size(), 2u) << sums["services"];
  EXPECT_EQ(sums["services"][0]["key"], "orders");
  EXPECT_EQ(sums["services"][0]["count"], 4);
  EXPECT_EQ(sums["services"][0]["blocked"], 1);
  sums = report("billing");
  EXPECT_EQ(sums["service"], "billing");
  EXPECT_EQ(sums["requests"], 1);
  EXPECT_EQ(sums["blocked"], 1);
  EXPECT_EQ(sums["dropped_packets"], 8);
  EXPECT_EQ(sums["services"].size(), 1u);
  EXPECT_NE(report_page(sums, "main").find("service billing"), std::string::npos);
  EXPECT_EQ(report_page(report(), "main").find("service "), std::string::npos);
  EXPECT_EQ(report("other")["requests"], 0);
}

TEST_F(ReportTest, ARuleIsOneRowWhateverItsMessagesQuote) {
  const auto alert = [&](const char* verdict, unsigned id, const std::string& message) {
    std::ofstream(path_, std::ios::app)
        << R"({"timestamp":"2026-11-24T11:00:00.000000+0000","event_type":"alert","alert":{"rules":[{"id":)"
        << id << R"(,"msg":")" << message << R"(","blocking":true}]},"sluice":{"verdict":")"
        << verdict << R"(","reason":"rules"}})"
        << "\n";
  };
  alert("block", 7, "score 15 of 5");
  alert("block", 7, "score 10 of 5");
  alert("block", 8, "always the same");
  alert("pass", 9, "of a staged generation");
  const json sums = report();
  ASSERT_EQ(sums["rules"].size(), 2u) << sums["rules"];
  EXPECT_EQ(sums["rules"][0]["key"], "7 score ...");
  EXPECT_EQ(sums["rules"][0]["count"], 2);
  EXPECT_EQ(sums["rules"][1]["key"], "8 always the same");
  EXPECT_EQ(sums["reasons"][0]["count"], 3) << "none for what passed";
}

TEST_F(ReportTest, PageShowsTheFiguresAndLoadsNothing) {
  for (int i = 0; i < 3; ++i) add("pass", "/<script>alert(1)</script>", 3);
  const std::string page = report_page(report(), "main");
  EXPECT_NE(page.find("<b id=requests>3</b>"), std::string::npos);
  EXPECT_NE(page.find("id=verdicts-plot"), std::string::npos);
  EXPECT_NE(page.find("data-total=3"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
  for (const char* foreign : {"<script", "http://", "https://", "src=", "href="}) {
    EXPECT_EQ(page.find(foreign), std::string::npos) << foreign;
  }
}

TEST_F(ReportTest, NothingYetIsAPageToo) {
  const std::string page = report_page(report(), "main");
  EXPECT_NE(page.find("<b id=requests>0</b>"), std::string::npos);
  EXPECT_NE(page.find("none"), std::string::npos);
}

}  // namespace
}  // namespace sluice::ctl
