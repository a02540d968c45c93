// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/regex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace sluice::rules {
namespace {

RegexContext make_context() { return std::move(RegexContext::create().value()); }
Regex compile(std::string_view pattern, RegexOptions options = {}) {
  return std::move(Regex::compile(pattern, options).value());
}
std::string text_of(const RegexContext& context, std::size_t group) {
  const auto bytes = context.group(group);
  return bytes ? std::string(base::as_text(*bytes)) : "-";
}

TEST(Regex, ReadsPatternsAsModSecurityV3Does) {
  auto context = make_context();
  EXPECT_EQ(context.match(compile("^b.c$"), base::as_bytes("a\nb\nc\nd")), RegexOutcome::kMatch);
  EXPECT_EQ(context.match(compile("ABC"), base::as_bytes("abc")), RegexOutcome::kNoMatch);
  EXPECT_EQ(context.match(compile("ABC", {.caseless = true}), base::as_bytes("abc")),
            RegexOutcome::kMatch);
}

TEST(Regex, GivesTheGroupsOfTheLeftmostMatch) {
  auto context = make_context();
  const Regex regex = compile("(a)(b)?(c)|(d)");
  EXPECT_EQ(regex.group_count(), 4u);
  ASSERT_EQ(context.match(regex, base::as_bytes("xxacd")), RegexOutcome::kMatch);
  EXPECT_EQ(context.group_count(), 4u);  // 0 to 3; the fourth group took no part
  EXPECT_EQ(text_of(context, 0), "ac");
  EXPECT_EQ(text_of(context, 1), "a");
  EXPECT_EQ(text_of(context, 2), "-");
  EXPECT_EQ(text_of(context, 3), "c");
  EXPECT_EQ(text_of(context, 4), "-");
  ASSERT_EQ(context.match(regex, base::as_bytes("xxacd"), 3), RegexOutcome::kMatch);
  EXPECT_EQ(text_of(context, 4), "d");
  EXPECT_EQ(context.match(regex, base::as_bytes("xxacd"), 5), RegexOutcome::kNoMatch);
  EXPECT_EQ(context.group(0), std::nullopt);
}

TEST(Regex, MatchesTheEmptyValue) {
  auto context = make_context();
  ASSERT_EQ(context.match(compile("(x*)"), Bytes()), RegexOutcome::kMatch);
  EXPECT_EQ(text_of(context, 0), "");
  EXPECT_EQ(text_of(context, 1), "");
}

TEST(Regex, TextsBetweenAnchorsMatchAsPcre2SaysWithoutIt) {
  auto context = make_context();
  for (const std::string pattern :
       {"^$", "^.*$", "^0?$", "^GET$", "^(?:GET|HEAD)$", "^(?:|a)$", "^(?:a|a-b)$", "^a|b$",
        "^(?:a)|(?:b)$", "^(a|b)$", "^ab?$", "^a\\$", "^a?b$", "^/%@=_-$"}) {
    const Regex own = compile(pattern), pcre2 = compile("(?:" + pattern + ")");
    EXPECT_EQ(pcre2.is_whole_match(Bytes()), std::nullopt) << "the other side is PCRE2's";
    for (const std::string subject :
         {"",  "\n", "0",  "00",  "GET", "HEAD", "GETS", "get",  "GET\n", "x\nGET", "GET\nHEAD\n",
          "a", "b",  "ab", "a-b", "a$",  "a\\",  "\n\n", "a\nb", "/%@=_-"}) {
      const RegexOutcome outcome = context.match(own, base::as_bytes(subject));
      const std::size_t groups = context.group_count();
      const std::string text = text_of(context, 0), first = text_of(context, 1);
      EXPECT_EQ(outcome, context.match(pcre2, base::as_bytes(subject))) << pattern << subject;
      EXPECT_EQ(groups, context.group_count()) << pattern << subject;
      EXPECT_EQ(text, text_of(context, 0)) << pattern << subject;
      EXPECT_EQ(first, text_of(context, 1)) << pattern << subject;
    }
  }
  EXPECT_NE(compile("^(?:GET|HEAD)$").is_whole_match(base::as_bytes("GET")), std::nullopt);
  EXPECT_NE(compile("^.*$").is_whole_match(base::as_bytes("a\nb")), std::nullopt);
}

TEST(Regex, CountsEveryMatchAsPerlDoes) {
  auto context = make_context();
  const Regex regex = compile("a*");
  RegexCursor cursor(regex, base::as_bytes("aab"), context);
  std::vector<std::string> found;
  while (cursor.next() == RegexOutcome::kMatch) found.push_back(text_of(context, 0));
  EXPECT_EQ(found, (std::vector<std::string>{"aa", "", ""}));
  const Regex pairs = compile("(\\w)=(\\d)");
  RegexCursor second(pairs, base::as_bytes("a=1;b=2;c"), context);
  ASSERT_EQ(second.next(), RegexOutcome::kMatch);
  EXPECT_EQ(text_of(context, 1) + text_of(context, 2), "a1");
  ASSERT_EQ(second.next(), RegexOutcome::kMatch);
  EXPECT_EQ(text_of(context, 1) + text_of(context, 2), "b2");
  EXPECT_EQ(second.next(), RegexOutcome::kNoMatch);
  EXPECT_EQ(second.next(), RegexOutcome::kNoMatch);
}

TEST(Regex, RefusesBadPatternsAndUtfModeWithTheirPlace) {
  const auto bad = Regex::compile("a(b");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().message.find("at byte 3"), std::string::npos) << bad.error().message;
  EXPECT_FALSE(Regex::compile("(*UTF)a").ok());
  EXPECT_FALSE(Regex::compile("(*UCP)a").ok());
  EXPECT_FALSE(Regex::compile("\\x{100}").ok());
}

