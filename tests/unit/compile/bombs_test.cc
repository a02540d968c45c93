// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/unit/rules/ruleset_fixture.h"

/// Evasion CP4: patterns that cost other compilers minutes and gigabytes.
namespace sluice::rules::test {
namespace {

constexpr double kProcessorSecondsMax = 20;  ///< with room for sanitizers and slow machines
constexpr long kMemoryKibMax = 1 << 20;

double processor_seconds(const rusage& usage) {
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/// Compiles, or is refused with a message, within the bounds.
void expect_bounded(const std::string& rules, const std::string& name) {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const LoadedRules loaded = load_text(rules);
  getrusage(RUSAGE_SELF, &after);
  EXPECT_NE(loaded.ruleset == nullptr, loaded.errors.empty()) << name;
  EXPECT_LT(processor_seconds(after) - processor_seconds(before), kProcessorSecondsMax) << name;
  EXPECT_LT(after.ru_maxrss, kMemoryKibMax) << name;
}

TEST(Bombs, CP4_PatternsOfTheCatalogueAreBounded) {
  for (const char* pattern :
       {R"((\w{1,30}\s){20}x)", R"(\p{L}{200}\p{N}{200})", "a.{32767}b", "(a{1,1000}){1,1000}",
        "((a{1,100}b){1,100}c){1,100}d", "(?:a?){500}a{500}", "(x+x+)+y"}) {
    expect_bounded("SecRule ARGS \"@rx " + std::string(pattern) + "\" \"id:1,phase:2,pass\"\n",
                   pattern);
  }
}

TEST(Bombs, CP4_ThousandsOfPatternsWithGapsAreBounded) {
  std::string rules;
  for (int i = 1; i <= 4000; ++i) {
    const std::string number = std::to_string(i);
    rules += "SecRule ARGS \"@rx key" + number + ".*value" + number + "\" \"id:" + number +
             ",phase:2,pass\"\n";
  }
  expect_bounded(rules, "4000 patterns");
}

}  // namespace
}  // namespace sluice::rules::test
