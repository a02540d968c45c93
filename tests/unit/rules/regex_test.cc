// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/regex.h"
#include "dataplane/rules/operator/regex_meter.h"

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
  std::uint64_t work = 1000;
  RegexCursor cursor(regex, base::as_bytes("aab"), context, work);
  std::vector<std::string> found;
  while (cursor.next() == RegexOutcome::kMatch) found.push_back(text_of(context, 0));
  EXPECT_EQ(found, (std::vector<std::string>{"aa", "", ""}));
  const Regex pairs = compile("(\\w)=(\\d)");
  RegexCursor second(pairs, base::as_bytes("a=1;b=2;c"), context, work);
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
  RegexContext small = std::move(RegexContext::create({.match = 10, .depth = 10}).value());
  EXPECT_EQ(small.match(regex, base::as_bytes("aaaaab")), RegexOutcome::kLimit);
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

/// What the metered code takes of a subject; nothing where it is beyond `work`.
std::uint64_t work_of(const Regex& regex, const std::string& subject, std::uint64_t work) {
  auto context = make_context();
  std::uint64_t left = work;
  const auto outcome = context.match_metered(regex, base::as_bytes(subject), 0, left);
  EXPECT_EQ(outcome == RegexOutcome::kLimit, left == 0);
  return work - left;
}

TEST(Regex, CountsTheBytesThatItRunsOver) {
  // Two alternatives, so that PCRE2's machine code does not see that the next start fails as well.
  const Regex regex = compile("<(?:[^>]*x|[^>]*y)");
  const std::string end = ">x";  // PCRE2 would not begin without an x
  // Every start runs to the end and back: the square of the length, some bytes a unit.
  const std::uint64_t once = work_of(regex, std::string(2000, '<') + end, 1u << 30);
  const std::uint64_t twice = work_of(regex, std::string(4000, '<') + end, 1u << 30);
  EXPECT_GT(once, 2 * 2000U * 1000 / RegexMeter::kMeterBytes);
  EXPECT_GT(twice, 3 * once);
  // What does not grow faster than the value is not counted.
  EXPECT_EQ(work_of(compile("<a{1,9}>|union"), std::string(4000, '<'), 100), 0U);
}

TEST(Regex, EndsAMatchThatTakesMoreThanItsWork) {
  auto context = make_context();
  const Regex regex = compile("<[^>]*x");
  const std::string subject = std::string(40'000, '<') + ">x";
  std::uint64_t work = 10'000;
  EXPECT_EQ(context.match_metered(regex, base::as_bytes(subject), 0, work), RegexOutcome::kLimit);
  EXPECT_EQ(work, 0U);
  // The same subject takes the same work, and then the context is as good as before.
  work = 10'000;
  EXPECT_EQ(context.match_metered(regex, base::as_bytes("<<abx"), 0, work), RegexOutcome::kMatch);
  EXPECT_EQ(text_of(context, 0), "<<abx");
  EXPECT_GT(work, 9'900U);
}

TEST(Regex, CountsGroupsThatAreRepeatedAndWhatReferencesCompare) {
  const std::string letters = std::string(3000, 'a') + "dc";
  EXPECT_GT(work_of(compile("^(?:a|b)*c"), letters, 1u << 30), 3000U);
  EXPECT_GT(work_of(compile("^(?:ab?){20,}c"), letters, 1u << 30), 3000U);
  // 1,500 times up to 1,500 bytes are compared.
  EXPECT_GT(work_of(compile("^(a+)\\1c"), letters, 1u << 30), 1500U * 700 / 32);
  // Free spacing is not followed: a callout at every item.
  EXPECT_GT(work_of(compile("(?x) ^ (?: a | b )* c"), letters, 1u << 30), 3000U);
}

TEST(Regex, MeteredCodeMatchesWhatThePlainCodeMatches) {
  const std::string patterns[] = {"a(b*)?c",
                                  "(?:x|(a)+|[^]a-c]){2,}?\\]",
                                  "[[:alpha:]*+]+(?=b*$)",
                                  "(?i)(?<name>a+)-\\k<name>{1,3}",
                                  "\\Qa*\\E*b",
                                  "(?#a*)b{,3}|c{2",
                                  "(?>a+|b)*+c",
                                  "(?|(a)|(b))*\\1",
                                  "x{16,}y?|[\\]*]*z",
                                  "(?(?=a)ab*|c+)d",
                                  "\\x{61}{16}|\\c[*",
                                  "(?(DEFINE)(?<q>b+))a(?&q)*c"};
  const std::string subjects[] = {"abbbc",
                                  "aac",
                                  "xaaa]",
                                  "qbb",
                                  "Aa-aA-a",
                                  "a**b",
                                  "b{,3}c{2",
                                  "ababc",
                                  "abba",
                                  "*]*z",
                                  "abbbd",
                                  "ccd",
                                  "\x1b\x1b",
                                  "a",
                                  std::string(20, 'a'),
                                  std::string(17, 'x') + "y",
                                  "abbc",
                                  "a*",
                                  "bbb",
                                  "]]]"};
  auto context = make_context();
  for (const std::string& pattern : patterns) {
    const Regex regex = compile(pattern);
    for (const std::string& subject : subjects) {
      const auto plain = context.match(regex, base::as_bytes(subject));
      const std::size_t groups = context.group_count();
      const std::string whole = text_of(context, 0);
      std::uint64_t work = 100'000;
      EXPECT_EQ(context.match_metered(regex, base::as_bytes(subject), 0, work), plain)
          << pattern << " in " << subject;
      EXPECT_EQ(context.group_count(), groups) << pattern << " in " << subject;
      EXPECT_EQ(text_of(context, 0), whole) << pattern << " in " << subject;
    }
  }
}

TEST(RegexMeter, WritesCalloutsWhereWorkGrows) {
  EXPECT_EQ(metered_pattern("a*b+?c{64}d{2,}+f{63}").value(),
            "a*(?C1)b+?(?C1)c{64}(?C1)d{2,}+(?C1)f{63}");
  EXPECT_EQ(metered_pattern("ab*|cd*e?f*").value(), "ab*(?C1)|c(?C1)d*(?C1)e?(?C1)f*(?C1)");
  // Small repetitions one behind the other multiply.
  EXPECT_EQ(metered_pattern("a{0,7}b{0,6}c{3}d{0,9}").value(), "a{0,7}b{0,6}c{3}(?C1)d{0,9}");
  EXPECT_EQ(metered_pattern("a?b?c?d?e?f?g?h?").value(), "a?b?c?d?e?f?g?(?C1)h?");
  const std::string two = "(?:a|ab)";
  EXPECT_EQ(metered_pattern(two + two + two + two + two + two + two + two).value(),
            two + two + two + two + two + two + two + "(?C1)" + two);
  EXPECT_EQ(metered_pattern("(?:a|(b))*[)*(]\\(*").value(), "(?:(?C1)a|(b))*(?C1)[)*(]\\(*(?C1)");
  EXPECT_EQ(metered_pattern("(?<n>a)(?i:b)(?=c)\\1\\g{-1}").value(),
            "(?<n>a)(?i:b)(?=c)(?C2)\\1(?C2)\\g{-1}");
  EXPECT_EQ(metered_pattern("[]*]{,2}{3").value(), "[]*]{,2}{3");
  EXPECT_EQ(metered_pattern("(?x)a *"), std::nullopt);
  EXPECT_EQ(metered_pattern("\\Qa*\\E"), std::nullopt);
  EXPECT_EQ(metered_pattern("(?R)?"), std::nullopt);
}

}  // namespace
}  // namespace sluice::rules