TEST(Regex, StopsExponentialPatternsAtTheMatchLimit) {
  auto context = make_context();
  const Regex regex = compile("^(?:a+)+$");
  ASSERT_TRUE(regex.is_jit());
  const std::string hostile = std::string(200, 'a') + "b";
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(context.match(regex, base::as_bytes(hostile)), RegexOutcome::kLimit);
  const auto taken = std::chrono::steady_clock::now() - before;
  EXPECT_LT(taken, std::chrono::milliseconds(100));
  context.set_limits({.match = 10, .depth = 10});
  EXPECT_EQ(context.match(regex, base::as_bytes("aaaaab")), RegexOutcome::kLimit);
  EXPECT_EQ(context.match(compile("abc"), base::as_bytes("xabc")), RegexOutcome::kMatch);
}

TEST(Regex, DeepRecursionEndsInALimitWithoutTouchingTheHeapOfTheProcess) {
  auto context = make_context();
  const Regex regex = compile("^(?:(a)|b|(c))*$");
  const std::string deep(2'000'000, 'a');
  const RegexOutcome outcome = context.match(regex, base::as_bytes(deep));
  EXPECT_NE(outcome, RegexOutcome::kNoMatch);
  // And the context is still good.
  EXPECT_EQ(context.match(regex, base::as_bytes("abc")), RegexOutcome::kMatch);
  EXPECT_EQ(context.match(regex, base::as_bytes("abx")), RegexOutcome::kNoMatch);
}

TEST(Regex, ManyGroupsAreCutAtTheCapacity) {
  std::string pattern, text;
  for (int i = 0; i < 100; ++i) {
    pattern += "(a)";
    text += "a";
  }
  auto context = make_context();
  ASSERT_EQ(context.match(compile(pattern), base::as_bytes(text)), RegexOutcome::kMatch);
  EXPECT_EQ(context.group_count(), abi::kRegexGroupsMax);
  EXPECT_EQ(text_of(context, abi::kRegexGroupsMax - 1), "a");
  EXPECT_EQ(context.group(abi::kRegexGroupsMax), std::nullopt);
}

TEST(Regex, TriesTheStartsThatItIsGiven) {
  RegexContext context = std::move(RegexContext::create().value());
  const Regex regex = std::move(Regex::compile("b+").value());
  const Bytes text = base::as_bytes("abba..b");
  EXPECT_EQ(context.match_between(regex, text, 0, 0), MatchOutcome::kNoMatch);
  EXPECT_EQ(context.match_between(regex, text, 0, 1), MatchOutcome::kMatch);
  EXPECT_EQ(base::as_text(*context.group(0)), "bb");
  EXPECT_EQ(context.match_between(regex, text, 3, 5), MatchOutcome::kNoMatch);
  EXPECT_EQ(context.match_between(regex, text, 3, 7), MatchOutcome::kMatch);
}

TEST(Regex, WhatLooksAtTheFirstStartIsNotTriedInPieces) {
  EXPECT_TRUE(Regex::compile("a|\\Ab|^c").value().in_pieces());
  EXPECT_FALSE(Regex::compile("\\Ga").value().in_pieces());
  EXPECT_FALSE(Regex::compile("a(*COMMIT)b").value().in_pieces());
}

}  // namespace
}  // namespace sluice::rules
