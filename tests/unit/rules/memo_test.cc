// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/memo.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/rules/ruleset_fixture.h"

namespace sluice::rules {
namespace {

constexpr std::uint16_t kChecks[] = {3, 8};

class MemoTest : public testing::Test {
 protected:
  MemoTest() { base::seeded_hash_key(key_, 1); }
  Memo::Place place(std::uint32_t set, std::string_view value) {
    return memo_.place_of(key_, set, base::as_bytes(value));
  }
  Memo memo_ = std::move(Memo::create()).value();
  base::HashKey key_;
};

TEST_F(MemoTest, KnowsAValueForItsRulesetAndSetAlone) {
  Memo::put(place(5, "value"), 1, 5, kChecks);
  const Memo::Entry* entry = Memo::find(place(5, "value"), 1, 5);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(std::vector<std::uint16_t>(entry->found().begin(), entry->found().end()),
            (std::vector<std::uint16_t>{3, 8}));
  EXPECT_EQ(Memo::find(place(5, "value"), 2, 5), nullptr);
  EXPECT_EQ(Memo::find(place(6, "value"), 1, 6), nullptr);
  EXPECT_EQ(Memo::find(place(5, "valuf"), 1, 5), nullptr);
  EXPECT_EQ(Memo::find(place(5, std::string_view("value\0", 6)), 1, 5), nullptr);
  EXPECT_EQ(Memo::find(place(5, ""), 1, 5), nullptr);
}

TEST_F(MemoTest, FloodedItForgetsTheOldAndKeepsTheNew) {
  const std::size_t count = 4 * abi::kMemoEntries;
  for (std::size_t i = 0; i < count; ++i) Memo::put(place(1, std::to_string(i)), 1, 1, {});
  std::size_t known = 0;
  for (std::size_t i = 0; i < count; ++i) {
    known += Memo::find(place(1, std::to_string(i)), 1, 1) != nullptr ? 1 : 0;
  }
  EXPECT_LE(known, abi::kMemoEntries);
  EXPECT_GT(known, abi::kMemoEntries * 9 / 10);
  EXPECT_NE(Memo::find(place(1, std::to_string(count - 1)), 1, 1), nullptr);
}

TEST(MemoInTransactions, TheSameValueIsScannedOnceAndJudgedAlikeEachTime) {
  const test::LoadedRules rules = test::load_text(
      "SecRule ARGS \"@rx (?i)union\\s+select\" \"id:1,phase:2,pass,log\"\n"
      "SecRule ARGS|REQUEST_HEADERS \"@contains evil\" \"id:2,phase:2,pass,log\"\n");
  ASSERT_NE(rules.ruleset, nullptr);
  test::Judge judge(*rules.ruleset);
  const std::string request =
      "GET /?a=union+select&b=evil&c=plain HTTP/1.1\r\nHost: a\r\nX: evil\r\n\r\n";
  const test::Judged first = judge.run(request);
  const std::uint64_t scans = judge.counts().scans, confirms = judge.counts().regex_confirms;
  const std::uint64_t misses = judge.counts().memo_misses;
  EXPECT_GT(misses, 0u);
  for (int again = 0; again < 3; ++again) {
    const test::Judged next = judge.run(request);
    EXPECT_EQ(next.ids, (std::vector<std::uint32_t>{1, 2}));
    EXPECT_EQ(next.ids, first.ids);
    EXPECT_EQ(next.targets, first.targets);
  }
  EXPECT_EQ(judge.counts().scans, scans);
  EXPECT_EQ(judge.counts().memo_misses, misses);
  // What is found is confirmed each time.
  EXPECT_GT(judge.counts().regex_confirms, confirms);
}

}  // namespace
}  // namespace sluice::rules
