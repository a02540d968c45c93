// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "controlplane/api/follow.h"
#include "controlplane/api/handlers.h"
#include "controlplane/api/http_server.h"
#include "controlplane/api/settings.h"
#include "controlplane/ctl/client.h"
#include "controlplane/publish/file_io.h"
#include "dataplane/base/clock.h"
#include "tests/unit/publish/dataplane_side.h"

namespace sluice::api {
namespace {

using nlohmann::json;

/// A whole daemon without its main(): publisher, collector and the server on a real socket.
class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    paths_.shm = folder_.path() + "/shm";
    paths_.state = folder_.path() + "/state";
    paths_.run = folder_.path() + "/run";
    paths_.policy = folder_.path() + "/policy.yaml";
    std::filesystem::create_directories(paths_.run);
    std::ofstream(paths_.policy) << "good";
    publisher_ = std::make_unique<publish::Publisher>(
        paths_,
        [](const publish::BuildRequest& request) {
          publish::BuildResult result;
          const std::string text = publish::read_file(request.policy).value();
          if (text == "bad") {
            result.errors.push_back({request.policy, 3, 7, "unknown key 'mod': mode?"});
            return result;
          }
          result.sources.push_back({request.policy, text});
          const std::string image = test::make_image(request.generation, text);
          result.image.assign(image.begin(), image.end());
          return result;
        },
        publish::PublishOptions{});
    EXPECT_TRUE(publisher_->open().ok());
    telemetry::CollectorOptions options;
    options.shm = paths_.shm;
    options.state = paths_.state;
    options.eve.path = folder_.path() + "/log/eve.json";
    collector_ = std::make_unique<telemetry::Collector>(options);
    services_.emplace(
        Services{*publisher_, *collector_, "1.2", "abc", "main", options.eve.path, nullptr});
    server_ = std::make_unique<HttpServer>(
        [this](const Request& request) { return handle(*services_, request); });
    const auto up = server_->listen_unix(paths_.socket());
    EXPECT_TRUE(up.ok());
  }
  json get(const std::string& path, const std::map<std::string, std::string>& parameters = {}) {
    return json::parse(ctl::get(paths_.socket(), path, parameters).body);
  }
  json post(const std::string& path, const json& body) {
    return json::parse(ctl::post(paths_.socket(), path, body.dump()).body);
  }
  void step() { collector_->step(base::monotonic_now(), base::wall_now()); }

