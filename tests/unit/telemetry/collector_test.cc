// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/collector.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "controlplane/publish/file_io.h"
#include "dataplane/base/clock.h"
#include "tests/unit/publish/dataplane_side.h"

namespace sluice::telemetry {
namespace {

using nlohmann::json;

abi::EventHeader make_header(std::uint64_t monotonic_ns, std::uint64_t id = 1) {
  abi::EventHeader header{};
  header.time_ns = 1'795'000'000'123'456'789ULL;
  header.monotonic_ns = monotonic_ns;
  header.event_id[0] = (header.time_ns / 1'000'000) << 16;
  header.event_id[1] = id;
  header.flow_id = 42;
  header.generation = 7;
  header.source[10] = header.source[11] = 0xff;
  header.source[12] = 10;
  header.source[15] = 9;
  header.destination[0] = 0xfd;
  header.destination[15] = 2;
  header.source_port = 40000;
  header.destination_port = 80;
  header.service_index = 0xffff;
  header.limit_id = 0xffffffff;
  header.flags = abi::kEventExact;
  return header;
}

std::string match_field(std::uint32_t rule, std::string target, std::string value) {
  abi::EventRuleMatch match{};
  match.rule_id = rule;
  match.score = 5;
  match.phase = 2;
  match.blocking = 1;
  match.target_bytes = static_cast<std::uint16_t>(target.size());
  match.value_bytes = static_cast<std::uint16_t>(value.size());
  match.value_total = static_cast<std::uint32_t>(value.size());
  return std::string(reinterpret_cast<const char*>(&match), sizeof match) + target + value;
}

class CollectorTest : public ::testing::Test {
 protected:
  CollectorTest() {
    options_.shm = folder_.path() + "/shm";
    options_.state = folder_.path() + "/state";
    options_.eve.path = folder_.path() + "/log/eve.json";
    options_.stats_interval_s = 3600;
    std::filesystem::create_directories(options_.state);
  }
  std::vector<json> lines() {
    std::vector<json> all;
    std::ifstream file(options_.eve.path);
    for (std::string line; std::getline(file, line);) all.push_back(json::parse(line));
    return all;
  }
  test::TempFolder folder_;
  CollectorOptions options_;
};

TEST_F(CollectorTest, AlertHasTheFieldsOfSuricataAndOurs) {
  test::DataplaneSide dataplane(options_.shm, {});
  options_.generation = [](std::uint64_t) {
    return std::pair<std::string, std::string>(
        "", R"([{"id":942100,"msg":"SQL","severity":"CRITICAL","rev":"3","text":"SecRule ARGS"}])");
  };
  Collector collector(options_);
  abi::EventHeader header = make_header(1000);
  header.action = abi::Action::kBlock;
  header.reason = abi::Reason::kRules;
  header.rule_id = 942100;
  header.phase = 2;
  header.status = 403;
  header.score_inbound = 15;
  header.added_ns = 12'000;
  header.inspected_bytes = 412;
  header.vlan[0] = 12;
  ASSERT_TRUE(dataplane.write(
      0, 0, abi::RecordType::kAlert, header,
      {{abi::EventFieldId::kMethod, "GET"},
       {abi::EventFieldId::kUri, "/a?q=\"\xff\n"},
       {abi::EventFieldId::kHost, "orders.internal"},
       {abi::EventFieldId::kRequestHeader, "accept: */*"},
       {abi::EventFieldId::kRuleMatch, match_field(942100, "ARGS:q", "1' or 1=1")}}));
  EXPECT_EQ(collector.step(base::monotonic_now(), base::wall_now()), 1u);
  ASSERT_EQ(lines().size(), 1u);
  const json event = lines()[0];
  EXPECT_EQ(event["timestamp"], "2026-11-18T11:06:40.123456+0000");
  EXPECT_EQ(event["event_type"], "alert");
  EXPECT_EQ(event["flow_id"], 42);
  EXPECT_EQ(event["src_ip"], "10.0.0.9");
  EXPECT_EQ(event["src_port"], 40000);
  EXPECT_EQ(event["dest_ip"], "fd00::2");
  EXPECT_EQ(event["vlan"], json::parse("[12]"));
  EXPECT_EQ(event["http"]["http_method"], "GET");
  EXPECT_EQ(event["http"]["hostname"], "orders.internal");
  EXPECT_EQ(event["http"]["request_headers"]["accept"], "*/*");
  EXPECT_EQ(event["http"]["url"], "/a?q=\"\xef\xbf\xbd\n");
  EXPECT_EQ(event["http"]["url_b64"], "L2E/cT0i/wo=");
  EXPECT_EQ(event["alert"]["action"], "blocked");
  EXPECT_EQ(event["alert"]["signature_id"], 942100);
  EXPECT_EQ(event["alert"]["signature"], "SQL");
  EXPECT_EQ(event["alert"]["rev"], 3);
  EXPECT_EQ(event["alert"]["severity"], 1);
  ASSERT_EQ(event["alert"]["rules"].size(), 1u);
  EXPECT_EQ(event["alert"]["rules"][0]["id"], 942100);
  EXPECT_EQ(event["alert"]["rules"][0]["target"], "ARGS:q");
  EXPECT_EQ(event["alert"]["rules"][0]["score"], 5);
  EXPECT_EQ(event["sluice"]["reason"], "rules");
  EXPECT_EQ(event["sluice"]["verdict"], "block");
  EXPECT_EQ(event["sluice"]["value"], "1' or 1=1");
  EXPECT_EQ(event["sluice"]["scores"]["inbound"], 15);
  EXPECT_EQ(event["sluice"]["bytes"]["inspected"], 412);
  EXPECT_EQ(event["sluice"]["latency_us"], 12);
  EXPECT_EQ(event["sluice"]["generation"], 7);
  EXPECT_EQ(event["sluice"]["exact"], true);
}

TEST_F(CollectorTest, MergesAllRingsByTimeOfTheDataplane) {
  test::DataplaneSide dataplane(options_.shm, {});
  Collector collector(options_);
  for (const auto& [time, worker] :
       {std::pair{10, 0}, std::pair{40, 0}, std::pair{20, 1}, std::pair{30, 1}}) {
    ASSERT_TRUE(dataplane.write(
        static_cast<std::size_t>(worker), 1, abi::RecordType::kHttp,
        make_header(static_cast<std::uint64_t>(time), static_cast<std::uint64_t>(time)), {}));
  }
  collector.step(base::monotonic_now(), base::wall_now());
  const auto all = lines();
  ASSERT_EQ(all.size(), 4u);
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_LT(all[i - 1]["sluice"]["event_id"], all[i]["sluice"]["event_id"]);
  }
}

TEST_F(CollectorTest, WaitsForASlowerWorkerButNotLongerThanTheBound) {
  test::DataplaneSide dataplane(options_.shm, {});
  Collector collector(options_);
  const std::uint64_t now = 5'000'000'000;
  ASSERT_TRUE(dataplane.write(0, 1, abi::RecordType::kHttp, make_header(now), {}));
  EXPECT_EQ(collector.step(now + 99'000'000, base::wall_now()), 0u);
  EXPECT_EQ(collector.step(now + 100'000'000, base::wall_now()), 1u);
}

TEST_F(CollectorTest, GoesOnWithTheNextDataplaneAfterTakingWhatTheDeadOneLeft) {
  auto first = std::make_unique<test::DataplaneSide>(options_.shm, test::DataplaneSide::Options{});
  Collector collector(options_);
  std::uint64_t now = 1'000'000'000;
  collector.step(now, base::wall_now());
  ASSERT_TRUE(first->write(0, 1, abi::RecordType::kHttp, make_header(now), {}));
  first->die();
  test::DataplaneSide second(options_.shm, {});
  ASSERT_TRUE(second.write(1, 0, abi::RecordType::kAlert, make_header(now + 1, 2), {}));
  now += 200'000'000;
  collector.step(now, base::wall_now());
  collector.step(now + 200'000'000, base::wall_now());
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(CollectorTest, CountsOfADeadDataplaneAreSaidToBeItsLast) {
  test::DataplaneSide dataplane(options_.shm, {});
  options_.stats_interval_s = 1;
  Collector collector(options_);
  collector.step(1, base::wall_now());
  json counters = json::parse(collector.counters(false));
  EXPECT_EQ(counters["dataplane"]["state"], "running");
  dataplane.die();
  dataplane.segment().pid = 0;  // the test's own, which lives on
  counters = json::parse(collector.counters(false));
  EXPECT_EQ(counters["dataplane"]["state"], "stopped");
  EXPECT_FALSE(counters["workers"].empty()) << "they are still of use";
  collector.step(2'000'000'000, base::wall_now());
  const json stats = lines().back()["stats"];
  EXPECT_EQ(stats["dataplane"], "stopped");
  EXPECT_FALSE(stats.contains("uptime")) << "it is up no more";
}

TEST_F(CollectorTest, RecordsLostWhileTheDaemonWasAwayAreCounted) {
  test::DataplaneSide::Options side;
  side.ring_bytes = 4096;
  test::DataplaneSide dataplane(options_.shm, side);
  {
    Collector collector(options_);
    collector.step(1, base::wall_now());
    collector.finish();
  }
  std::uint64_t lost = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    if (!dataplane.write(0, 1, abi::RecordType::kHttp, make_header(i), {})) ++lost;
  }
  ASSERT_GT(lost, 0u);
  Collector collector(options_);
  collector.step(1'000'000'000, base::wall_now());
  const auto all = lines();
  ASSERT_EQ(all.size(), 1 + 40 - lost);
  EXPECT_EQ(all[0]["event_type"], "audit");
  EXPECT_EQ(all[0]["audit"]["action"], "events.gap");
  EXPECT_TRUE(std::string(all[0]["audit"]["detail"]).starts_with(std::to_string(lost) + " "));
}

TEST_F(CollectorTest, AFullDiskLosesRecordsCountedAndLeavesWholeLines) {
  ::signal(SIGXFSZ, SIG_IGN);
  test::DataplaneSide dataplane(options_.shm, {});
  Collector collector(options_);
  collector.step(1, base::wall_now());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 2000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  for (std::uint64_t i = 1; i <= 10; ++i) {
    ASSERT_TRUE(dataplane.write(0, 1, abi::RecordType::kHttp, make_header(i), {}));
  }
  collector.step(1'000'000'000, base::wall_now());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  const auto counted = collector.daemon_counters();
  EXPECT_EQ(counted.records_written + counted.records_lost, 10u);
  EXPECT_GT(counted.records_lost, 0u);
  EXPECT_EQ(lines().size(), counted.records_written);
  // Room again: records go on.
  ASSERT_TRUE(dataplane.write(0, 1, abi::RecordType::kHttp, make_header(99), {}));
  collector.step(2'000'000'000, base::wall_now());
  EXPECT_EQ(collector.daemon_counters().records_written, counted.records_written + 1);
}

TEST_F(CollectorTest, ExplainAnswersAfterRotationAndRestart) {
  test::DataplaneSide dataplane(options_.shm, {});
  options_.eve.rotate_bytes = 1;  // every flush rotates
  options_.generation = [](std::uint64_t) {
    return std::pair<std::string, std::string>(
        "", R"([{"id":5,"text":"SecRule ARGS \"@rx x\" id:5","file":"/r.conf","line":3}])");
  };
  std::string id;
  {
    Collector collector(options_);
    abi::EventHeader header = make_header(1, 77);
    header.action = abi::Action::kBlock;
    header.reason = abi::Reason::kRules;
    header.rule_id = 5;
    id = event_id_text(header);
    ASSERT_TRUE(dataplane.write(0, 0, abi::RecordType::kAlert, header,
                                {{abi::EventFieldId::kRuleMatch, match_field(5, "ARGS", "xx")}}));
    collector.step(1'000'000'000, base::wall_now());
  }
  ASSERT_FALSE(std::filesystem::exists(options_.eve.path));
  Collector collector(options_);
  const json answer = json::parse(collector.explain(id));
  EXPECT_EQ(answer["verdict"], "block");
  EXPECT_EQ(answer["meaning"], "a rule decided");
  ASSERT_EQ(answer["rules"].size(), 1u);
  EXPECT_EQ(answer["rules"][0]["file"], "/r.conf");
  EXPECT_EQ(answer["rules"][0]["value"], "xx");
  EXPECT_EQ(collector.explain("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "");
  EXPECT_EQ(collector.explain("no id"), "");
}

TEST_F(CollectorTest, DiskUseStaysBelowKeep) {
  EveOptions eve = options_.eve;
  eve.rotate_bytes = 1000;
  eve.keep_bytes = 5000;
  EveFile file(eve);
  for (int i = 0; i < 100; ++i) {
    file.append(std::string(199, 'x') + "\n");
    file.flush(base::wall_now());
  }
  std::uint64_t total = 0;
  for (const std::string& path : eve_files(eve.path)) total += std::filesystem::file_size(path);
  EXPECT_LE(total, 6000u);
  EXPECT_GE(total, 3000u);
}

TEST_F(CollectorTest, FilesOlderThanKeepGo) {
  EveOptions eve = options_.eve;
  eve.rotate_bytes = 1000;
  eve.keep_age_s = 3600;
  EveFile file(eve);
  const auto fill = [&](std::uint64_t wall_ns) {
    for (int i = 0; i < 10; ++i) {
      file.append(std::string(199, 'x') + "\n");
      file.flush(wall_ns);
    }
  };
  fill(base::wall_now());
  std::vector<std::string> files = eve_files(eve.path);
  ASSERT_GE(files.size(), 2U);
  const std::string oldest = files.back();
  std::filesystem::last_write_time(
      oldest, std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  fill(base::wall_now() + 20 * base::kNanosPerSecond);
  EXPECT_FALSE(std::filesystem::exists(oldest));
  EXPECT_GE(eve_files(eve.path).size(), 2U);
}

TEST_F(CollectorTest, ReopensAfterSomebodyMovedTheFile) {
  EveFile file(options_.eve);
  file.append("{\"a\":1}\n");
  file.flush(base::wall_now());
  std::filesystem::rename(options_.eve.path, options_.eve.path + ".moved");
  file.reopen();
  file.append("{\"a\":2}\n");
  file.flush(base::wall_now());
  EXPECT_EQ(publish::read_file(options_.eve.path).value(), "{\"a\":2}\n");
}

TEST_F(CollectorTest, HalfALineOfACrashSpoilsItselfOnly) {
  std::filesystem::create_directories(folder_.path() + "/log");
  std::ofstream(options_.eve.path) << "{\"a\":";
  EveFile file(options_.eve);
  file.append("{\"a\":2}\n");
  file.flush(base::wall_now());
  EXPECT_EQ(publish::read_file(options_.eve.path).value(), "{\"a\":\n{\"a\":2}\n");
}

TEST_F(CollectorTest, StagedVerdictsThatDifferAreListedWithTheirRequest) {
  test::DataplaneSide dataplane(options_.shm, {});
  dataplane.counters(0).count(abi::CounterId::kRequests, 7);  // before it was staged
  Collector collector(options_);
  std::uint64_t now = 1'000'000'000;
  collector.step(now, base::wall_now());
  dataplane.segment().staged = 8;
  collector.step(now += 10'000'000, base::wall_now());
  json answer = json::parse(collector.staged_differences());
  EXPECT_EQ(answer["generation"], 8) << "before the first request";
  EXPECT_EQ(answer["judged"], 0);
  dataplane.counters(0).count(abi::CounterId::kRequests, 1);
  dataplane.counters(1).count(abi::CounterId::kRequests, 1);
  abi::EventHeader header = make_header(1);
  header.staged_generation = 8;
  header.flags |= abi::kEventStagedDiffers;
  header.staged_action = abi::Action::kBlock;
  header.staged_reason = abi::Reason::kRules;
  header.staged_score_inbound = 5;
  // As with `http_records: off`: the verdict ring alone has it.
  ASSERT_TRUE(dataplane.write(
      0, 0, abi::RecordType::kAlert, header,
      {{abi::EventFieldId::kUri, "/orders/1"}, {abi::EventFieldId::kStagedRule, "100200"}}));
  header.staged_generation = 7;
  ASSERT_TRUE(dataplane.write(0, 0, abi::RecordType::kAlert, header, {}));
  collector.step(now += 1'000'000'000, base::wall_now());
  answer = json::parse(collector.staged_differences());
  EXPECT_EQ(answer["generation"], 8) << "a late record of the one before";
  EXPECT_EQ(answer["judged"], 2);
  EXPECT_EQ(answer["differ"], 1);
  EXPECT_EQ(answer["stricter"], 1);
  EXPECT_EQ(answer["requests"][0]["http"]["url"], "/orders/1");
  EXPECT_EQ(answer["requests"][0]["sluice"]["staged"]["rules"][0], "100200");
  EXPECT_EQ(answer["requests"][0]["sluice"]["staged"]["scores"]["inbound"], 5);
}

TEST_F(CollectorTest, MetricsCarryTheNamesOfTheInterface) {
  test::DataplaneSide dataplane(options_.shm, {});
  dataplane.counters(0).drop(abi::Reason::kTcpWindow);
  dataplane.counters(1).drop(abi::Reason::kTcpWindow);
  dataplane.counters(1).note(abi::Reason::kTcpMss);
  dataplane.segment().limit_entries_live = 7;
  dataplane.segment().limit_entries = 9;
  dataplane.segment().buffers_free[0] = 5;
  dataplane.segment().buffers[1] = 6;
  dataplane.counters(0).ports[0][0].rx_packets.add(3);
  dataplane.counters(0).requests[0][2][static_cast<std::size_t>(abi::Reason::kRules)].add(4);
  dataplane.counters(1).added_latency[0].add(2);
  dataplane.counters(1).count(abi::CounterId::kScans, 9);
  Collector collector(options_);
  collector.step(1, base::wall_now());
  const std::string text = collector.prometheus();
  for (const char* line : {
           "sluice_limit_table_entries 7\n",
           "sluice_limit_table_capacity 9\n",
           "sluice_packet_buffers_free{pool=\"frames\"} 5\n",
           "sluice_packet_buffers{pool=\"crafted\"} 6\n",
           "sluice_packets_total{worker=\"0\",port=\"lan0/outside\",direction=\"rx\"} 3\n",
           "sluice_drops_total{worker=\"0\",reason=\"tcp_window\"} 1\n",
           "sluice_drops_total{worker=\"1\",reason=\"tcp_window\"} 1\n",
           "sluice_noted_total{worker=\"1\",reason=\"tcp_mss\"} 1\n",
           "sluice_requests_total{service=\"#0\",verdict=\"block\",reason=\"rules\"} 4\n",
           "sluice_events_dropped_total{ring=\"verdict\"} 0\n",
           "sluice_flows{worker=\"0\"} 0\n",
           "sluice_held_bytes{worker=\"1\"} 0\n",
           "sluice_generation{state=\"live\"} 0\n",
           "sluice_added_latency_seconds_count 2\n",
           "sluice_added_latency_seconds_bucket{le=\"+Inf\"} 2\n",
           "sluice_stage_cycles_total{worker=\"0\",stage=\"rules\"} 0\n",
           "sluice_scans_total{worker=\"1\"} 9\n",
           "sluice_build_info{version=\"dev\",commit=\"\"} 1\n",
       }) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  const json counters = json::parse(collector.counters(true));
  EXPECT_EQ(counters["workers"][0]["drops"]["tcp_window"], 1);
  EXPECT_EQ(counters["workers"][1]["scans"], 9);
  EXPECT_TRUE(counters["workers"][0].contains("cycles"));
}

TEST(Record, CutShortAnywhereIsRefusedAndNeverReadBeyond) {
  abi::EventHeader header = make_header(1);
  header.field_count = 1;
  const std::string match = match_field(1, "ARGS:a", "value");
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  const abi::EventField field{abi::EventFieldId::kRuleMatch,
                              static_cast<std::uint16_t>(match.size())};
  bytes.append(reinterpret_cast<const char*>(&field), sizeof field);
  bytes += match;
  Record record;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::uint8_t> cut(bytes.begin(),
                                        bytes.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(decode(1, cut, record)) << size;
  }
  const std::vector<std::uint8_t> whole(bytes.begin(), bytes.end());
  ASSERT_TRUE(decode(1, whole, record));
  EXPECT_EQ(record.matches[0].target, "ARGS:a");
  EXPECT_FALSE(decode(9, whole, record));
}

TEST(RateWindow, IsTheGrowthOfTheLastSeconds) {
  RateWindow window;
  EXPECT_EQ(window.rates().requests_per_s, 0);
  CounterSums sums;
  std::uint64_t now = 50;
  window.sample(now, sums);
  EXPECT_EQ(window.rates().requests_per_s, 0) << "one sample says nothing";
  sums.requests = 1000;
  window.sample(now += base::kNanosPerSecond, sums);
  EXPECT_EQ(window.rates().requests_per_s, 1000);
  for (int second = 0; second < 7; ++second) {
    sums.requests += 10;
    sums.rx_bytes += 100;
    window.sample(now += base::kNanosPerSecond, sums);
  }
  EXPECT_EQ(window.rates().requests_per_s, 10) << "the burst is over";
  EXPECT_EQ(window.rates().rx_bits_per_s, 800);
  EXPECT_EQ(window.rates().drops_per_s, 0);
}

TEST(Top, KeepsTheBusiestOfUnboundedlyManyKeys) {
  TopTable table;
  for (int i = 0; i < 20'000; ++i) {
    table.add("rare" + std::to_string(i), false, 0);
    if (i % 4 == 0) table.add("busy", true, 1000);
  }
  const auto busiest = table.busiest(1);
  ASSERT_EQ(busiest.size(), 1u);
  EXPECT_EQ(busiest[0].key, "busy");
  EXPECT_GE(busiest[0].count, 5000u);
  EXPECT_LE(table.busiest(1'000'000).size(), TopTable::kKeysMax);
}

TEST(Top, WhatIsBusyNowStandsBeforeWhatWasBusyOnce) {
  Top top;
  Record record;
  record.type = abi::RecordType::kHttp;
  record.header = make_header(1);
  const auto request = [&](std::uint8_t client, std::uint64_t added_us) {
    record.header.source[15] = client;
    record.header.added_ns = added_us * 1000;
    top.add(record, "web");
  };
  for (int i = 0; i < 100; ++i) request(1, 10);
  for (std::uint64_t window = 1; window <= 3; ++window) top.tick(window * Top::kWindowNs);
  for (int i = 0; i < 3; ++i) request(2, 5000);
  json shown = json::parse(top.json(2));
  EXPECT_EQ(shown["clients"][0]["key"], "10.0.0.2");
  EXPECT_EQ(shown["clients"][1]["count"], 100) << "those of the whole time are not lost";
  EXPECT_EQ(shown["requests"], 103);
  top.tick(4 * Top::kWindowNs);
  top.tick(5 * Top::kWindowNs);
  request(2, 5000);
  EXPECT_GE(json::parse(top.json(2))["added_us"]["p50"], 5000) << "of late, not of all";
}

TEST(Top, RouteIsMethodAndTwoSegmentsWithoutTheQuery) {
  EXPECT_EQ(route_of("GET", "/a/b/c?d=e"), "GET /a/b");
  EXPECT_EQ(route_of("GET", "/a?x=/y/z"), "GET /a");
  EXPECT_EQ(route_of("POST", "/"), "POST /");
  EXPECT_EQ(route_of("OPTIONS", ""), "OPTIONS ");
}

}  // namespace
}  // namespace sluice::telemetry
