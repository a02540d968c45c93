// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

/// Rules that are passed over by what a request has: each must match where it should.
#include <cstdio>

#include "tests/unit/rules/judge_twice.h"
#include "tests/unit/rules/random_values.h"

namespace sluice::rules::test {
namespace {

TEST(Gates, RulesOnHeadersMatchByWhatTheRequestHas) {
  const std::string rules =
      "SecRule REQUEST_HEADERS:X-A \"@rx ^$\" \"id:1,phase:1,pass,log\"\n"
      "SecRule REQUEST_HEADERS:X-A \"!@rx ^b$\" \"id:2,phase:1,pass,log\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"@eq 0\" \"id:3,phase:2,pass,log\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"!@eq 0\" \"id:4,phase:2,pass,log\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"@gt 1\" \"id:5,phase:2,pass,log\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"@ge 0\" \"id:6,phase:2,pass,log\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"!@eq 1\" \"id:7,phase:2,pass,log\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"!@gt 0\" \"id:8,phase:2,pass,log\"\n"
      "SecRule REQUEST_METHOD \"@streq GET\" \"id:9,phase:2,pass,log,chain\"\n"
      "SecRule REQUEST_HEADERS:X-A \"!@streq b\" \"chain\"\n"
      "SecRule &REQUEST_HEADERS:X-B \"@eq 0\"\n"
      "SecRule REQUEST_METHOD \"@streq GET\" \"id:10,phase:2,pass,log,chain,setvar:tx.seen=1\"\n"
      "SecRule REQUEST_HEADERS:X-A \"!@streq b\"\n"
      "SecRule TX:seen \"@eq 1\" \"id:11,phase:2,pass,log\"\n"
      "SecRule REQUEST_HEADERS:X-A|REQUEST_HEADERS:X-B \"!@rx ^b$\" \"id:12,phase:2,pass,log\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"@eq 2\" \"id:13,phase:3,pass,log\"\n"
      "SecRule REQUEST_COOKIES \"!@streq c\" \"id:14,phase:2,pass,log\"\n";
  EXPECT_EQ(judge(rules, get("/")).ids, (Ids{3, 6, 7, 8, 11}));
  EXPECT_EQ(judge(rules, get("/", "X-A:\r\n")).ids, (Ids{1, 2, 4, 6, 9, 10, 11, 12}));
  EXPECT_EQ(judge(rules, get("/", "x-a: b\r\n")).ids, (Ids{4, 6, 11}));
  EXPECT_EQ(judge(rules, get("/", "X-a: c\r\nX-B: d\r\n")).ids, (Ids{2, 4, 6, 10, 11, 12}));
  EXPECT_EQ(judge(rules, get("/", "X-A: b\r\nX-A: b\r\nCookie: d=e\r\n")).ids,
            (Ids{4, 5, 6, 7, 11, 14}));
  EXPECT_EQ(judge(rules, get("/", "X-A: b\r\nX-A: b\r\n"), "HTTP/1.1 200 OK\r\n\r\n").ids,
            (Ids{4, 5, 6, 7, 11, 13}));
}

TEST(Gates, MoreHeadersThanAreKeptApartAreStillLookedAt) {
  std::string rules, headers;
  Ids all;
  for (std::uint32_t i = 1; i <= 40; ++i) {
    const std::string name = "X-" + std::to_string(i);
    rules += "SecRule REQUEST_HEADERS:" + name + " \"!@streq no\" \"id:" + std::to_string(i) +
             ",phase:1,pass,log\"\n";
    headers += name + ": yes\r\n";
    all.push_back(i);
  }
  EXPECT_EQ(judge(rules, get("/", headers)).ids, all);
  EXPECT_EQ(judge(rules, get("/")).ids, Ids{});
}

TEST(Gates, ScannedRulesOnHeadersAndMethodsMatchToo) {
  const std::string rules =
      "SecRule REQUEST_METHOD \"@rx ^(?:GET|HEAD)$\" \"id:1,phase:2,pass,log,chain\"\n"
      "SecRule REQUEST_HEADERS:X-A \"!@rx ^0?$\"\n"
      "SecRule REQUEST_METHOD \"@rx ^(?:GET|HEAD)$\" "
      "\"id:2,phase:2,pass,log,chain,setvar:tx.a=1\"\n"
      "SecRule REQUEST_HEADERS:X-A \"!@rx ^0?$\"\n"
      "SecRule TX:a \"@eq 1\" \"id:3,phase:2,pass,log\"\n"
      "SecRule REQUEST_METHOD \"@streq POST\" \"id:4,phase:2,pass,log,chain\"\n"
      "SecRule &REQUEST_HEADERS:X-A \"@eq 0\"\n"
      "SecRule REQUEST_METHOD \"@streq post\" \"id:5,phase:2,pass,log\"\n"
      "SecRule REQUEST_METHOD \"!@streq POST\" \"id:6,phase:2,pass,log\"\n"
      "SecRule &REQUEST_COOKIES \"@gt 0\" \"id:7,phase:2,pass,log\"\n"
      "SecRule &REQUEST_COOKIES:c \"!@eq 0\" \"id:8,phase:2,pass,log\"\n"
      "SecRule &REQUEST_COOKIES \"@eq 0\" \"id:9,phase:2,pass,log\"\n";
  EXPECT_EQ(judge(rules, get("/")).ids, (Ids{3, 6, 9}));
  EXPECT_EQ(judge(rules, get("/", "X-A: 1\r\nCookie: c=d\r\n")).ids, (Ids{1, 2, 3, 6, 7, 8}));
  EXPECT_EQ(judge(rules, get("/", "X-A: 0\r\nCookie: d=d\r\n")).ids, (Ids{3, 6, 7}));
  EXPECT_EQ(judge(rules, post("text/plain", "a")).ids, (Ids{4, 9}));
  EXPECT_EQ(judge(rules, post("text/plain", "a", "x-a: 1\r\n")).ids, Ids{9});
}

/// The idiom of the CRS (920450): every name of a header is kept in TX, and looked for in a list.
constexpr const char* kListed =
    "SecRule REQUEST_HEADERS_NAMES \"@rx ^.*$\" \"id:1,phase:2,pass,log,capture,t:none,t:lowercase,"
    "setvar:'tx.header_name_%{tx.0}=/%{tx.0}/',chain\"\n"
    "SecRule TX:/^header_name_/ \"@within /proxy/ /lock-token/ /if/ /a_b/\" \"setvar:tx.n=+1\"\n"
    "SecRule TX:n \"@ge 1\" \"id:2,phase:2,pass,log\"\n";

TEST(Gates, ListedNamesOfHeadersAreFound) {
  EXPECT_EQ(judge(kListed, get("/")).ids, Ids{});
  EXPECT_EQ(judge(kListed, get("/", "X-Proxy: a\r\nLock: b\r\n")).ids, Ids{});
  EXPECT_EQ(judge(kListed, get("/", "Proxy: a\r\n")).ids, (Ids{1, 2}));
  EXPECT_EQ(judge(kListed, get("/", "IF: a\r\nlock-TOKEN: b\r\n")).ids, (Ids{1, 2}));
  EXPECT_EQ(judge(kListed, get("/", "a_b: c\r\n")).ids, (Ids{1, 2}));
  EXPECT_EQ(judge(kListed, get("/", "b_a: c\r\n")).ids, Ids{});
}

TEST(Gates, NamesThatAreSeenElsewhereAreKept) {
  const std::string request = get("/", "X-Other: a\r\n");
  const auto with = [](const std::string& rule) { return kListed + rule; };
  EXPECT_EQ(
      judge(with("SecRule TX:header_name_x-other \"@contains other\" \"id:3,phase:2,pass,log\""),
            request)
          .ids,
      Ids{3});
  EXPECT_EQ(
      judge(with("SecRule TX:/x-oth/ \"@contains other\" \"id:3,phase:2,pass,log\""), request).ids,
      Ids{3});
  EXPECT_EQ(
      judge(with("SecRule TX:/^header_na/ \"@contains other\" \"id:3,phase:2,pass,log\""), request)
          .ids,
      Ids{3});
  EXPECT_EQ(judge(with("SecRule TX \"@streq /x-other/\" \"id:3,phase:2,pass,log\""), request).ids,
            Ids{3});
  EXPECT_EQ(
      judge(with("SecRule ARGS:a \"@streq %{tx.header_name_x-other}\" \"id:3,phase:2,pass,log\""),
            get("/?a=/x-other/", "X-Other: a\r\n"))
          .ids,
      Ids{3});
  // TX.0 of the last name.
  EXPECT_EQ(judge(with("SecRule TX:0 \"@streq x-other\" \"id:3,phase:2,pass,log\""), request).ids,
            Ids{3});
  EXPECT_EQ(judge(with("SecAction \"id:4,phase:2,pass,nolog,setvar:tx.last=%{tx.0}\"\n"
                       "SecRule TX:last \"@streq x-other\" \"id:3,phase:2,pass,log\""),
                  request)
                .ids,
            Ids{3});
  // A pattern that only a name with a `_` brings about.
  EXPECT_EQ(judge(with("SecRule TX:/own_counter/ \"@rx .\" \"id:3,phase:2,pass,log\""),
                  get("/", "own_counter: a\r\n"))
                .ids,
            Ids{3});
}

TEST(Gates, ClientsAreComparedAsAddresses) {
  const std::string rules =
      "SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/24\" \"id:1,phase:1,pass,log\"\n"
      "SecRule REMOTE_ADDR \"!@ipMatch 192.0.2.0/24\" \"id:2,phase:1,pass,log\"\n"
      "SecRule REMOTE_ADDR \"@ipMatch 2001:db8::/32\" \"id:3,phase:1,pass,log\"\n"
      "SecRule REMOTE_ADDR \"!@ipMatch 2001:db8::/32,198.51.100.1\" \"id:4,phase:1,pass,log\"\n"
      "SecRule &REMOTE_ADDR \"!@ipMatch 192.0.2.0/24\" \"id:5,phase:1,pass,log\"\n"
      "SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/24\" \"id:6,phase:1,pass,log,t:hexEncode\"\n";
  const LoadedRules loaded = load_text(rules);
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge each(*loaded.ruleset);
  const auto from = [&](const char* client) {
    each.info.client = *base::IpAddress::parse(client);
    return each.run(get("/")).ids;
  };
  EXPECT_EQ(from("192.0.2.200"), (Ids{1, 4, 5}));
  EXPECT_EQ(from("::ffff:192.0.2.200"), (Ids{1, 4, 5}));
  EXPECT_EQ(from("198.51.100.1"), (Ids{2, 5}));
  EXPECT_EQ(from("2001:db8::1"), (Ids{2, 3, 5}));
  EXPECT_EQ(from("2001:db9::1"), (Ids{2, 4, 5}));
}

/// A rule on what another one has captured, for each pattern: no scan reads TX.
std::string rules_on_captures(const std::vector<std::string>& patterns) {
  std::string rules;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    rules += "SecRule ARGS:q \"@rx ^([\\s\\S]*)\" \"id:" + std::to_string(i + 1) +
             ",phase:2,pass,log,capture,chain\"\nSecRule TX:1 \"" + patterns[i] + "\"\n";
  }
  return rules;
}

std::string escaped(const std::string& value) {
  std::string text;
  for (const char c : value) {
    char escape[4];
    std::snprintf(escape, sizeof escape, "%%%02x", static_cast<unsigned char>(c));
    text += escape;
  }
  return text;
}

TEST(Gates, PatternsOnCapturesAreTriedOnlyWhereTheyMayMatch) {
  const LoadedRules loaded = load_text(rules_on_captures({"@rx (?i)union\\s+select|\\bsleep\\("}));
  ASSERT_NE(loaded.ruleset, nullptr);
  Judge judge(*loaded.ruleset);
  const auto tried = [&](const std::string& value, const Ids& ids) {
    const std::uint64_t before = judge.counts().regex_confirms;
    EXPECT_EQ(judge.run(get("/?q=" + escaped(value))).ids, ids) << value;
    return judge.counts().regex_confirms - before;
  };
  const std::uint64_t first_link = tried("calendars to set, a union", {});  // no "ec"
  EXPECT_EQ(tried("", {}), first_link);
  EXPECT_EQ(tried("s", {}), first_link);
  EXPECT_EQ(tried("the union of those selected", {}), first_link + 1);
  EXPECT_EQ(tried("1 UNION  SELECT", {1}), first_link + 1);
  EXPECT_EQ(tried("sleep(1)", {1}), first_link + 1);
}

TEST(Gates, NoMatchOnCapturesIsMissed) {
  const std::string rules =
      rules_on_captures({"@rx ^[a-z0-9]+$", "!@rx ^[a-z0-9]+$", "@rx ^\\x22[^\\x22]*\\x22$",
                         "@rx (?i)select|%41|\\.\\./", "!@rx (?i)select|%41|\\.\\./",
                         "@rx \\x00.|&#x?[0-9a-f]+", "@rx ^$", "@rxGlobal (?i)(?:ab|cd)c|--",
                         "@rx \\bYW[A-Z]b?|0x[0-9a-f]{2}", "@rx ^(?:/\\.){2}|\\\\u00[0-9]{2}$"});
  compile::CompileOptions plain;
  plain.scan = false;
  const LoadedRules exact = load_text(rules, plain), gated = load_text(rules);
  ASSERT_NE(exact.ruleset, nullptr);
  ASSERT_NE(gated.ruleset, nullptr);
  Judge exact_judge(*exact.ruleset), gated_judge(*gated.ruleset);
  RandomValues values(7);
  std::size_t matches = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string value = values.next();
    const std::string request = get("/?q=" + escaped(value));
    const Ids expected = exact_judge.run(request).ids;
    ASSERT_EQ(gated_judge.run(request).ids, expected) << escaped(value);
    matches += expected.size();
  }
  EXPECT_GT(matches, 8000U);
  EXPECT_LT(gated_judge.counts().regex_confirms, exact_judge.counts().regex_confirms);
}

TEST(Gates, OneTextIsFoundWhereverEachOfItsRulesWantsIt) {
  const std::string rules =
      "SecRule ARGS \"@streq abc\" \"id:1,phase:2,pass,log\"\n"
      "SecRule ARGS \"@beginsWith abc\" \"id:2,phase:2,pass,log\"\n"
      "SecRule ARGS \"@endsWith abc\" \"id:3,phase:2,pass,log\"\n"
      "SecRule ARGS \"@contains abc\" \"id:4,phase:2,pass,log\"\n";
  EXPECT_EQ(judge(rules, get("/?a=abc")).ids, (Ids{1, 2, 3, 4}));
  EXPECT_EQ(judge(rules, get("/?a=abcx")).ids, (Ids{2, 4}));
  EXPECT_EQ(judge(rules, get("/?a=xabc")).ids, (Ids{3, 4}));
  EXPECT_EQ(judge(rules, get("/?a=xabcx")).ids, (Ids{4}));
}

}  // namespace
}  // namespace sluice::rules::test
