// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <filesystem>

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

TEST(CrsTest, DebianPackageLoadsWhole) {
  if (!std::filesystem::exists(kSetup)) GTEST_SKIP() << "the package modsecurity-crs is missing";
  SourceSet sources;
  config::Diagnostics diagnostics;
  const LinkedRules rules = link_files({kSetup, kRules}, sources, diagnostics);
  EXPECT_EQ(all_texts(diagnostics.errors), "");
  std::printf("%zu rules, %zu data files\n%s", rules.rules.size(), rules.data.size(),
              all_texts(diagnostics.warnings).c_str());
}

}  // namespace
}  // namespace sluice::seclang
