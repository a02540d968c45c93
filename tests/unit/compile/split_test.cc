// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/split.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::compile {
namespace {

using Parts = std::pair<std::string, std::string>;

TEST(Split, SharesOutTheLargestChoice) {
  EXPECT_EQ(split_pattern("a(?:b|c|dd)e(f|g)"), Parts("a(?:b|c)e(f|g)", "a(?:dd)e(f|g)"));
  EXPECT_EQ(split_pattern("x(?:[)|]|\\||y)z"), Parts("x(?:[)|])z", "x(?:\\||y)z"));
  EXPECT_EQ(split_pattern("(?i)ab|cd"), Parts("(?i)ab", "(?i)cd"));
  EXPECT_EQ(split_pattern("(?i:ab|cd)e*"), Parts("(?i:ab)e*", "(?i:cd)e*"));
  // A choice that is the only thing inside another group.
  EXPECT_EQ(split_pattern("(?:a(?:b|c))d"), Parts("(?:a(?:b))d", "(?:a(?:c))d"));
}

TEST(Split, LeavesWhatIsNotChosenOnce) {
  for (const char* pattern : {"abc", "a(?:b|c)*d", "a(?:b|c)?d", "a(?:b|c){2}", "(?!b|c)d",
                              "(?=b|c)d", "(?<=b|c)d", "(?>b|c)d", "(?:(?:a|b)c)+", "(a|b)\\1",
                              "a|(?i)b|c", "(?:a|(?i)b)c", "\\Q(a|b)\\E", "(?(1)a|b)", "(a|b"}) {
    EXPECT_EQ(split_pattern(pattern), std::nullopt) << pattern;
  }
}

TEST(Split, SplitsOnceMoreWhatIsStillLarge) {
  const auto first = split_pattern("p(?:a|(?:bb|cc|dd))s");
  ASSERT_EQ(first, Parts("p(?:a)s", "p(?:(?:bb|cc|dd))s"));
  EXPECT_EQ(split_pattern(first->second), Parts("p(?:(?:bb|cc))s", "p(?:(?:dd))s"));
}

}  // namespace
}  // namespace sluice::compile
