// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "dataplane/abi/limits.h"
#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/operator/sqli_words.h"
#include "tests/unit/rules/random_values.h"
#include "tests/unit/rules/vectors.h"

extern "C" int libinjection_sqli(const char* text, std::size_t bytes, char fingerprint[8]);
extern "C" int libinjection_xss(const char* text, std::size_t bytes);

namespace sluice::rules {
namespace {

struct Sqli {
  MatchOutcome outcome;
  std::size_t tokens, tokens_read;
  std::string fingerprint;
};

Sqli detect(const std::string& text, std::size_t tokens_left = abi::kSqliTokensMax) {
  char fingerprint[kSqliFingerprintBytes];
  SqliWork work{tokens_left, 0};
  const MatchOutcome outcome = detect_sqli(test::at_page_end(text), work, fingerprint);
  return {outcome, tokens_left - work.tokens_left, work.tokens_read, fingerprint};
}

std::string repeat(const std::string& unit, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

/// Pieces that libinjection looks at, in any order.
std::string random_statement(test::RandomValues& values) {
  static const std::vector<std::string> kPieces = {
      "<",    "<a ",         "/",           ">",   "<!--", "-->",  "<![CDATA[", " b=",
      "'",    "\"",          "`",           "&#",  "&#x",  "&#x4", "1",         "1 ",
      " or ", " select ",    "union",       "/*",  "*/",   "--",   "-",         "\n",
      "#",    "(",           ")",           ",",   "\\'",  "q'[",  "n'",        "u&'",
      "$$",   "$a$",         "@@",          "{",   "x'",   "0x1",  "1e",        ".",
      "||",   "/*!",         "sp_password", "\\N", "\xa0", "=",    "<%",        "<?",
      "</",   "javascript:", " style",      "on",  "href", "b'",   " ",         "abc"};
  std::string text;
  for (std::uint32_t pieces = values.below(10); pieces > 0; --pieces) {
    const std::uint32_t pick = values.below(static_cast<std::uint32_t>(kPieces.size()) + 1);
    text += pick < kPieces.size() ? kPieces[pick]
                                  : std::string(1, static_cast<char>(values.below(256)));
  }
  return text;
}

std::uint64_t classes_of_text(std::string_view text) { return classes_of_any(text); }

/// Words, numbers and signs that the guard lets through without libinjection, now and then.
std::string random_phrase(test::RandomValues& values) {
  static const std::vector<std::string> kPieces = {
      "blue",    "garden",  "select", "union",  "1",     "12ab", "1union",
      "0x1for",  "1e5or",   "2dand",  "group",  "by",    "is",   "not",
      "in",      "like",    "-",      "--",     "/",     "*",    ".",
      ",",       ":",       "@",      "=",      "<",     "+",    "[",
      "]",       "!",       "?",      "%",      "^",     "~",    " ",
      " ",       "\t",      "\xa0",   "\xe9",   "sleep", "null", "current_date",
      "_utf8",   "collate", "x",      "n",      "b",     "char", "int",
      "or",      "having",  "1.5f",   "u.user", "case",  "when", "a",
      "waitfor", "delay",   "0b1and", "e",      "\0",    "e1or", "funion",
      "0b12or",  "12e",     "0xor",   "1e5fis", "0or",   "=1"};
  std::string text;
  for (std::uint32_t pieces = 1 + values.below(9); pieces > 0; --pieces) {
    text += kPieces[values.below(static_cast<std::uint32_t>(kPieces.size()))];
  }
  return text;
}

TEST(SqliWords, WhatTheyExcludeLibinjectionDoesNotFind) {
  test::RandomValues values(20240612);
  std::size_t excluded = 0, found = 0;
  for (int i = 0; i < 400'000; ++i) {
    const std::string text = i % 4 == 0 ? random_statement(values) : random_phrase(values);
    char fingerprint[8] = {};
    const bool is_sqli = libinjection_sqli(text.data(), text.size(), fingerprint) != 0;
    const bool may_be = may_be_sqli(base::as_bytes(text), classes_of_text(text));
    ASSERT_TRUE(may_be || !is_sqli) << text << " is " << fingerprint << ", seed 20240612";
    excluded += may_be ? 0 : 1;
    found += is_sqli ? 1 : 0;
  }
  EXPECT_GT(excluded, 10'000U);
  EXPECT_GT(found, 5'000U);
}

TEST(SqliWords, FindsAWordBehindANumber) {
  for (const char* text : {"1.e1or 1=1", "1.e1is null", "0 0b12or 1=1", "1e5or 1=1", "0xor 1=1"}) {
    EXPECT_TRUE(may_be_sqli(base::as_bytes(std::string_view(text)), classes_of_text(text))) << text;
  }
}

TEST(SqliWords, HonestValuesNeedNoLook) {
  for (const char* text : {"select", "763e9339a8b494e57dc12cb3", "blue garden 12345",
                           "8a3f2b1c-11d2-4e5f-a0b1-c2d3e4f50617", "2024-06-11T10:30:00Z",
                           "anna.smith42@mail.example", "", "-17.5", "e/f"}) {
    EXPECT_FALSE(may_be_sqli(base::as_bytes(std::string_view(text)), classes_of_text(text)))
        << text;
  }
}

TEST(DetectSqli, GivesTheFingerprint) {
  const Sqli found = detect("1 UNION SELECT 2");
  EXPECT_EQ(found.outcome, MatchOutcome::kMatch);
  EXPECT_EQ(found.fingerprint, "1UE1");
  EXPECT_EQ(found.tokens, 0u);  // within its one a byte
  EXPECT_EQ(detect("honest text").fingerprint, "");
}

TEST(DetectSqli, AgreesWithTheWholeOfLibinjectionOverRandomStatements) {
  test::RandomValues values(20261124);
  for (int i = 0; i < 200'000; ++i) {
    const std::string text = random_statement(values);
    char expected[8] = {};
    const bool matches = libinjection_sqli(text.data(), text.size(), expected) != 0;
    const Sqli ours = detect(text);
    ASSERT_EQ(ours.outcome, matches ? MatchOutcome::kMatch : MatchOutcome::kNoMatch)
        << test::show(base::as_bytes(text));
    ASSERT_STREQ(ours.fingerprint.c_str(), matches ? expected : "");
  }
}

TEST(DetectSqli, AgreesOverLongValuesWhileItsTokensLast) {
  test::RandomValues values(7);
  int compared = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random_statement(values) +
                             repeat(random_statement(values) + "a", 3000 + values.below(20000)) +
                             random_statement(values);
    char expected[8] = {};
    const bool matches = libinjection_sqli(text.data(), text.size(), expected) != 0;
    const Sqli ours = detect(text, 10'000'000);
    ASSERT_EQ(ours.outcome, matches ? MatchOutcome::kMatch : MatchOutcome::kNoMatch) << i;
    ++compared;
  }
  EXPECT_EQ(compared, 3000);
}

TEST(DetectSqli, RunsOutOfTokensOnArithmeticWithoutEnd) {
  for (const char* head : {"", "1", "<a b", "x' or "}) {
    const Sqli hostile = detect(head + repeat("+-~!", 1 << 18) + " union select 2");
    EXPECT_EQ(hostile.outcome, MatchOutcome::kLimit) << head;
    EXPECT_GT(hostile.tokens, abi::kSqliTokensMax / 2);
  }
}

TEST(DetectSqli, SeesWhatStandsBehindALongString) {
  const std::string text = "x' and '" + repeat("long", 100'000) + "' = '' union select 1 -- ";
  EXPECT_EQ(detect(text).outcome, MatchOutcome::kMatch);
}

TEST(DetectSqli, ReadsNoFurtherThanItMust) {
  const std::string prose =
      repeat("It's a long letter, with commas and quotes; and more. ", 60'000);
  EXPECT_LT(detect(prose).tokens_read, 600U) << "three readings of 256 bytes";
}

TEST(DetectSqli, HasTokensEnoughForHonestValues) {
  for (const char* unit : {"It's a long letter, with commas and \"quotes\"; and more. ",
                           "{\"name\": \"value\", \"list\": [1, 2, 3]}, ",
                           "YWJjZGVm+Z2hpamts/bW5vcAx", "111,222,3333,"}) {
    const Sqli honest = detect(repeat(unit, 1 << 18));
    EXPECT_EQ(honest.outcome, MatchOutcome::kNoMatch) << unit;
    EXPECT_LT(honest.tokens, 1000u) << unit;
  }
}

TEST(DetectXss, AgreesWithLibinjectionAndNeverReadsBeyondTheValue) {
  test::RandomValues values(3);
  std::uint8_t memory[4096];
  base::Arena scratch{memory};
  int references = 0;
  for (int i = 0; i < 400'000; ++i) {
    std::string text = random_statement(values);
    if (i % 4 == 0) text += i % 8 == 0 ? "&#" : "&#x";
    references += text.ends_with("&#") ? 1 : 0;
    const bool expected = libinjection_xss(text.c_str(), text.size()) != 0;  // c_str: a NUL behind
    ASSERT_EQ(detect_xss(test::at_page_end(text), scratch),
              expected ? MatchOutcome::kMatch : MatchOutcome::kNoMatch)
        << test::show(base::as_bytes(text));
    ASSERT_EQ(scratch.used(), 0u);
  }
  EXPECT_GT(references, 1000);
}

TEST(DetectXss, SaysSoWhenTheScratchIsFull) {
  std::uint8_t memory[4];
  base::Arena scratch{memory};
  EXPECT_EQ(detect_xss(base::as_bytes("<a href=&#"), scratch), MatchOutcome::kLimit);
}

}  // namespace
}  // namespace sluice::rules
