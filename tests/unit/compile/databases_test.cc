// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/databases.h"

#include <gtest/gtest.h>
#include <hs/hs.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iterator>

#include "controlplane/compile/pattern_databases.h"

namespace sluice::compile {
namespace {

namespace fs = std::filesystem;

/// A cache of its own for each test.
class Cache : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("sluice-databases-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static Expression pattern(const std::string& text) { return {text, HS_FLAG_DOTALL, 0, false}; }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  void age(int days) const {
    for (const auto& each : fs::directory_iterator(folder_)) {
      fs::last_write_time(each.path(), fs::file_time_type::clock::now() - std::chrono::days(days));
    }
  }

  fs::path folder_;
};

TEST_F(Cache, WhatNobodyAsksForIsForgotten) {
  int bad = -1;
  DatabaseMaker first(folder_.string());
  ASSERT_TRUE(first.make({pattern("abc")}, bad).ok());
  ASSERT_TRUE(first.make({pattern("def")}, bad).ok());
  ASSERT_FALSE(first.make({pattern("(")}, bad).ok()) << "a failure is remembered as well";
  ASSERT_EQ(files(), 3U);
  age(kCacheDays + 1);
  DatabaseMaker second(folder_.string());
  ASSERT_TRUE(second.make({pattern("def")}, bad).ok());
  EXPECT_EQ(second.cached(), 1U);
  second.forget_unused();
  EXPECT_EQ(files(), 1U);
  DatabaseMaker third(folder_.string());
  ASSERT_TRUE(third.make({pattern("def")}, bad).ok());
  EXPECT_EQ(third.cached(), 1U);
}

TEST_F(Cache, WhatIsNotOursStays) {
  fs::create_directories(folder_ / "kept");
  age(1000);
  DatabaseMaker(folder_.string()).forget_unused();
  EXPECT_EQ(files(), 1U);
}

/// A rule more in front of the others compiles that rule alone.
TEST_F(Cache, APatternIsKnownWhateverStandsBesideIt) {
  DatabaseMaker first(folder_.string());
  EXPECT_FALSE(PatternDatabases(first).make({pattern("abc[0-9]")}).bytes.empty());
  DatabaseMaker second(folder_.string());
  PatternDatabases more(second);
  EXPECT_FALSE(more.make({pattern("before")}).bytes.empty());
  EXPECT_FALSE(more.make({pattern("abc[0-9]")}).bytes.empty());
  EXPECT_EQ(second.made(), 1U);
  EXPECT_EQ(second.cached(), 1U);
}

TEST(PatternDatabases, WhatHyperscanCannotTakeExactlyIsPrefilteredOrLeftOut) {
  DatabaseMaker maker("");
  PatternDatabases databases(maker);
  EXPECT_FALSE(databases.make({{"abc", 0, 0, false}}).prefiltered);
  const PatternDatabase assertion = databases.make({{"abc(?=def)", 0, 0, false}});
  EXPECT_FALSE(assertion.bytes.empty());
  EXPECT_TRUE(assertion.prefiltered);
  EXPECT_TRUE(databases.make({{"(", 0, 0, false}}).bytes.empty());
}

}  // namespace
}  // namespace sluice::compile
