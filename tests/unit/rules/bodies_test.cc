// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "tests/unit/rules/judge_twice.h"

namespace sluice::rules::test {
namespace {

TEST(Evaluator, HB1_ABodyOfAnUnlistedTypeIsLookedAtRaw) {
  const std::string rules =
      "SecRule REQUEST_BODY \"@contains <attack\" \"id:1,phase:2,deny,log\"\n";
  for (const char* type : {"application/x-odd", "text/plain", "application/x+json", ""}) {
    EXPECT_EQ(judge(rules, post(type, "{\"a\":\"<attack\"}")).ids, Ids{1}) << type;
  }
}

/// A query is no more than the value that it is: in JSON, as an argument, alone or one of a batch.
TEST(Evaluator, HB17_AnAttackInAQueryIsFoundInEveryForm) {
  const std::string rules =
      "SecRule REQUEST_HEADERS:Content-Type \"@contains json\" "
      "\"id:9,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
      "SecRule ARGS|REQUEST_BODY \"@contains <attack\" \"id:1,phase:2,deny,log\"\n";
  std::string aliases;
  for (int i = 0; i < 1000; ++i) aliases += "a" + std::to_string(i) + ":login(n:1) ";
  const std::string query = "{" + aliases + "z:login(n:\\\"<attack\\\")}";
  EXPECT_EQ(judge(rules, post("application/json", R"({"query":")" + query + R"("})")).ids, Ids{1});
  EXPECT_EQ(
      judge(rules, post("application/json", R"([{"query":"{a}"},{"query":")" + query + R"("}])"))
          .ids,
      Ids{1});
  EXPECT_EQ(judge(rules, post("application/json",
                              R"({"query":"query($n:ID){a}","variables":{"n":"<attack"}})"))
                .ids,
            Ids{1});
  EXPECT_EQ(judge(rules, post("application/graphql", query)).ids, Ids{1});
  EXPECT_EQ(judge(rules, get("/graphql?query={login(n:%22%3Cattack%22)}")).ids, Ids{1});
}

TEST(Evaluator, HB19_AttacksInBinaryMessagesAreFoundRaw) {
  const std::string rules =
      "SecRule REQUEST_BODY \"@contains <attack\" \"id:1,phase:2,deny,log\"\n";
  using namespace std::string_literals;
  const std::string field = "\x08\x96\x01\x12\x0f"s + "name <attack now";  // protobuf: 1, then text
  EXPECT_EQ(judge(rules, post("application/x-protobuf", field)).ids, Ids{1});
  // gRPC: the length lies by one; MessagePack and CBOR: a map with a text.
  EXPECT_EQ(judge(rules, post("application/grpc", "\0\0\0\0\x15"s + field)).ids, Ids{1});
  EXPECT_EQ(judge(rules, post("application/msgpack", "\x81\xa1\x61\xa7<attack"s)).ids, Ids{1});
  EXPECT_EQ(judge(rules, post("application/cbor", "\xa1\x61\x61\x67<attack"s)).ids, Ids{1});
}

// What each slice has to find again, here 900 values past 40 exclusions each, takes longer than the
// slice is: it must judge more than one value all the same.
TEST(Slices, FindingValuesAgainIsNoProgress) {
  constexpr std::uint64_t kCycles = 40'000;  // some 15 us
  std::string exclusions, body;
  for (int i = 0; i < 40; ++i) exclusions += "|!ARGS:q" + std::to_string(100 + i);
  for (int i = 0; i < 900; ++i) body += "&k" + std::to_string(100 + i) + "=abc" + std::to_string(i);
  const LoadedRules loaded = load_text("SecRequestBodyAccess On\nSecRule ARGS" + exclusions +
                                       " \"@rx abc\\d\" \"id:1,phase:2,pass,setvar:tx.n=+1\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge judge(*loaded.ruleset);
  judge.slice_cycles = kCycles;
  judge.tx_names = {"n"};
  const Judged judged = judge.run(post("application/x-www-form-urlencoded", body.substr(1)));
  EXPECT_EQ(judged.tx, std::vector<std::string>{"900"});
  EXPECT_GT(judge.stops, 5U);
  EXPECT_LT(judge.stops, 450U);
}

}  // namespace
}  // namespace sluice::rules::test
