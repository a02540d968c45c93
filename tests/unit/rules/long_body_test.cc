// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/abi/limits.h"
#include "tests/unit/rules/ruleset_fixture.h"

namespace sluice::rules::test {
namespace {

using Texts = std::vector<std::string>;

/// What is known at a body's end only, as the rules see it, and what they see of bodies that are
/// kept whole.
class LongBodyTotals : public testing::Test {
 protected:
  static constexpr std::size_t kShort = 2'000, kLong = 300'000;

  /// The values of `variables` in phase 2, for a body of `type`.
  static Texts totals(const std::string& settings, const Texts& variables, const std::string& type,
                      const std::string& body, const std::string& query = "") {
    std::string rules = settings +
                        "SecRequestBodyAccess On\n"
                        "SecRule REQUEST_HEADERS:Content-Type json "
                        "\"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";
    Texts names;
    for (const std::string& variable : variables) {
      names.push_back("n" + std::to_string(names.size()));
      rules += "SecRule " + variable +
               " \"@unconditionalMatch\" \"id:" + std::to_string(10 + names.size()) +
               ",phase:2,pass,nolog,setvar:tx." + names.back() + "=%{MATCHED_VAR}\"\n";
    }
    const LoadedRules loaded = load_text(rules);
    EXPECT_NE(loaded.ruleset, nullptr) << (loaded.errors.empty() ? "" : loaded.errors[0]);
    if (loaded.ruleset == nullptr) return {};
    Judge judge(*loaded.ruleset);
    judge.tx_names = names;
    const Judged judged =
        judge.run("POST /p" + query + " HTTP/1.1\r\nHost: a\r\nContent-Type: " + type +
                  "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_EQ(judged.exact, body.size() <= abi::kBodyBytesKept);
    EXPECT_EQ(judged.limits, std::vector<abi::Reason>{});
    return judged.tx;
  }
  static std::string upload(std::size_t bytes, const std::string& line_end = "\r\n") {
    return "--border\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.bin\"\r\n\r\n" +
           std::string(bytes, 'f') + line_end +
           "--border\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nabc\r\n--border--\r\n";
  }
  static constexpr const char* kMultipart = "multipart/form-data; boundary=border";
};

TEST_F(LongBodyTotals, UploadsHaveTheirSizes) {
  for (const std::size_t bytes : {kShort, kLong}) {
    const std::string body = upload(bytes);
    EXPECT_EQ(totals("",
                     {"FILES_COMBINED_SIZE", "REQUEST_BODY_LENGTH", "ARGS_COMBINED_SIZE",
                      "MULTIPART_STRICT_ERROR", "MULTIPART_UNMATCHED_BOUNDARY",
                      "INBOUND_DATA_ERROR", "REQBODY_ERROR"},
                     kMultipart, body, "?q=1"),
              (Texts{std::to_string(bytes), std::to_string(body.size()), "9", "0", "2", "0", "0"}));
  }
}

TEST_F(LongBodyTotals, AFileIsSeenByItsNameAndItsSize) {
  const std::string rules =
      "SecRequestBodyAccess On\n"
      "SecRule MULTIPART_FILENAME:x.bin \"@streq x.bin\" \"id:2,phase:2,pass,log\"\n"
      "SecRule FILES:f \"@streq x.bin\" \"id:3,phase:2,pass,log\"\n"
      "SecRule FILES_SIZES \"@gt 1000\" \"id:1,phase:2,deny\"\n";
  const LoadedRules loaded = load_text(rules);
  ASSERT_NE(loaded.ruleset, nullptr);
  for (const std::size_t bytes : {kShort, kLong}) {
    const std::string body = upload(bytes);
    const Judged judged =
        Judge(*loaded.ruleset)
            .run("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " + std::string(kMultipart) +
                 "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_EQ(judged.verdict.action, abi::Action::kBlock);
    EXPECT_EQ(judged.ids, (std::vector<std::uint32_t>{2, 3, 1}));
    EXPECT_EQ(judged.targets.back(), "FILES_SIZES:f");
    EXPECT_EQ(judged.values.back(), std::to_string(bytes));
  }
}

TEST_F(LongBodyTotals, MultipartThatIsNotStrictIsSeen) {
  for (const std::size_t bytes : {kShort, kLong}) {
    EXPECT_EQ(totals("", {"MULTIPART_STRICT_ERROR", "MULTIPART_LF_LINE", "MULTIPART_DATA_BEFORE"},
                     kMultipart, upload(bytes, "\n")),
              (Texts{"1", "1", "0"}));
    EXPECT_EQ(totals("", {"MULTIPART_STRICT_ERROR", "MULTIPART_LF_LINE", "MULTIPART_DATA_BEFORE"},
                     kMultipart, "before\r\n" + upload(bytes)),
              (Texts{"1", "0", "1"}));
  }
}

/// SecRequestBodyNoFilesLimit counts what is not in a file.
TEST_F(LongBodyTotals, TheLimitForMoreThanFilesHolds) {
  const Texts errors = {"REQBODY_ERROR", "INBOUND_DATA_ERROR"};
  const std::string limit = "SecRequestBodyNoFilesLimit 1000\n";
  const std::string part = "--border\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
  for (const std::size_t bytes : {kShort, kLong}) {
    const std::string much(bytes, 'x');
    EXPECT_EQ(totals(limit, errors, "application/json", "{\"a\":\"" + much + "\"}"),
              (Texts{"1", "1"}));
    EXPECT_EQ(totals(limit, errors, "application/x-www-form-urlencoded", "a=" + much),
              (Texts{"1", "1"}));
    EXPECT_EQ(totals(limit, errors, "text/plain", much), (Texts{"0", "0"}));
    EXPECT_EQ(totals(limit, errors, kMultipart, part + much + "\r\n--border--\r\n"),
              (Texts{"1", "1"}));
    EXPECT_EQ(totals(limit, errors, kMultipart, upload(bytes)), (Texts{"0", "0"}));
  }
}

TEST_F(LongBodyTotals, ArgumentsCountOnceWhereverABatchEnds) {
  std::string many = "[1";
  std::size_t bytes_of_many = std::string("json.array_01").size();
  for (int i = 1; i < 60'000; ++i) {
    many += ",100000";
    bytes_of_many += ("json.array_" + std::to_string(i) + "100000").size();
  }
  EXPECT_EQ(totals("", {"ARGS_COMBINED_SIZE"}, "application/json", many + "]"),
            Texts{std::to_string(bytes_of_many)});
  const std::string json = "application/json", form = "application/x-www-form-urlencoded";
  for (const std::size_t bytes : {kShort, kLong, kLong + 65'530}) {
    const std::string much(bytes, 'x');
    EXPECT_EQ(totals("", {"ARGS_COMBINED_SIZE"}, json, "{\"a\":\"" + much + "\"}"),
              Texts{std::to_string(bytes + std::string("json.a").size())});
    EXPECT_EQ(totals("", {"ARGS_COMBINED_SIZE"}, form, "name=" + much + "&b=c"),
              Texts{std::to_string(bytes + 6)});
    EXPECT_EQ(totals("", {"ARGS_COMBINED_SIZE"}, form, "b=c&name=" + much),
              Texts{std::to_string(bytes + 6)});
  }
}

/// Past the rules' own bounds JSON is in error, and theirs to judge.
TEST_F(LongBodyTotals, TheRulesOwnBoundsAreForThemToJudge) {
  for (const std::size_t bytes : {kShort, kLong}) {
    const std::string body = "[\"" + std::string(bytes, 'x') + "\",1,[[[[1]]]]]";
    EXPECT_EQ(totals("", {"REQBODY_ERROR"}, "application/json", body), Texts{"0"});
    EXPECT_EQ(totals("SecArgumentsLimit 2\n", {"REQBODY_ERROR"}, "application/json", body),
              Texts{"1"});
    EXPECT_EQ(
        totals("SecRequestBodyJsonDepthLimit 3\n", {"REQBODY_ERROR"}, "application/json", body),
        Texts{"1"});
  }
}

/// What is reported of a body that is judged in batches is what is reported of one that is not.
class LongBodyMatches : public testing::Test {
 protected:
  static Judged judge(const std::string& rules, std::size_t bytes,
                      const std::string& end = "&c=bad2&a=bad1",
                      const std::string& query = "bad0") {
    const LoadedRules loaded = load_text("SecRequestBodyAccess On\n" + rules);
    EXPECT_NE(loaded.ruleset, nullptr) << (loaded.errors.empty() ? "" : loaded.errors[0]);
    if (loaded.ruleset == nullptr) return {};
    const std::string body = "a=bad1&b=" + std::string(bytes, 'x') + end;
    Judged judged = Judge(*loaded.ruleset)
                        .run("POST /?q=" + query +
                             " HTTP/1.1\r\nHost: a\r\nContent-Type: "
                             "application/x-www-form-urlencoded\r\nContent-Length: " +
                             std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_EQ(judged.exact, body.size() <= abi::kBodyBytesKept);
    return judged;
  }
  static constexpr std::size_t kSizes[] = {100, 300'000, 700'000};
  static constexpr const char* kRules =
      "SecRule REQUEST_METHOD \"@streq POST\" \"id:1,phase:1,pass,log\"\n"
      "SecRule REQUEST_HEADERS:Host \"@streq a\" \"id:2,phase:2,pass,log\"\n"
      "SecAction \"id:3,phase:2,pass,nolog,setvar:tx.sluice_score=0\"\n"
      "SecRule ARGS \"@rx ^bad\\d\" \"id:4,phase:2,pass,log,setvar:tx.sluice_score=+5\"\n";
};

TEST_F(LongBodyMatches, AreReportedOnceWhateverTheVerdict) {
  for (const std::size_t bytes : kSizes) {
    Judged judged = judge(kRules, bytes);
    EXPECT_EQ(judged.verdict.action, abi::Action::kPass);
    std::ranges::sort(judged.ids);
    EXPECT_EQ(judged.ids, (std::vector<std::uint32_t>{1, 2, 4}));
    EXPECT_GE(judged.inbound, 10);
  }
}

/// Of a first batch that ends behind a short argument nearly the whole buffer stays.
TEST_F(LongBodyMatches, OutliveWhatALargeSegmentBringsBehindThem) {
  for (const std::size_t bytes : kSizes) {
    const Judged judged =
        judge("SecRule ARGS:a \"@rx ^bad\" \"id:1,phase:2,pass,log\"\n", bytes, "");
    EXPECT_EQ(judged.ids, std::vector<std::uint32_t>{1});
    EXPECT_EQ(judged.values, Texts{"bad1"});
  }
}

TEST_F(LongBodyMatches, SayWhereInTheBodyTheyEnded) {
  constexpr std::uint64_t kBatch = 2 * abi::kLongBatchBytes;  // and what a large segment brings
  for (const std::size_t bytes : kSizes) {
    const Judged judged = judge(
        "SecRule ARGS:q \"@streq bad0\" \"id:1,phase:2,pass,log\"\n"
        "SecRule ARGS:a \"@streq bad1\" \"id:2,phase:2,pass,log\"\n"
        "SecRule ARGS:c \"@streq bad2\" \"id:3,phase:2,pass,log\"\n",
        bytes, "&c=bad2");
    ASSERT_EQ(judged.ids, (std::vector<std::uint32_t>{1, 2, 3}));
    const std::uint64_t size = 9 + bytes + 7;
    EXPECT_EQ(judged.bodies[0].second, 0U) << "of the query";
    if (bytes == 100) {
      EXPECT_EQ(judged.bodies[1].second, 0U) << "the body is kept";
      continue;
    }
    EXPECT_EQ(judged.bodies[1].first, 0U);
    EXPECT_GE(judged.bodies[1].second, 6U);
    EXPECT_LE(judged.bodies[1].second, kBatch);
    EXPECT_EQ(judged.bodies[2].second, size);
    EXPECT_LT(judged.bodies[2].first, size - 4);
    EXPECT_GE(judged.bodies[2].first, size - kBatch);
  }
}

TEST_F(LongBodyMatches, FindWhatTheClientSentForTheQuery) {
  for (const std::size_t bytes : kSizes) {
    const Judged judged = judge("SecRule ARGS \"@rx bad.0\" \"id:1,phase:2,pass,log\"\n", bytes,
                                "&c=bad2", "bad%200");
    EXPECT_EQ(judged.ids, std::vector<std::uint32_t>{1});
    EXPECT_EQ(judged.sent, Texts{"bad%200"}) << bytes;
  }
}

TEST_F(LongBodyMatches, ExplainTheVerdictWithThoseOfTheHead) {
  for (const std::size_t bytes : kSizes) {
    const Judged judged = judge(
        std::string(kRules) + "SecRule ARGS:c \"@rx ^bad\" \"id:5,phase:2,deny,log\"\n", bytes);
    EXPECT_EQ(judged.verdict.rule_id, 5U);
    EXPECT_TRUE(judged.has(1) && judged.has(2) && judged.has(4));
    EXPECT_EQ(judged.ids.back(), 5U);
  }
}

TEST_F(LongBodyMatches, GoOnBehindAVerdictThatOnlyWatches) {
  for (const std::size_t bytes : kSizes) {
    const Judged judged = judge(
        "SecRuleEngine DetectionOnly\n"
        "SecRule REQUEST_METHOD \"@streq POST\" \"id:1,phase:1,deny,log\"\n"
        "SecRule ARGS:a \"@rx ^bad\" \"id:2,phase:2,deny,log\"\n"
        "SecRule ARGS:c \"@rx ^bad\" \"id:3,phase:2,pass,log\"\n",
        bytes);
    EXPECT_EQ(judged.verdict.action, abi::Action::kMonitor);
    EXPECT_EQ(judged.verdict.rule_id, 1U);
    EXPECT_TRUE(judged.has(1) && judged.has(2) && judged.has(3)) << bytes;
  }
}

}  // namespace
}  // namespace sluice::rules::test
