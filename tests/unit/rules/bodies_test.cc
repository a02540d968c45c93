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
  // Nor does a long one get by for its control characters; what a rule set passes over, it says.
  std::string many;
  while (many.size() < 2 * abi::kBodyBytesKept) many += "\x08\x96\x01\x12\x04name"s;
  EXPECT_EQ(judge(rules, post("application/x-protobuf", many)).ids, Ids{});
  EXPECT_EQ(judge(rules, post("application/x-protobuf", many + field + many)).ids, Ids{1});
}

const std::string kXmlTextRules =
    "SecRequestBodyAccess On\n"
    "SecAction \"id:9,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n"
    "SecRule XML://text() \"@rx ^(?:id|last)$\" \"id:1,phase:2,deny,log\"\n"
    "SecRule XML:/* \"@contains union select\" \"id:2,phase:2,deny,log\"\n";

TEST(XmlTexts, AreValuesOfTheirOwnBesideTheJoinedText) {
  EXPECT_EQ(judge(kXmlTextRules, post("text/xml", "<a><b>one</b><c>id</c><d>two</d></a>")).ids,
            Ids{1});
  EXPECT_EQ(judge(kXmlTextRules, post("text/xml", "<a>one id<c> id</c></a>")).ids, Ids{});
  EXPECT_EQ(judge(kXmlTextRules, post("text/xml", "<a>union <!-- -->select</a>")).ids, Ids{2});
}

