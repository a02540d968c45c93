// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/config/settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace sluice::config {
namespace {

class SettingsFile : public ::testing::Test {
 protected:
  ~SettingsFile() override { ::unlink(path_.c_str()); }
  base::Result<Settings> load(const std::string& text, const std::string& instance = "main") {
    std::ofstream(path_) << text;
    return load_settings(path_, instance);
  }
  std::string path_ = "/tmp/sluice-settings-" + std::to_string(::getpid()) + ".yaml";
};

constexpr const char* kWhole = R"(
workers: { cores: [1, 2], main_core: 0, idle: sleep }
memory:  { pool_mb: 1024, flows_max: 1000000, huge_pages: off }
links:
  - name: lan0
    inside:  { device: "0000:3b:00.0" }
    outside: { device: "net_af_packet1,iface=out0,qpairs=2" }
    mtu: 9000
    on_failure: bypass
events:  { http_records: off, request_headers: [X-Request-Id], body_digest: sha256, mask: [Cookie] }
metrics: { listen: "127.0.0.1:9464" }
paths: { shm: /dev/shm/x }
)";

TEST_F(SettingsFile, ReadsEveryKeyOfTheInterface) {
  const auto loaded = load(kWhole, "two");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const Settings& settings = loaded.value();
  EXPECT_EQ(settings.cores, (std::vector<unsigned>{1, 2}));
  EXPECT_EQ(settings.idle, Idle::kSleep);
  EXPECT_EQ(settings.pool_mb, 1024U);
  EXPECT_EQ(settings.flows_max, 1'000'000U);
  EXPECT_EQ(settings.huge_pages, HugePageUse::kOff);
  ASSERT_EQ(settings.links.size(), 1U);
  EXPECT_EQ(settings.links[0].inside, "0000:3b:00.0");
  EXPECT_EQ(settings.links[0].outside, "net_af_packet1,iface=out0,qpairs=2");
  EXPECT_EQ(settings.links[0].mtu, 9000U);
  EXPECT_EQ(settings.links[0].on_failure, OnFailure::kBypass);
  EXPECT_EQ(settings.events.http_records, HttpRecords::kNone);
  EXPECT_EQ(settings.events.request_headers, (std::vector<std::string>{"x-request-id"}));
  EXPECT_TRUE(settings.events.body_digest);
  EXPECT_EQ(settings.events.mask, (std::vector<std::string>{"cookie"}));
  EXPECT_EQ(settings.paths.shm, "/dev/shm/x/two");
  EXPECT_EQ(settings.paths.state, "/var/lib/sluice/two");
}

TEST_F(SettingsFile, ReportsEveryErrorOfOneRunWithItsPlace) {
  const auto loaded = load(R"(workers: { cores: [], idel: spin, idle: fast }
memory: { pool_mb: 1, huge_pages: "true" }
links:
  - { name: a, inside: { device: net_null0 }, outside: { device: "net_null0,size=64" }, mtu: 90 }
  - { name: a, inside: { device: net_null2 } }
link: 1
)");
  ASSERT_FALSE(loaded.ok());
  const std::string& errors = loaded.error().message;
  for (const char* expected :
       {":1:19: workers.cores wants a list",
        ":1:23: unknown key idel in workers (did you mean idle?)",
        ":1:41: workers.idle wants spin, pause or sleep", ":2:20: memory.pool_mb wants a number",
        ":2:35: memory.huge_pages wants auto, on or off", "net_null0 is named twice",
        "links.mtu wants a number", "two links named a", ":5:5: links.outside is missing",
        ":6:1: unknown key link in sluice.yaml (did you mean links?)"}) {
    EXPECT_NE(errors.find(expected), std::string::npos) << expected << "\n" << errors;
  }
}

TEST_F(SettingsFile, RefusesWhatWouldShareACoreOrAnInterface) {
  const std::string links = R"(
links:
  - { inside: { device: "net_af_packet0,iface=eth1,qpairs=2" }, outside: { device: "net_tap0,iface=eth2" } }
  - { inside: { device: "net_af_packet1,iface=eth1" }, outside: { device: net_tap1 } }
)";
  for (const char* idle : {"spin", "pause", "sleep"}) {
    const auto loaded =
        load(std::string("workers: { cores: [1, 2, 1], idle: ") + idle + " }" + links);
    ASSERT_FALSE(loaded.ok());
    const std::string& errors = loaded.error().message;
    EXPECT_NE(errors.find(":4:15: interface eth1 is named twice"), std::string::npos) << errors;
    EXPECT_EQ(errors.find("interface eth2"), std::string::npos) << errors;
    EXPECT_EQ(errors.find(":1:19: a core is named twice") == std::string::npos,
              idle == std::string("sleep"))
        << errors;
  }
}

TEST_F(SettingsFile, SaysWhereYamlIsBroken) {
  const auto loaded = load("links:\n  - { name: [\n");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().message.find(path_ + ":"), 0U) << loaded.error().message;
  EXPECT_FALSE(load("").ok());
  EXPECT_FALSE(load_settings("/nonexistent.yaml", "main").ok());
}

}  // namespace
}  // namespace sluice::config
