// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/differences.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/unit/publish/dataplane_side.h"

namespace sluice::telemetry {
namespace {

using nlohmann::json;

class Differences : public ::testing::Test {
 protected:
  static Record record(std::uint64_t staged, abi::Action live, abi::Action says) {
    Record record;
    record.type = abi::RecordType::kAlert;
    record.header.staged_generation = staged;
    record.header.action = live;
    record.header.staged_action = says;
    return record;
  }
  /// Generation 8, staged at a dataplane that had judged 100: seven more, of which two differ.
  StagedDifferences some() {
    StagedDifferences some;
    some.attach(1'000, 100);
    some.judged(8, 100);
    some.note(record(8, abi::Action::kPass, abi::Action::kBlock), R"({"n":1})");
    some.note(record(8, abi::Action::kBlock, abi::Action::kPass), R"({"n":2})");
    some.judged(8, 107);
    return some;
  }
  StagedDifferences again(std::uint64_t dataplane_start, std::uint64_t requests) {
    some().save(path_);
    StagedDifferences again;
    again.load(path_);
    again.attach(dataplane_start, requests);
    return again;
  }
  test::TempFolder folder_;
  std::string path_ = folder_.path() + "/differences.json";
};

TEST_F(Differences, OutlastARestartWithWhatWasJudgedMeanwhile) {
  StagedDifferences after = again(1'000, 150);
  after.judged(8, 151);
  after.note(record(8, abi::Action::kPass, abi::Action::kMonitor), R"({"n":3})");
  const json said = json::parse(after.json());
  EXPECT_EQ(said["generation"], 8);
  EXPECT_EQ(said["judged"], 51);
  EXPECT_EQ(said["differ"], 3);
  EXPECT_EQ(said["stricter"], 2);
  EXPECT_EQ(said["weaker"], 1);
  EXPECT_EQ(said["requests"], json::parse(R"([{"n":1},{"n":2},{"n":3}])"));
}

TEST_F(Differences, GoOnAtAnotherDataplaneWithWhatThatHasJudgedSince) {
  StagedDifferences after = again(2'000, 50);
  after.judged(8, 53);
  EXPECT_EQ(json::parse(after.json())["judged"], 7 + 3);
}

TEST_F(Differences, OfAnotherGenerationBeginAnew) {
  StagedDifferences after = again(1'000, 150);
  after.judged(9, 160);
  const json said = json::parse(after.json());
  EXPECT_EQ(said["generation"], 9);
  EXPECT_EQ(said["judged"], 0) << "nobody knows how many of them it has seen";
  EXPECT_EQ(said["differ"], 0);
  EXPECT_EQ(said["requests"].size(), 0U);
}

TEST_F(Differences, OfADamagedFileAreNone) {
  for (const char* text : {"", "{", "[]", R"({"generation":8})", R"({"generation":"8"})"}) {
    std::ofstream(path_) << text;
    StagedDifferences after;
    after.load(path_);
    EXPECT_EQ(json::parse(after.json())["generation"], 0) << text;
  }
}

TEST_F(Differences, KeepTheNewestRecords) {
  StagedDifferences many = some();
  for (std::size_t i = 3; i < StagedDifferences::kRecordsKept + 3; ++i) {
    many.note(record(8, abi::Action::kPass, abi::Action::kBlock),
              "{\"n\":" + std::to_string(i) + "}");
  }
  const json said = json::parse(many.json());
  ASSERT_EQ(said["requests"].size(), StagedDifferences::kRecordsKept);
  EXPECT_EQ(said["requests"][0]["n"], 3);
  EXPECT_EQ(said["differ"], 2 + StagedDifferences::kRecordsKept);
}

}  // namespace
}  // namespace sluice::telemetry
