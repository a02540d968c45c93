// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <cstring>

#include "controlplane/compile/compile.h"
#include "controlplane/compile/program.h"
#include "controlplane/seclang/link.h"
#include "dataplane/rules/ruleset.h"

namespace sluice::compile {
namespace {

/// What the dataplane says of an image with `count` scan sets, of which those behind the compiled
/// ones are empty.
abi::ImageError error_with_sets(std::size_t count) {
  config::Diagnostics diagnostics;
  seclang::SourceSet nothing{std::vector<publish::Source>()};
  const auto rules = seclang::link_text(
      "/r.conf", "SecRule ARGS \"@contains abc\" \"id:1,phase:2,pass\"\n", nothing, diagnostics);
  StringsBuilder strings;
  CompileReport report;
  const ProgramPtr program = compile(rules, {}, strings, diagnostics, report);
  EXPECT_NE(program, nullptr);
  EXPECT_LT(program->sets.size(), count);
  program->sets.resize(count);
  program->set_patterns.resize(count * abi::pattern_words(program->patterns.size()));
  program->set_grams.resize(count * abi::kGramWords);
  ImageParts parts;
  parts.strings = &strings;
  const std::vector<std::uint8_t> image = write_image(parts, program.get()).value();
  std::vector<std::uint8_t> memory(image.size() + 64);
  const std::size_t begin = -reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
  std::memcpy(memory.data() + begin, image.data(), image.size());
  return rules::verify_image({memory.data() + begin, image.size()});
}

TEST(ImageCheck, MoreScanSetsThanAMemoCanNameAreRefused) {
  EXPECT_EQ(error_with_sets(abi::kNone16 - 1), abi::ImageError::kNone);
  EXPECT_EQ(error_with_sets(abi::kNone16), abi::ImageError::kRules);
}

}  // namespace
}  // namespace sluice::compile
