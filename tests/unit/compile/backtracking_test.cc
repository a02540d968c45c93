// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/backtracking.h"

#include <gtest/gtest.h>

#include "dataplane/rules/operator/regex.h"
#include "tests/unit/rules/ruleset_fixture.h"

namespace sluice::compile {
namespace {

struct Example {
  const char* pattern;
  const char* pump;  ///< a text whose repetitions double the work
};

/// Each of them runs into PCRE2's limit over 60 repetitions, so they are what they are said to be.
constexpr Example kExponential[] = {
    {"^(a+)+$", "a"},
    {"^(?:a*)*b", "a"},
    {"^(a|a)*$", "a"},
    {"^(?:\\w+\\s*)+:$", "a"},
    {"^(?:a?b?)*c", "ab"},
    {"^(?:[ab]+|b+c?)*$", "b"},
    {"^(?:.*,)*x$", ",,"},
    {"^(?:(?:a+)+x)*$", "a"},
    {"^(([a-z])+.)+[A-Z]([a-z])+$", "a"},
    {"(?i)^(?:a|A)*$", "a"},
    {"^(?:a{1,100}){1,100}$", "a"},
    {"x?(?=(?:a+)+b)", "a"},
};
constexpr const char* kPolynomial[] = {
    "(a+)+",       // matches at once, whatever follows
    "^(?:a+)+b*",  // the same
    "^(?:a+,)+$",  // one text, one way
    "^(?:\\w+\\s)+:$",
    "^(?:a++)+$",  // the inner repetition is not entered again
    "^(?:(?>a+))+$",
    "a*a*a*$",  // polynomial
    "^(?:a|b)*$",      "^(?:ab?c)*$",         "^(?:a{2}){3,}$",
    "^(?:[^,]*,)*x$",  "union.*select.*from", "^[\\w.-]+(?:\\.[\\w-]+)*$",
};

TEST(Backtracking, NestedRepetitionsAreExponential) {
  auto context = rules::RegexContext::create();
  ASSERT_TRUE(context.ok());
  rules::RegexContext matching = std::move(context).value();
  for (const Example& each : kExponential) {
    EXPECT_EQ(backtracking_of(each.pattern), Backtracking::kExponential) << each.pattern;
    const auto regex = rules::Regex::compile(each.pattern);
    ASSERT_TRUE(regex.ok()) << each.pattern;
    std::string value;
    for (int i = 0; i < 60; ++i) value += each.pump;
    value += "\x01:bcx\x01";  // no match, with every byte that PCRE2 looks for first
    EXPECT_EQ(matching.match(regex.value(), base::as_bytes(value)), rules::MatchOutcome::kLimit)
        << each.pattern;
  }
}

TEST(Backtracking, OneWayForOneTextIsNot) {
  for (const char* pattern : kPolynomial) {
    EXPECT_EQ(backtracking_of(pattern), Backtracking::kPolynomial) << pattern;
  }
}

TEST(Backtracking, WhatIsNotUnderstoodIsUnknown) {
  EXPECT_EQ(backtracking_of("(?(1)a|b)"), Backtracking::kUnknown);
  EXPECT_EQ(backtracking_of("(*ACCEPT)(a+)+$"), Backtracking::kUnknown);
}

TEST(Backtracking, NoEngineForAPatternIsALoadError) {
  // A back reference keeps Hyperscan from reading it.
  const auto refused = rules::test::load_text(
      "SecRule ARGS \"@rx (x)\\1(?:a+)+$\" \"id:12,phase:2,deny\"\n"
      "SecRule ARGS \"@rx (x)\\1(?:a+,)+$\" \"id:13,phase:2,deny\"\n");
  ASSERT_EQ(refused.errors.size(), 1U);
  EXPECT_EQ(refused.errors[0].substr(0, 84),
            "test.conf:1:19: rule 12: the pattern can take time that doubles with every byte of a");
  EXPECT_EQ(refused.ruleset, nullptr);
}

TEST(Backtracking, WhatHyperscanScansForLoads) {
  const auto loaded =
      rules::test::load_text("SecRule ARGS \"@rx ^(?:a+)+$\" \"id:12,phase:2,deny\"\n");
  EXPECT_TRUE(loaded.errors.empty());
  EXPECT_TRUE(loaded.warnings.empty());
  const auto unscanned = rules::test::load_text(
      "SecRule ARGS \"!@rx ^(?:a+)+$\" \"id:12,phase:2,deny\"\n"
      "SecRule TX:a \"@rx ^(?:a+)+$\" \"id:13,phase:2,deny\"\n"
      "SecRule ARGS:/^(?:a+)+$/ \"@rx b\" \"id:14,phase:2,deny\"\n");
  EXPECT_TRUE(unscanned.errors.empty());
  ASSERT_EQ(unscanned.warnings.size(), 3U);
  EXPECT_EQ(unscanned.warnings[1].substr(0, 25), "test.conf:2:19: rule 13: ");
}

/// Two of its patterns are exponential (a header of many semicolons, say); neither stops it.
TEST(Backtracking, TheCoreRuleSetLoads) {
  CompileOptions options;
  options.scan = false;
  const auto loaded = rules::test::load_files(
      {"/etc/modsecurity/crs/crs-setup.conf", "/usr/share/modsecurity-crs/rules/*.conf"}, options);
  if (loaded.report.rules == 0) GTEST_SKIP() << "no modsecurity-crs here";
  EXPECT_TRUE(loaded.errors.empty()) << loaded.errors[0];
  std::vector<std::string> named;
  for (const std::string& warning : loaded.warnings) {
    const std::size_t at = warning.find("rule 9");
    if (warning.find("doubles") != std::string::npos) named.push_back(warning.substr(at, 11));
  }
  EXPECT_EQ(named, (std::vector<std::string>{"rule 920600", "rule 922110"}));
}

}  // namespace
}  // namespace sluice::compile