  test::TempFolder folder_;
  publish::Paths paths_;
  std::unique_ptr<publish::Publisher> publisher_;
  std::unique_ptr<telemetry::Collector> collector_;
  std::optional<Services> services_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(ApiTest, StatusHasTheShapeOfTheInterface) {
  json status = get("/v1/status");
  EXPECT_EQ(status["daemon"]["pid"], ::getpid());
  EXPECT_EQ(status["daemon"]["version"], "1.2");
  EXPECT_EQ(status["dataplane"]["state"], "stopped");
  EXPECT_TRUE(status["dataplane"]["pid"].is_null());
  EXPECT_TRUE(status["generation"]["live"].is_null());
  EXPECT_EQ(status["bypass"], false);
  test::DataplaneSide dataplane(paths_.shm, {});
  step();
  ASSERT_EQ(post("/v1/push", json::object())["state"], "live");
  status = get("/v1/status");
  EXPECT_EQ(status["dataplane"]["state"], "running");
  EXPECT_EQ(status["dataplane"]["workers"].size(), 2u);
  EXPECT_EQ(status["links"][0]["name"], "lan0");
  EXPECT_EQ(status["links"][0]["outside"]["up"], true);
  EXPECT_EQ(status["generation"]["live"], 1);
  EXPECT_TRUE(status["generation"]["staged"].is_null());
}

TEST_F(ApiTest, PushSaysGenerationStateAndTimes) {
  test::DataplaneSide dataplane(paths_.shm, {});
  const json answer = post("/v1/push", {{"policy", paths_.policy}});
  EXPECT_EQ(answer["generation"], 1);
  EXPECT_EQ(answer["state"], "live");
  EXPECT_TRUE(answer["errors"].empty());
  EXPECT_TRUE(answer["compile_ms"].is_number());
  EXPECT_TRUE(answer["publish_ms"].is_number());
  EXPECT_EQ(answer["exit"], 0);
}

TEST_F(ApiTest, ErrorsCarryTheirPlace) {
  test::DataplaneSide dataplane(paths_.shm, {});
  std::ofstream(paths_.policy) << "bad";
  const json answer = post("/v1/push", json::object());
  EXPECT_EQ(answer["state"], "refused");
  EXPECT_EQ(answer["exit"], 3);
  EXPECT_EQ(answer["errors"][0]["file"], paths_.policy);
  EXPECT_EQ(answer["errors"][0]["line"], 3);
  EXPECT_EQ(answer["errors"][0]["column"], 7);
}

TEST_F(ApiTest, EveryControlActionIsAuditedWithItsActor) {
  post("/v1/mode", {{"mode", "monitor"}});
  post("/v1/bypass", {{"on", true}});
  post("/v1/push", json::object());
  post("/v1/rollback", {{"generation", 9}});
  step();
  const json events = get("/v1/events", {{"type", "audit"}});
  ASSERT_EQ(events["events"].size(), 4u);
  EXPECT_EQ(events["events"][0]["audit"]["action"], "mode");
  EXPECT_EQ(events["events"][2]["audit"]["result"], "pending");
  EXPECT_EQ(events["events"][3]["audit"]["result"], "not_found");
  const std::string actor = events["events"][0]["sluice"]["actor"];
  EXPECT_TRUE(actor.starts_with("uid " + std::to_string(::getuid()))) << actor;
  EXPECT_TRUE(actor.ends_with("pid " + std::to_string(::getpid()))) << actor;
}

TEST_F(ApiTest, SwitchesReachTheControlSegment) {
  post("/v1/mode", {{"mode", "monitor"}});
  post("/v1/mode", {{"mode", "off"}, {"service", "orders"}});
  post("/v1/bypass", {{"on", true}});
  auto control = publish::ControlSegment::attach(paths_.shm);
  const abi::ControlSegment& segment = control.value().raw();
  EXPECT_EQ(segment.mode.load(), 1u);
  EXPECT_EQ(segment.bypass.load(), 1u);
  EXPECT_EQ(segment.service_modes[0].service_name_hash.load(), abi::fnv1a64("orders"));
  EXPECT_EQ(segment.service_modes[0].mode.load(), 0u);
  EXPECT_EQ(get("/v1/status")["bypass"], true);
  EXPECT_EQ(get("/v1/status")["mode"], "monitor");
  post("/v1/mode", {{"mode", "policy"}});
  EXPECT_EQ(segment.mode.load(), abi::kModeUnset);
}

TEST_F(ApiTest, WrongRequestsGetAnErrorAndChangeNothing) {
  const auto raw = [&](const std::string& path, const std::string& body) {
    return ctl::post(paths_.socket(), path, body).status;
  };
  EXPECT_EQ(raw("/v1/mode", "{\"mode\":\"sometimes\"}"), 400);
  EXPECT_EQ(raw("/v1/mode", "[1"), 400);
  EXPECT_EQ(raw("/v1/rollback", "{\"generation\":\"x\"}"), 400);
  EXPECT_EQ(raw("/v1/rollback", "{\"generation\":-1}"), 400);
  EXPECT_EQ(raw("/v1/rollback", "{\"generation\":1.5}"), 400);
  EXPECT_EQ(raw("/v1/push", "{\"policy\":12}"), 400);
  EXPECT_EQ(raw("/v1/push", "{\"polcy\":\"/x\"}"), 400);
  EXPECT_EQ(raw("/v1/stage", "[\"/x\"]"), 400);
  EXPECT_EQ(raw("/v1/mode", "{\"mode\":\"off\",\"service\":[\"web\"]}"), 400);
  EXPECT_EQ(raw("/v1/mode", "{\"mode\":\"off\",\"servce\":\"web\"}"), 400);
  EXPECT_EQ(raw("/v1/mode", "{}"), 400);
  EXPECT_EQ(raw("/v1/bypass", "{}"), 400);
  EXPECT_EQ(raw("/v1/bypass", "{\"on\":1}"), 400);
  EXPECT_EQ(raw("/v1/push", "{\"policy\":\"\"}"), 400);
  EXPECT_EQ(raw("/v1/mode", "{\"mode\":\"off\",\"service\":\"\"}"), 400);
  EXPECT_EQ(raw("/v1/promote", "{\"generation\":7}"), 400);
  EXPECT_EQ(raw("/v1/nothing", "{}"), 404);
  EXPECT_EQ(ctl::get(paths_.socket(), "/v1/explain/../x").status, 404);
  for (const char* path : {"/v1/events?limit=ten", "/v1/events?limit=-1", "/v1/events?since_ns=1h",
                           "/v1/events?client=10.0.0", "/v1/events?client=10.0.0.0/33",
                           "/v1/top?count=1x", "/v1/report?since_ns=24h"}) {
    EXPECT_EQ(ctl::get(paths_.socket(), path).status, 400) << path;
  }
  for (const char* path : {"/v1/events?limit=10&client=10.0.0.0/8", "/v1/top?count=1",
                           "/v1/report?since_ns=1&service=web"}) {
    EXPECT_EQ(ctl::get(paths_.socket(), path).status, 200) << path;
  }
  EXPECT_EQ(get("/v1/status")["mode_switch"], nullptr);
}

TEST_F(ApiTest, FollowingGoesThroughRotation) {
  const std::string eve = services_->eve_path;
  std::filesystem::create_directories(folder_.path() + "/log");
  const auto append = [&](int n) {
    std::ofstream(eve, std::ios::app) << "{\"event_type\":\"http\",\"n\":" << n << "}\n";
  };
  append(1);
  std::string cursor = get("/v1/events")["cursor"];
  append(2);
  std::filesystem::rename(eve, eve + ".20260101T000000.000.0001");
  append(3);
  std::ofstream(eve, std::ios::app) << "{\"n\":";  // half a line
  const json more = json::parse(follow_json(eve, cursor, {}));
  ASSERT_EQ(more["events"].size(), 2u);
  EXPECT_EQ(more["events"][0]["n"], 2);
  EXPECT_EQ(more["events"][1]["n"], 3);
  std::ofstream(eve, std::ios::app) << "4}\n";
  const json rest = json::parse(follow_json(eve, more["cursor"], {}));
  ASSERT_EQ(rest["events"].size(), 1u);
  EXPECT_EQ(rest["events"][0]["n"], 4);
}

TEST_F(ApiTest, StatusAnswersWhileAPushWaits) {
  test::DataplaneSide::Options side;
  side.answers = false;
  test::DataplaneSide dataplane(paths_.shm, side);
  std::thread push([&] { ctl::post(paths_.socket(), "/v1/push", "{}"); });
  ::usleep(50'000);
  const base::Nanos before = base::monotonic_now();
  get("/v1/status");
  EXPECT_LT(base::monotonic_now() - before, base::kNanosPerSecond);
  // The answer comes late, from the next dataplane: the push takes it.
  test::DataplaneSide next(paths_.shm, {});
  push.join();
  EXPECT_EQ(publisher_->live(), 1u);
}

TEST_F(ApiTest, SecondDaemonIsRefusedAndAStaleSocketTakenOver) {
  HttpServer second([](const Request&) { return Response{}; });
  EXPECT_FALSE(second.listen_unix(paths_.socket()).ok());
  const std::string stale = folder_.path() + "/stale";
  std::ofstream(stale) << "";
  HttpServer third([](const Request&) { return Response{}; });
  EXPECT_TRUE(third.listen_unix(stale).ok());
  EXPECT_EQ(ctl::get(folder_.path() + "/none", "/").exit, ctl::kUnreachable);
}

TEST(Settings, InstanceAddsItsNameToEachFolder) {
  test::TempFolder folder;
  const std::string file = folder.path() + "/sluice.yaml";
  std::ofstream(file) << "paths: { shm: /dev/shm/x, run: /run/x }\n"
                         "events: { keep: { size: 10MiB, age: 7d }, sample: 1/10 }\n"
                         "metrics: { listen: \"127.0.0.1:1\" }\n";
  const auto settings = load_settings(file, "two");
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_EQ(settings.value().paths.shm, "/dev/shm/x/two");
  EXPECT_EQ(settings.value().paths.socket(), "/run/x/two/control.sock");
  EXPECT_EQ(settings.value().paths.state, "/var/lib/sluice/two");
  EXPECT_EQ(settings.value().eve.keep_bytes, 10u << 20);
  EXPECT_EQ(settings.value().eve.keep_age_s, 7u * 86'400);
  EXPECT_EQ(load_settings(folder.path() + "/none", "main").value().paths.socket(),
            "/run/sluice/control.sock");
}

TEST(Settings, AllErrorsAtOnceWithTheirPlace) {
  test::TempFolder folder;
  const std::string file = folder.path() + "/sluice.yaml";
  std::ofstream(file) << "events:\n  keep: { size: 10, age: 7d }\n  sample: often\n";
  const auto settings = load_settings(file, "main");
  ASSERT_FALSE(settings.ok());
  EXPECT_NE(settings.error().message.find(file + ":2:17: "), std::string::npos)
      << settings.error().message;
  EXPECT_NE(settings.error().message.find(file + ":3:11: "), std::string::npos);
}

TEST(EventFilter, LetsThroughWhatEveryPartOfItNames) {
  const std::string line =
      R"({"event_type":"alert","src_ip":"10.0.0.1","alert":{"rules":[{"id":1001},{"id":7}]},)"
      R"("sluice":{"verdict":"block","reason":"rules","service":"web","client_address":"::9"}})";
  EXPECT_TRUE(EventFilter{}.wants(line));
  EXPECT_FALSE(EventFilter{}.wants(line.substr(0, line.size() - 1)));  // being written
  const auto with = [&](std::string EventFilter::*part, const char* text) {
    EventFilter filter;
    filter.verdict = "block";
    filter.*part = text;
    return filter.wants(line);
  };
  EXPECT_TRUE(with(&EventFilter::type, "alert"));
  EXPECT_FALSE(with(&EventFilter::type, "rules"));  // there, but elsewhere
  EXPECT_FALSE(with(&EventFilter::verdict, "pass"));
  EXPECT_TRUE(with(&EventFilter::reason, "rules"));
  EXPECT_FALSE(with(&EventFilter::reason, "rule"));
  EXPECT_TRUE(with(&EventFilter::service, "web"));
  EXPECT_FALSE(with(&EventFilter::service, "we"));
  const auto from = [&](const char* prefix) {
    EventFilter filter;
    filter.client = base::IpPrefix::parse(prefix);
    EXPECT_TRUE(filter.client.has_value()) << prefix;
    return filter.wants(line);
  };
  for (const char* prefix : {"10.0.0.1", "10.0.0.0/31", "10.0.0.0/8", "0.0.0.0/0", "::9", "0::0009",
                             "::/64", "::8/127", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(from(prefix)) << prefix;
  }
  for (const char* prefix :
       {"10.0.0.0", "10.0.0.2/31", "11.0.0.0/8", "::8", "::a/127", "fd00::/8"}) {
    EXPECT_FALSE(from(prefix)) << prefix;
  }
  EXPECT_TRUE(with(&EventFilter::rule, "1001"));
  EXPECT_TRUE(with(&EventFilter::rule, "7"));
  EXPECT_FALSE(with(&EventFilter::rule, "100"));
  EXPECT_TRUE(with(&EventFilter::contains, "src_ip"));
  EXPECT_FALSE(with(&EventFilter::contains, "dest_ip"));
}

}  // namespace
}  // namespace sluice::api
