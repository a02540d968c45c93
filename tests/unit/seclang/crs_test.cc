// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "controlplane/seclang/link.h"

namespace sluice::seclang {
namespace {

constexpr const char* kSetup = "/etc/modsecurity/crs/crs-setup.conf";
constexpr const char* kRules = "/usr/share/modsecurity-crs/rules/*.conf";

std::string all_texts(const std::vector<config::Diagnostic>& list) {
  std::string text;
  for (const config::Diagnostic& item : list) text += config::to_text(item) + "\n";
  return text;
}

std::size_t count_lines(const SourceSet& sources, const std::string& start) {
  std::size_t count = 0;
  for (const publish::Source& source : sources.sources()) {
    if (!source.path.ends_with(".conf")) continue;
    std::istringstream lines(source.text);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t first = line.find_first_not_of(" \t");
      if (first != std::string::npos && line.substr(first).starts_with(start)) ++count;
    }
  }
  return count;
}

/// Counted in the files themselves: rules that stand alone or begin a chain, and SecActions.
TEST(CrsTest, DebianPackageLoadsWhole) {
  if (!std::filesystem::exists(kSetup)) GTEST_SKIP() << "the package modsecurity-crs is missing";
  SourceSet sources;
  config::Diagnostics diagnostics;
  const LinkedRules rules = link_files({kSetup, kRules}, sources, diagnostics);
  EXPECT_EQ(all_texts(diagnostics.errors), "");
  EXPECT_EQ(diagnostics.warnings.size(), 1U) << all_texts(diagnostics.warnings);
  std::size_t actions = 0, links = 0;
  for (const Rule& rule : rules.rules) {
    EXPECT_TRUE(rule.complete) << rule.id;
    EXPECT_NE(rule.id, 0U);
    for (const Link& link : rule.links) {
      ++(link.unconditional ? actions : links);
      EXPECT_TRUE(link.unconditional || !link.targets.empty()) << rule.id;
    }
  }
  EXPECT_EQ(count_lines(sources, "SecAction"), actions);
  EXPECT_EQ(count_lines(sources, "SecRule "), links);
  // `block` passes in anomaly mode, by the SecDefaultAction of the set-up file.
  const auto found = std::find_if(rules.rules.begin(), rules.rules.end(),
                                  [](const Rule& rule) { return rule.id == 942100; });
  ASSERT_NE(found, rules.rules.end());
  EXPECT_TRUE(found->wrote_block);
  EXPECT_EQ(found->disruptive, Disruptive::kPass);
  EXPECT_EQ(found->head().op.id, abi::OperatorId::kDetectSqli);
  EXPECT_TRUE(found->head().multi_match);
}

TEST(CrsTest, TheConfigurationOfNginxLoads) {
  const char* file = "/etc/nginx/modsecurity.conf";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "no nginx module of ModSecurity here";
  SourceSet sources;
  config::Diagnostics diagnostics;
  const LinkedRules rules = link_files({file}, sources, diagnostics);
  EXPECT_EQ(all_texts(diagnostics.errors), "");
  EXPECT_EQ(rules.rules.size(), 7U);
  EXPECT_EQ(rules.settings.engine, EngineMode::kDetectionOnly);
  EXPECT_EQ(rules.settings.request_body_limit, 13107200U);
  ASSERT_TRUE(rules.settings.unicode_map.has_value());
  EXPECT_EQ(rules.settings.unicode_code_page, 20127U);
}

TEST(CrsTest, TheLoadFileOfThePackageIncludesEverything) {
  const char* file = "/usr/share/modsecurity-crs/owasp-crs.load";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "the package modsecurity-crs is missing";
  SourceSet sources;
  config::Diagnostics diagnostics;
  const LinkedRules whole = link_files({file}, sources, diagnostics);
  EXPECT_EQ(all_texts(diagnostics.errors), "");
  const LinkedRules again = [&] {
    SourceSet stored(sources.sources());
    return link_files({file}, stored, diagnostics);
  }();
  EXPECT_EQ(all_texts(diagnostics.errors), "");
  EXPECT_GT(whole.rules.size(), 600U);
  EXPECT_EQ(again.rules.size(), whole.rules.size());
  EXPECT_EQ(again.data.size(), whole.data.size());
}

}  // namespace
}  // namespace sluice::seclang