/// More elements than a transaction has values for are no reason to refuse an honest document, nor
/// a place to hide in.
TEST(XmlTexts, OfManyElementsAreJudgedInBatches) {
  std::string rows;
  for (int i = 0; i < 12'000; ++i) rows += "<i>7</i>";
  const Judged honest = judge(kXmlTextRules, post("text/xml", "<a>" + rows + "</a>"));
  EXPECT_EQ(honest.verdict.action, abi::Action::kPass);
  EXPECT_EQ(honest.limits, std::vector<abi::Reason>{});
  EXPECT_FALSE(honest.exact);
  for (const std::string& body : {rows + "<b>last</b>", "<b>last</b>" + rows}) {
    EXPECT_EQ(judge(kXmlTextRules, post("text/xml", "<a>" + body + "</a>")).ids, Ids{1});
  }
}

/// Wherever the buffer of a long body ends: before the node, in it or behind it.
TEST(XmlTexts, AreFoundInLongBodies) {
  const LoadedRules loaded = load_text(kXmlTextRules);
  ASSERT_NE(loaded.ruleset, nullptr);
  const std::string rest = "<p>" + std::string(abi::kBodyBytesKept, 'y') + "</p>";
  for (std::size_t before = abi::kLongBatchBytes - 8; before < abi::kLongBatchBytes + 4; ++before) {
    const std::string text = "<p>" + std::string(before, 'x') + "</p><b>last</b>" + rest;
    EXPECT_EQ(Judge(*loaded.ruleset).run(post("text/xml", "<a>" + text + "</a>")).ids, Ids{1});
    const std::string joined = "<p>" + std::string(before, 'x') + "<!-- -->last</p>" + rest;
    EXPECT_EQ(Judge(*loaded.ruleset).run(post("text/xml", "<a>" + joined + "</a>")).ids, Ids{1});
    const std::string other = "<p>" + std::string(before, 'x') + "</p><b>lasts</b>" + rest;
    EXPECT_EQ(Judge(*loaded.ruleset).run(post("text/xml", "<a>" + other + "</a>")).ids, Ids{});
  }
}

/// A part's content is judged where it stands in the body: copies of it, each larger than the last,
/// once filled the transaction's memory for some sizes from 150 kB on.
TEST(Uploads, OfEverySizeThatIsKeptWholeAreJudged) {
  const LoadedRules loaded = load_text(
      "SecRequestBodyAccess On\n"
      "SecRule FILES_TMP_CONTENT \"@endsWith --tail\" \"id:1,phase:2,pass,log\"\n"
      "SecRule FILES_TMP_CONTENT \"@beginsWith headabc\" \"id:3,phase:2,pass,log\"\n"
      "SecRule ARGS:a \"@rx ^one\\ntwo$\" \"id:2,phase:2,pass,log\"\n");
  ASSERT_NE(loaded.ruleset, nullptr) << (loaded.errors.empty() ? "" : loaded.errors[0]);
  for (std::size_t bytes = 1000; bytes < 250'000; bytes += bytes < 100'000 ? 33'000 : 7'000) {
    std::string content = "headabc\n";
    while (content.size() < bytes) content += content.size() % 5 == 0 ? "\r\n--A x\n" : "abcdef\n";
    content += "\r\n--tail";
    const Judged judged = Judge(*loaded.ruleset)
                              .run(post("multipart/form-data; boundary=B",
                                        "--B\r\nContent-Disposition: form-data; name=\"f\"; "
                                        "filename=\"x\"\r\n\r\n" +
                                            content +
                                            "\r\n--B\r\nContent-Disposition: form-data; "
                                            "name=\"a\"\r\n\r\none\ntwo\r\n--B--\r\n"));
    EXPECT_EQ(judged.limits, std::vector<abi::Reason>{}) << bytes;
    EXPECT_EQ(judged.ids, (Ids{1, 3, 2})) << bytes;
  }
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

/// Members are collected in parts, over the lists of which a collection is made.
TEST(Slices, ARuleStopsBetweenTheMembersOfALongList) {
  const auto fields = [](const std::string& name, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "&" + name + std::to_string(i) + "=abc" + name;
    return text.substr(1);
  };
  const std::string body = fields("b", 700) + "&last=xyz";
  const std::string request = "POST /?" + fields("q", 300) +
                              " HTTP/1.1\r\nHost: a.example\r\nContent-Type: "
                              "application/x-www-form-urlencoded\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  const LoadedRules loaded = load_text(
      "SecRequestBodyAccess On\n"
      "SecRule ARGS|!ARGS:q7|!ARGS:b7 \"@rx abc(?:q|b)\" \"id:1,phase:2,pass,log,setvar:tx.n=+1\"\n"
      "SecRule ARGS \"@rx abcb|xyz\" \"id:2,phase:2,pass,log,setvar:tx.m=+1\"\n"
      "SecRule ARGS_NAMES \"@rx ^[qb]\\d\" \"id:3,phase:2,pass,log,setvar:tx.k=+1\"\n");
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge in_slices(*loaded.ruleset);
  in_slices.tx_names = {"n", "m", "k"};
  const Judged judged = in_slices.run(request);
  EXPECT_EQ(judged.tx, (std::vector<std::string>{"998", "701", "1000"}));
  EXPECT_EQ(judged.values, (std::vector<std::string>{"abcb", "xyz", "b699"}));
  EXPECT_GT(in_slices.stops, 2000U);
  Judge at_a_stretch(*loaded.ruleset);
  at_a_stretch.slice_cycles = 0;
  EXPECT_EQ(at_a_stretch.run(request).steps, judged.steps);
}

/// JSON and multipart between pieces of 16 KiB.
TEST(Slices, ABodyStopsWhileItIsDecoded) {
  const std::string rules =
      "SecRequestBodyAccess On\n"
      "SecRule REQUEST_HEADERS:Content-Type \"@contains json\" "
      "\"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
      "SecRule REQBODY_ERROR|MULTIPART_STRICT_ERROR \"@eq 1\" \"id:2,phase:2,pass,log\"\n"
      "SecRule ARGS:a|ARGS:json.a \"@endsWith end\" \"id:3,phase:2,pass,log\"\n";
  const LoadedRules loaded = load_text(rules);
  ASSERT_NE(loaded.ruleset, nullptr);
  const auto stops = [&](const std::string& type, const std::string& head, std::size_t bytes,
                         const std::string& tail) {
    const std::string request = post(type, head + std::string(bytes, '+') + "\\u0041end" + tail);
    EXPECT_EQ(judge(rules, request).ids, Ids{3}) << type << bytes;
    Judge in_slices(*loaded.ruleset);
    (void)in_slices.run(request);
    return in_slices.stops;
  };
  const std::string json = "application/json", parts = "multipart/form-data; boundary=B";
  const std::string head = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
  EXPECT_GE(stops(json, "{\"a\":\"", 60'000, "\"}"), stops(json, "{\"a\":\"", 9, "\"}") + 3);
  EXPECT_GE(stops(parts, head, 60'000, "\r\n--B--\r\n"),
            stops(parts, head, 9, "\r\n--B--\r\n") + 3);
}

/// Between the forms of a value, and between the patterns that are looked for in each.
TEST(Slices, AValueStopsBetweenItsScans) {
  std::string rules = "SecRequestBodyAccess On\n", words;
  for (int i = 0; i < 20; ++i) {
    const std::string word = "word" + std::string(1, static_cast<char>('a' + i));
    words += word + "%2f";
    rules += "SecRule ARGS \"@rx " + word + "[/(]x*\\d\" \"id:" + std::to_string(100 + i) +
             ",phase:2,pass,log,t:none" + (i % 2 == 0 ? ",t:urlDecode" : ",t:htmlEntityDecode") +
             "\"\n";
  }
  // As an argument the slashes are decoded once, and those behind %25 once more.
  std::string filler;
  while (filler.size() < 3000) filler += "%2541&#47;";
  const std::string request =
      post("application/x-www-form-urlencoded", "a=" + words + "7" + filler);
  const Judged judged = judge(rules, request);
  EXPECT_EQ(judged.ids, Ids{119});
  const LoadedRules loaded = load_text(rules);
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge in_slices(*loaded.ruleset);
  (void)in_slices.run(request);
  EXPECT_GT(in_slices.stops, 20U) << "three forms, and the patterns of each";
}

/// What the forms of a value that may stop have no room for is scanned at a stretch, at the same
/// steps; and an evaluation that is given up makes room for the next.
TEST(Slices, AValueWithTooManyLongFormsIsScannedAtAStretch) {
  const std::string hex = "t:hexEncode,";
  const std::string request = post("text/plain", std::string(250'000, 'j') + "%2f");
  const Judged judged = judge(
      "SecRequestBodyAccess On\n"
      "SecRule REQUEST_BODY \"@rx 6a6a2532(?:66)$\" \"id:1,phase:2,pass,log,t:none,t:hexEncode\"\n"
      "SecRule REQUEST_BODY \"@rx j/$\" \"id:2,phase:2,pass,log,t:none,t:urlDecode\"\n"
      "SecRule REQUEST_BODY \"@rx ^x*3{2}\" \"id:3,phase:2,pass,log,t:none," +
          hex + hex + hex + hex + "t:none," + hex + hex + hex + "t:base64Encode\"\n",
      request);
  EXPECT_EQ(judged.ids, (Ids{1, 2}));
  EXPECT_TRUE(judged.limits.empty());
}

}  // namespace
}  // namespace sluice::rules::test
