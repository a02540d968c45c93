// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "controlplane/telemetry/collector.h"
#include "dataplane/base/clock.h"
#include "tests/unit/publish/dataplane_side.h"

namespace sluice::telemetry {
namespace {

TEST(Metrics, OfAStoppedDataplaneSayThatNothingIsLiveAndNothingHangs) {
  const test::TempFolder folder;
  CollectorOptions options;
  options.shm = folder.path() + "/shm";
  options.state = folder.path();
  options.eve.path = folder.path() + "/eve.json";
  test::DataplaneSide dataplane(options.shm, {});
  dataplane.segment().live = 7;
  dataplane.counters(0).heartbeat_ns.set(1);  // long ago
  Collector collector(options);
  collector.step(1, base::wall_now());
  const auto says = [&](const char* line) {
    return collector.prometheus().find(line) != std::string::npos;
  };
  EXPECT_TRUE(says("sluice_generation{state=\"live\"} 7\n"));
  EXPECT_TRUE(says("sluice_worker_stalled{worker=\"0\"} 1\n"));
  dataplane.segment().state = static_cast<std::uint32_t>(abi::DataplaneState::kStopping);
  EXPECT_TRUE(says("sluice_dataplane_up 0\n"));
  EXPECT_TRUE(says("sluice_generation{state=\"live\"} 0\n"));
  EXPECT_TRUE(says("sluice_worker_stalled{worker=\"0\"} 0\n"));
}

}  // namespace
}  // namespace sluice::telemetry
