// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "tests/unit/rules/judge_twice.h"

namespace sluice::rules::test {
namespace {

TEST(Evaluator, ManyCandidatesOfOneCheckAreTriedOneByOne) {
  const LoadedRules loaded = load_text(
      "SecRule ARGS \"@rx attack\\d+\" \"id:1,phase:2,pass,log,setvar:tx.n=+1\"\n"
      "SecRule ARGS_NAMES \"@contains k1\" \"id:2,phase:2,pass,log,setvar:tx.n=+100\"\n");
  std::string target = "/a?x=0";
  for (int i = 0; i < 60; ++i) {
    target += "&k" + std::to_string(i) + (i % 3 == 0 ? "=attack" : "=harmless") + std::to_string(i);
  }
  Judge each(*loaded.ruleset);
  each.tx_names = {"n"};
  for (int twice = 0; twice < 2; ++twice) {
    EXPECT_EQ(each.run(get(target)).tx, std::vector<std::string>{"1120"})
        << "20 values and 11 names";
  }
}

TEST(Evaluator, CmdLineFindsWordsOfAnyCaseBehindItsOwnSigns) {
  const std::string rules =
      "SecRule ARGS \"@rx cat/etc/[a-z]+d$\" \"id:1,phase:2,pass,log,t:none,t:cmdLine\"\n"
      "SecRule ARGS \"@contains Cat\" \"id:2,phase:2,pass,log,t:none\"\n"
      "SecRule ARGS \"@rx C\" \"id:3,phase:2,pass,log,t:none,t:cmdLine\"\n"
      "SecRule ARGS \"@streq Q2F0IA==\" \"id:4,phase:2,pass,log,t:cmdLine,t:base64Encode\"\n";
  EXPECT_EQ(judge(rules, get("/?a=CaT+/ETC/PASSWD")).ids, Ids{1});
  EXPECT_EQ(judge(rules, get("/?a=Cat%09%09/etc/p%5ea%22sswd")).ids, (Ids{1, 2}));
  EXPECT_EQ(judge(rules, get("/?a=Cat+")).ids, Ids{2});
}

TEST(Evaluator, CmdLineOfAnotherChainStillLowersWhereItCounts) {
  // Both nodes start from the same bytes; scans may leave the letters alone for the first only.
  const std::string rules =
      "SecRule ARGS \"@contains zz\" \"id:1,phase:2,pass,log,t:none,t:cmdLine\"\n"
      "SecRule ARGS \"@contains 6162\" "
      "\"id:2,phase:2,pass,log,t:none,t:urlDecode,t:cmdLine,t:hexEncode\"\n";
  EXPECT_EQ(judge(rules, get("/?a=AB+c")).ids, Ids{2});
}

TEST(Evaluator, MorePartsThanAreReadFailByTheirLimit) {
  const LoadedRules loaded =
      load_text("SecRuleEngine On\nSecRule ARGS:last \"@streq x\" \"id:1,phase:2,deny,log\"\n");
  const auto parts = [](std::size_t count, const std::string& head) {
    std::string body;
    for (std::size_t i = 0; i < count; ++i) {
      body += "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n";
    }
    return body + "--B\r\nContent-Disposition: form-data; name=\"last\"\r\n" + head +
           "\r\nx\r\n--B--\r\n";
  };
  const auto reason = [&](const std::string& body) {
    Judge judge(*loaded.ruleset);
    return judge.run(post("multipart/form-data; boundary=B", body)).verdict.reason;
  };
  EXPECT_EQ(reason(parts(1023, "")), abi::Reason::kRules);
  EXPECT_EQ(reason(parts(1024, "")), abi::Reason::kHttpArgs);
  EXPECT_EQ(reason(parts(0, "X: " + std::string(4096, 'y') + "\r\n")), abi::Reason::kHttpArgs);
}

TEST(Evaluator, RegexOnArgumentBlocksWithItsStatus) {
  const std::string rules =
      "SecRule ARGS:q \"@rx attack\\d+\" \"id:1,phase:2,deny,status:418,log\"\n";
  const Judged judged = judge(rules, get("/a?q=an+attack42"));
  EXPECT_EQ(judged.ids, Ids{1});
  EXPECT_EQ(judged.targets[0], "ARGS:q");
  EXPECT_EQ(judged.values[0], "an attack42");
  EXPECT_EQ(judged.verdict.action, abi::Action::kBlock);
  EXPECT_EQ(judged.verdict.status, 418);
  EXPECT_EQ(judged.verdict.phase, 2);
  EXPECT_TRUE(judge(rules, get("/a?p=an+attack42")).ids.empty());
}

TEST(Evaluator, ScoresGrowOncePerMatchingValue) {
  const std::string rules =
      "SecRule ARGS \"@contains bad\" \"id:1,phase:2,pass,log,setvar:tx.anomaly_score=+5\"\n"
      "SecRule TX:anomaly_score \"@ge 10\" \"id:2,phase:2,deny,log\"\n";
  EXPECT_EQ(judge(rules, get("/?a=bad&b=good")).ids, (Ids{1}));
  const Judged judged = judge(rules, get("/?a=bad&b=verybad"));
  EXPECT_EQ(judged.ids, (Ids{1, 2}));
  EXPECT_EQ(judged.inbound, 10);
  EXPECT_EQ(judged.verdict.status, 403);
}

TEST(Evaluator, ScoresOfBothWaysAreToldApart) {
  const std::string parts =
      "SecAction \"id:1,phase:2,pass,nolog,setvar:tx.inbound_anomaly_score_pl1=+5,"
      "setvar:tx.outbound_anomaly_score_pl1=+4\"\n";
  const std::string sums =
      "SecAction \"id:2,phase:2,pass,nolog,setvar:tx.blocking_inbound_anomaly_score=5,"
      "setvar:tx.blocking_outbound_anomaly_score=4,setvar:tx.anomaly_score=9\"\n";
  const std::string version_3 =
      "SecAction \"id:3,phase:2,pass,nolog,setvar:tx.anomaly_score=5,"
      "setvar:tx.outbound_anomaly_score=4\"\n";
  for (const std::string& rules : {parts, parts + sums, version_3}) {
    const Judged judged = judge(rules, get("/"));
    EXPECT_EQ(judged.inbound, 5) << rules;
    EXPECT_EQ(judged.outbound, 4) << rules;
  }
}

/// Both sides of a hyphen are the same.
constexpr char kEqualParts[] =
    "SecRule ARGS \"@rx (\\w+)-(\\w+)\" \"id:1,phase:2,deny,log,capture,chain\"\n"
    "SecRule TX:2 \"@streq %{TX.1}\" \"t:none\"\n";

TEST(Evaluator, ChainsNeedEveryLinkAndSeeCaptures) {
  EXPECT_EQ(judge(kEqualParts, get("/?a=x-x")).ids, Ids{1});
  EXPECT_TRUE(judge(kEqualParts, get("/?a=x-y")).ids.empty());
}

/// As in ModSecurity 3 a link is asked once, behind all values of the rule before it.
TEST(Evaluator, CP10_ALinkSeesTheLastCaptureButEveryMatchedValue) {
  EXPECT_EQ(judge(kEqualParts, get("/?a=x-y&b=z-z")).ids, Ids{1});
  EXPECT_TRUE(judge(kEqualParts, get("/?a=z-z&b=x-y")).ids.empty());
  const std::string values =
      "SecRule ARGS \"@rx \\w-\\w\" \"id:1,phase:2,deny,log,chain\"\n"
      "SecRule MATCHED_VARS \"@streq z-z\" \"t:none\"\n";
  EXPECT_EQ(judge(values, get("/?a=x-y&b=z-z")).ids, Ids{1});
  EXPECT_EQ(judge(values, get("/?a=z-z&b=x-y")).ids, Ids{1});
}

TEST(Evaluator, CP5_PatternsThatMatchEverythingStayWithinTheBudget) {
  const LoadedRules loaded = load_text(
      "SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,log\"\n"
      "SecRule ARGS \"@rx .*\" \"id:2,phase:2,pass,log\"\n"
      "SecRule ARGS \"@rx a*\" \"id:3,phase:2,pass,log\"\n"
      "SecRule ARGS \"@pm a\" \"id:4,phase:2,pass,log\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge one(*loaded.ruleset);
  const std::string value(100000, 'a');
  const Judged judged = one.run(post("application/x-www-form-urlencoded", "a=" + value));
  EXPECT_EQ(judged.ids, (Ids{1, 2, 3, 4}));
  EXPECT_TRUE(judged.limits.empty());
  // A match, not the number of its places, is what costs: the budget has 18 for each byte.
  EXPECT_LT(judged.steps, value.size());
}

TEST(Evaluator, CP9_WhatAMacroGivesIsNotExpandedAgain) {
  const std::string rules = "SecRule ARGS:a \"@streq %{ARGS.b}\" \"id:1,phase:2,deny,log\"\n";
  EXPECT_EQ(judge(rules, get("/?a=%25{ARGS.c}&b=%25{ARGS.c}&c=x")).ids, Ids{1});
  EXPECT_TRUE(judge(rules, get("/?a=x&b=%25{ARGS.c}&c=x")).ids.empty());
}

TEST(Evaluator, TransformationsRunInOrder) {
  const std::string rules =
      "SecRule ARGS \"@rx <script\" \"id:1,phase:2,deny,log,t:none,t:urlDecodeUni,"
      "t:htmlEntityDecode,t:lowercase\"\n";
  EXPECT_EQ(judge(rules, get("/?a=%253CSCRIPT%253E")).ids, Ids{1});
  EXPECT_EQ(judge(rules, get("/?a=%26lt%3BScript")).ids, Ids{1});
  EXPECT_TRUE(judge(rules, get("/?a=script")).ids.empty());
}

TEST(Evaluator, ExclusionsAndCountsSelectMembers) {
  const std::string rules =
      "SecRule ARGS|!ARGS:free \"@contains x\" \"id:1,phase:2,pass,log\"\n"
      "SecRule &ARGS \"@gt 2\" \"id:2,phase:2,pass,log\"\n"
      "SecRule ARGS_NAMES \"@streq evil\" \"id:3,phase:2,pass,log\"\n"
      "SecRule ARGS:/^pre/ \"@streq 1\" \"id:4,phase:2,pass,log\"\n";
  EXPECT_TRUE(judge(rules, get("/?FREE=x")).ids.empty());
  EXPECT_EQ(judge(rules, get("/?a=x&b=y&free=x")).ids, (Ids{1, 2}));
  EXPECT_EQ(judge(rules, get("/?evil=1")).ids, (Ids{3}));
  EXPECT_EQ(judge(rules, get("/?prefix=1")).ids, (Ids{4}));
}

TEST(Evaluator, NegatedOperatorsLookAtUnsetScalars) {
  const std::string rules =
      "SecRule REQUEST_HEADERS:X-Api \"!@rx ^v[12]$\" \"id:1,phase:1,pass,log\"\n"
      "SecRule REQUEST_BODY \"!@rx .\" \"id:2,phase:2,pass,log\"\n";
  EXPECT_EQ(judge(rules, get("/")).ids, (Ids{2}));
  EXPECT_EQ(judge(rules, get("/", "X-Api: v3\r\n")).ids, (Ids{1, 2}));
  EXPECT_EQ(judge(rules, get("/", "X-Api: v2\r\n")).ids, (Ids{2}));
}

TEST(Evaluator, SkipAfterPassesOverRules) {
  const std::string rules =
      "SecRule REQUEST_METHOD \"@streq GET\" \"id:1,phase:1,pass,nolog,skipAfter:END\"\n"
      "SecAction \"id:2,phase:1,pass,log\"\n"
      "SecMarker END\n"
      "SecAction \"id:3,phase:1,pass,log\"\n";
  EXPECT_EQ(judge(rules, get("/")).ids, (Ids{3}));
  EXPECT_EQ(judge(rules, post("text/plain", "x")).ids, (Ids{2, 3}));
}

TEST(Evaluator, ControlsRemoveRulesAndTargets) {
  const std::string rules =
      "SecRule REQUEST_FILENAME \"@streq /free\" \"id:1,phase:1,pass,nolog,"
      "ctl:ruleRemoveById=10\"\n"
      "SecRule REQUEST_FILENAME \"@streq /part\" \"id:2,phase:1,pass,nolog,"
      "ctl:ruleRemoveTargetById=10;ARGS:token\"\n"
      "SecRule ARGS \"@contains x\" \"id:10,phase:2,deny,log,tag:'a'\"\n";
  EXPECT_EQ(judge(rules, get("/other?token=x")).ids, (Ids{10}));
  EXPECT_TRUE(judge(rules, get("/free?token=x")).ids.empty());
  EXPECT_TRUE(judge(rules, get("/part?token=x")).ids.empty());
  EXPECT_EQ(judge(rules, get("/part?other=x")).ids, (Ids{10}));
}

TEST(Evaluator, BodiesBecomeArguments) {
  const std::string rules =
      "SecRule REQUEST_HEADERS:Content-Type \"@rx ^application/json\" "
      "\"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
      "SecRule ARGS \"@streq hit\" \"id:2,phase:2,deny,log\"\n"
      "SecRule REQBODY_ERROR \"!@eq 0\" \"id:3,phase:2,pass,log\"\n"
      "SecRule FILES \"@endsWith .php\" \"id:4,phase:2,pass,log\"\n";
  EXPECT_EQ(judge(rules, post("application/x-www-form-urlencoded", "a=1&b=%68it")).ids, (Ids{2}));
  const Judged json = judge(rules, post("application/json", R"({"a":{"b":["x","hit"]}})"));
  EXPECT_EQ(json.ids, (Ids{2}));
  EXPECT_EQ(json.targets[0], "ARGS:json.a.b.array_1");
  EXPECT_EQ(judge(rules, post("application/json", "{")).ids, (Ids{3}));
  EXPECT_EQ(judge(rules, post("multipart/form-data; boundary=B",
                              "--B\r\nContent-Disposition: form-data; name=\"f\"; "
                              "filename=\"x.php\"\r\n\r\ndata\r\n--B--\r\n"))
                .ids,
            (Ids{4}));
}

TEST(Evaluator, TheSizeOfArgumentsIsThatOfThoseThatThereAre) {
  const std::string rules =
      "SecRule ARGS_COMBINED_SIZE \"@eq 3\" \"id:1,phase:1,pass,log\"\n"
      "SecRule ARGS_COMBINED_SIZE \"@eq 7\" \"id:2,phase:2,pass,log\"\n"
      "SecRule ARGS_COMBINED_SIZE \"@eq 0\" \"id:3,phase:1,pass,log\"\n";
  const std::string type = "Content-Type: application/x-www-form-urlencoded\r\n";
  EXPECT_EQ(
      judge(rules, "POST /?a=12 HTTP/1.1\r\nHost: h\r\n" + type + "Content-Length: 5\r\n\r\nb=123")
          .ids,
      (Ids{1, 2}));
  EXPECT_EQ(judge(rules, get("/")).ids, Ids{3});
}

TEST(Evaluator, DetectionOnlyMonitors) {
  const std::string rules =
      "SecRuleEngine DetectionOnly\nSecRule ARGS \"@rx x\" \"id:1,phase:2,deny,log\"\n";
  const Judged judged = judge(rules, get("/?a=x"));
  EXPECT_EQ(judged.ids, (Ids{1}));
  EXPECT_EQ(judged.verdict.action, abi::Action::kMonitor);
}

TEST(Evaluator, ResponsePhasesSeeTheResponse) {
  const std::string rules =
      "SecResponseBodyAccess On\n"
      "SecRule RESPONSE_STATUS \"@streq 500\" \"id:1,phase:3,pass,log\"\n"
      "SecRule RESPONSE_BODY \"@contains ORA-00942\" \"id:2,phase:4,deny,log\"\n";
  const Judged judged = judge(rules, get("/"),
                              "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: "
                              "9\r\n\r\nORA-00942");
  EXPECT_EQ(judged.ids, (Ids{1, 2}));
  EXPECT_EQ(judged.verdict.phase, 4);
}

TEST(Evaluator, TheLengthOfAResponseIsKnownWhereNoRuleReadsItsBody) {
  const std::string response =
      "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nORA-00942";
  const std::string length =
      "SecRule RESPONSE_CONTENT_LENGTH \"@eq 9\" \"id:1,phase:4,pass,log\"\n";
  EXPECT_EQ(judge("SecResponseBodyAccess On\n" + length, get("/"), response).ids, Ids{1});
  EXPECT_EQ(judge(length, get("/"), response).ids, Ids{});
  EXPECT_EQ(judge("SecResponseBodyAccess On\nSecResponseBodyLimit 5\n"
                  "SecResponseBodyLimitAction ProcessPartial\n"
                  "SecRule OUTBOUND_DATA_ERROR \"@eq 1\" \"id:2,phase:4,pass,log\"\n",
                  get("/"), response)
                .ids,
            Ids{2});
}

/// Of a thousand more rules, those alone are looked for that the value has the pairs of bytes for:
/// the word, and of its digits what stands behind it.
TEST(Evaluator, OfMoreRulesOnTheSameTargetsFewAreScannedFor) {
  std::string rules;
  for (int i = 1; i <= 10; ++i) {
    rules += "SecRule ARGS \"@rx word" + std::to_string(i) + "[^a]z\" \"id:" + std::to_string(i) +
             ",phase:2,deny,log,t:none,t:urlDecodeUni\"\n";
  }
  std::string more = rules;
  for (int i = 11; i <= 1010; ++i) {
    more += "SecRule ARGS \"@rx word" + std::to_string(i) + "[^a]z\" \"id:" + std::to_string(i) +
            ",phase:2,deny,log,t:none,t:urlDecodeUni\"\n";
  }
  const LoadedRules few = load_text(rules), many = load_text(more);
  ASSERT_NE(few.ruleset, nullptr);
  ASSERT_NE(many.ruleset, nullptr);
  Judge first(*few.ruleset), second(*many.ruleset);
  const std::string request = get("/?a=word5xxz&b=wordz%25&c=word1000az&d=word7az");
  (void)first.run(request);
  EXPECT_EQ(second.run(request).ids, Ids{});
  const auto looks = [](const Judge& judge) {
    return judge.counts().scans + judge.counts().regex_confirms;
  };
  EXPECT_GT(looks(first), 0U);
  EXPECT_LT(looks(second), looks(first) + 20);
  EXPECT_EQ(second.run(get("/?a=word1000yz")).ids, Ids{1000});
}

/// A header that all rules leave out by name is not scanned for them, however its name is written.
TEST(Evaluator, HeadersThatEveryRuleLeavesOutAreNotScanned) {
  const std::string left_out =
      "SecRule REQUEST_HEADERS|!REQUEST_HEADERS:X-Left \"@rx <b[^a]*>\" "
      "\"id:1,phase:1,pass,log\"\n";
  const std::string value = ": <b" + std::string(100, 'c') + ">\r\n";
  const LoadedRules one = load_text(left_out);
  ASSERT_NE(one.ruleset, nullptr);
  Judge first(*one.ruleset);
  EXPECT_EQ(first.run(get("/", "X-Left" + value + "x-LEFT" + value)).ids, Ids{});
  EXPECT_EQ(first.counts().scans, 0U);
  EXPECT_EQ(first.run(get("/", "X-Other" + value + "X-Left" + value)).ids, Ids{1});
  EXPECT_EQ(first.counts().scans, 1U);
  // Others still look at it: for the same pattern, behind other transformations, by its name.
  const LoadedRules more =
      load_text(left_out +
                "SecRule REQUEST_HEADERS|!REQUEST_HEADERS:X-Other \"@rx <b[^a]*>\" "
                "\"id:2,phase:1,pass,log\"\n"
                "SecRule REQUEST_HEADERS \"@rx <b[^a]*>\" \"id:3,phase:1,pass,log,t:lowercase\"\n"
                "SecRule REQUEST_HEADERS:x-left \"@rx <bc+>\" \"id:4,phase:1,pass,log\"\n"
                "SecRule REQUEST_HEADERS|!REQUEST_HEADERS:/left/ \"@rx <b[^d]*>\" "
                "\"id:5,phase:1,pass,log\"\n");
  ASSERT_NE(more.ruleset, nullptr);
  Judge second(*more.ruleset);
  EXPECT_EQ(second.run(get("/", "X-Left" + value)).ids, (Ids{2, 3, 4}));
  EXPECT_EQ(second.run(get("/", "X-Other" + value)).ids, (Ids{1, 3, 5}));
}

/// A ctl has left one rule of two that looks at the body: only its pattern is looked for, and what
/// is remembered of that body does not stand for all patterns.
TEST(Evaluator, BodiesAreScannedForTheRulesThatStillAsk) {
  const LoadedRules loaded = load_text(
      "SecRule REQUEST_HEADERS:X-Raw \"@streq no\" \"id:1,phase:1,pass,nolog,"
      "ctl:ruleRemoveTargetByTag=content;REQUEST_BODY\"\n"
      "SecRule ARGS:q|REQUEST_BODY \"@rx <attack\\d\" \"id:2,phase:2,pass,log,tag:content\"\n"
      "SecRule REQUEST_BODY \"@rx &other\\d\" \"id:3,phase:2,pass,log,t:none,t:lowercase\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  const std::string form = "application/x-www-form-urlencoded";
  const std::string body = "a=" + std::string(2000, 'x') + "<attack1";
  Judge judge(*loaded.ruleset);
  EXPECT_EQ(judge.run(post(form, body, "X-Raw: no\r\n")).ids, Ids{});
  EXPECT_LT(judge.counts().scan_bytes, 1000U);
  EXPECT_EQ(judge.run(post(form, body)).ids, Ids{2});
  EXPECT_EQ(judge.run(post(form, body + "&OTHER1=", "X-Raw: no\r\n")).ids, Ids{3});
}

/// Patterns that are not scanned for, over values that cost each match nearly its limit.
TEST(Evaluator, BacktrackingIsTakenFromTheBudgetOfTheRequest) {
  const LoadedRules loaded =
      load_text("SecRule ARGS \"!@rx ^x*x*x*x*y\" \"id:1,phase:2,pass,nolog,setvar:tx.n=+1\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge judge(*loaded.ruleset);
  const std::string value(55, 'x');
  const Judged few = judge.run(get("/?a=" + value + "y"));
  EXPECT_TRUE(few.limits.empty());
  EXPECT_LT(few.steps, 200U);
  std::string many = "/?";
  for (int i = 0; i < 100; ++i) many += "a" + std::to_string(i) + "=" + value + "zy&";
  const Judged judged = judge.run(get(many));
  EXPECT_EQ(judged.limits, std::vector<abi::Reason>{abi::Reason::kRuleBudget});
  EXPECT_EQ(judged.verdict.action, abi::Action::kBlock);
  EXPECT_LE(judged.steps, abi::kRuleStepsBase + (many.size() + 100) * abi::kRuleStepsPerByte);
}

/// The scan asks libinjection of a value, and two rules ask again.
TEST(Evaluator, LibinjectionReadsEachValueOnce) {
  const LoadedRules loaded = load_text(
      "SecRule ARGS \"@detectSQLi\" \"id:1,phase:2,pass,log,capture,setvar:tx.n=+1,"
      "setvar:tx.found=%{tx.0}\"\n"
      "SecRule ARGS \"@detectSQLi\" \"id:2,phase:2,pass,log,setvar:tx.n=+1\"\n"
      "SecRule ARGS \"@detectXSS\" \"id:3,phase:2,pass,log,setvar:tx.n=+1\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge judge(*loaded.ruleset);
  judge.tx_names = {"n", "found"};
  const Judged judged = judge.run(get("/?a=1'+or+'1'='1&b=%3Cscript%3E"));
  EXPECT_EQ(judged.ids, (Ids{1, 2, 3}));
  EXPECT_EQ(judged.tx, (std::vector<std::string>{"3", "s&sos"}));
  EXPECT_LE(judge.counts().injection_looks, 4U) << "two values, two operators";
  const Judged both = judge.run(get("/?a=2'+or+'2'='2'--+%3Cscript%3E"));
  EXPECT_EQ(both.ids, (Ids{1, 2, 3}));
  EXPECT_LE(judge.counts().injection_looks, 6U) << "one value that both find something in";
  std::string endless = "a=x'+or+";
  for (int i = 0; i < 20'000; ++i) endless += "-~!";
  const Judged limited = judge.run(post("application/x-www-form-urlencoded", endless));
  EXPECT_EQ(limited.limits, std::vector<abi::Reason>{abi::Reason::kRuleBudget});
  EXPECT_LE(judge.counts().injection_looks, 7U) << "a value beyond its tokens";
}

/// PCRE2's limit is one for each start of a match: a value of nothing but starts would have the
/// product of both for the price of one. It holds every pair of the pattern, or no gate let it in.
TEST(Evaluator, BacktrackingIsCountedAtEachStartOfAMatch) {
  const LoadedRules loaded = load_text(
      "SecRule ARGS \"!@rx <[^>]{0,800}(?:javascript|onload)\" "
      "\"id:1,phase:2,pass,nolog,setvar:tx.n=+1\"\n"
      "SecRule ARGS \"@rx <[^>]{0,900}(?:javascript|onload)\" \"id:2,phase:2,pass,log\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge judge(*loaded.ruleset);
  const std::string form = "application/x-www-form-urlencoded";
  const Judged hostile = judge.run(post(form, "a=onload>" + std::string(10'000, '<')));
  EXPECT_EQ(hostile.limits, std::vector<abi::Reason>{abi::Reason::kRuleBudget});
  // The same pattern far away from its limits, and with one start that needs more than others.
  const std::string prose(10'000, '.');
  EXPECT_TRUE(judge.run(post(form, "a=" + prose)).limits.empty());
  const Judged one = judge.run(post(form, "a=" + prose + "<a" + std::string(300, '.') + "onload"));
  EXPECT_EQ(one.ids, Ids{2});
  EXPECT_TRUE(one.limits.empty());
}

/// A pattern that Hyperscan looks for exactly is found in a value in which PCRE2 would begin 10,000
/// times, unless more is asked of the match than its end.
TEST(Evaluator, HyperscanDecidesWherePcreBeginsTooOften) {
  const std::string form = "application/x-www-form-urlencoded";
  const std::string starts(10'000, '<');
  const auto run = [&](const std::string& rule, const std::string& value) {
    const LoadedRules loaded = load_text(rule);
    EXPECT_NE(loaded.ruleset, nullptr);
    Judge judge(*loaded.ruleset);
    judge.tx_names = {"n", "place"};
    return judge.run(post(form, "a=" + value));
  };
  const std::vector<abi::Reason> ended{abi::Reason::kRuleBudget};

  const std::string pattern = "SecRule ARGS \"@rx <[^>]{0,900}(?:javascript|onload)";
  const Judged found =
      run(pattern + "\" \"id:1,phase:2,pass,log,capture,setvar:tx.n=+1,setvar:tx.place=%{tx.0}\"\n",
          starts + "<a onload=");
  EXPECT_TRUE(found.limits.empty());
  EXPECT_EQ(found.ids, Ids{1});
  EXPECT_EQ(found.tx, (std::vector<std::string>{"1", std::string(55, '<') + "<a onload"}));

  // Of two forms of the value the one with the word alone.
  const Judged forms =
      run(pattern + "\" \"id:2,phase:2,pass,log,multiMatch,t:urlDecodeUni,setvar:tx.n=+1\"\n",
          starts + "<a %256fnload=");
  EXPECT_TRUE(forms.limits.empty());
  EXPECT_EQ(forms.tx[0], "1");

  const Judged grouped =
      run("SecRule ARGS \"@rx <([^>]{0,900})(?:javascript|onload)\" "
          "\"id:3,phase:2,pass,log,capture\"\n",
          starts + "<a onload=");
  EXPECT_EQ(grouped.limits, ended);
  const Judged prefiltered =
      run(pattern + "(?!x)\" \"id:4,phase:2,pass,log\"\n", starts + "<a onload=");
  EXPECT_EQ(prefiltered.limits, ended);
}

TEST(Evaluator, LargerRequestsHaveMoreSteps) {
  const LoadedRules loaded =
      load_text("SecRule ARGS \"!@rx ^[a-z]+$\" \"id:1,phase:2,pass,nolog,setvar:tx.n=+1\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  std::string body;
  for (int i = 0; i < 4000; ++i) body += "name" + std::to_string(i) + "=value&";
  const Judged judged = Judge(*loaded.ruleset).run(post("application/x-www-form-urlencoded", body));
  EXPECT_GT(judged.steps, abi::kRuleStepsBase);
  EXPECT_TRUE(judged.limits.empty());
}

TEST(Evaluator, ControlsSetBodyLimits) {
  const std::string rules =
      "SecRequestBodyLimit 1000\nSecRequestBodyLimitAction Reject\n"
      "SecRule REQUEST_HEADERS:X-Large \"@streq 1\" "
      "\"id:1,phase:1,pass,nolog,ctl:requestBodyLimit=100000\"\n";
  const std::string body(5000, 'a');
  EXPECT_EQ(judge(rules, post("text/plain", body)).verdict.reason, abi::Reason::kBodyTooLarge);
  EXPECT_EQ(judge(rules, post("text/plain", body, "X-Large: 1\r\n")).verdict.action,
            abi::Action::kPass);
}

TEST(Evaluator, ReleaseGivesEverythingBack) {
  const LoadedRules loaded = load_text("SecRule ARGS \"@rx x\" \"id:1,phase:2,deny,log\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge judge(*loaded.ruleset);
  for (int i = 0; i < 100; ++i) (void)judge.run(get("/?a=x"));
  EXPECT_EQ(judge.pool_bytes_used(), 0U);
}

}  // namespace
}  // namespace sluice::rules::test
