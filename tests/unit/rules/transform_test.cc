// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transform/transform.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/transform/internal.h"
#include "dataplane/rules/transform/unicode_map.h"
#include "tests/unit/rules/random_values.h"
#include "tests/unit/rules/vectors.h"

namespace sluice::rules {
namespace {

using abi::TransformId;
using base::Bytes;

class TransformTest : public ::testing::TestWithParam<TransformId> {
 protected:
  std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(1 << 16);
  base::Arena arena_{memory_};
};

std::string param_name(const ::testing::TestParamInfo<TransformId>& info) {
  return std::string(abi::transform_name(info.param));
}

std::vector<TransformId> all_transforms() {
  std::vector<TransformId> ids;
  for (std::size_t i = 0; i < abi::kTransformCount; ++i) ids.push_back(static_cast<TransformId>(i));
  return ids;
}

INSTANTIATE_TEST_SUITE_P(All, TransformTest, ::testing::ValuesIn(all_transforms()), param_name);

TEST_P(TransformTest, TurnsEachVectorIntoItsOutput) {
  const auto vectors = test::load_transform_vectors(std::string(abi::transform_name(GetParam())));
  ASSERT_GE(vectors.size(), 2u);
  for (const auto& vector : vectors) {
    const Bytes input = test::at_page_end(vector.input);
    const TransformResult result = apply_transform(GetParam(), input, nullptr, arena_);
    EXPECT_EQ(base::as_text(result.output), vector.output)
        << test::show(input) << " gave " << test::show(result.output);
    EXPECT_EQ(result.outcome == TransformOutcome::kChanged, vector.input != vector.output)
        << test::show(input);
    EXPECT_LE(arena_.peak(), max_output(GetParam(), input.size()) + kTransformSlack);
    EXPECT_LE(result.output.size(), longest_output(GetParam(), input.size(), class_bitmap(input)))
        << test::show(input);
    arena_ = base::Arena(memory_);
  }
}

TEST_P(TransformTest, PassesUnchangedValuesThroughWithoutACopy) {
  for (const auto& vector :
       test::load_transform_vectors(std::string(abi::transform_name(GetParam())))) {
    if (vector.input != vector.output) continue;
    const Bytes input = base::as_bytes(vector.input);
    const TransformResult result = apply_transform(GetParam(), input, nullptr, arena_);
    EXPECT_EQ(result.output.data(), input.data());
    EXPECT_EQ(arena_.used(), 0u);
  }
}

TEST_P(TransformTest, ChangesNothingThatItsByteClassesExclude) {
  for (const auto& vector :
       test::load_transform_vectors(std::string(abi::transform_name(GetParam())))) {
    const Bytes input = base::as_bytes(vector.input);
    if (may_change(GetParam(), class_bitmap(input))) continue;
    EXPECT_EQ(vector.input, vector.output) << test::show(input);
  }
}

TEST_P(TransformTest, KeepsItsPromisesOverRandomValues) {
  test::RandomValues values(20261124);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = values.next();
    const Bytes input = test::at_page_end(text);
    base::Arena arena(memory_);
    const TransformResult result = apply_transform(GetParam(), input, nullptr, arena);
    ASSERT_NE(result.outcome, TransformOutcome::kArenaFull);
    ASSERT_EQ(result.outcome == TransformOutcome::kChanged, base::as_text(result.output) != text);
    ASSERT_LE(result.output.size(), std::max(max_output(GetParam(), text.size()), text.size()));
    ASSERT_LE(arena.peak(), max_output(GetParam(), text.size()) + kTransformSlack);
    ASSERT_LE(result.output.size(), longest_output(GetParam(), text.size(), class_bitmap(input)))
        << test::show(input);
    if (!may_change(GetParam(), class_bitmap(input))) {
      ASSERT_EQ(result.outcome, TransformOutcome::kUnchanged) << test::show(input);
    }
  }
}

TEST_P(TransformTest, ReportsAFullArenaAndNeverWritesBeyondIt) {
  for (const auto& vector :
       test::load_transform_vectors(std::string(abi::transform_name(GetParam())))) {
    for (const std::size_t room : {0u, 1u, 40u, 64u}) {
      std::vector<std::uint8_t> small(room + 64, 0xee);
      base::Arena arena{std::span(small).first(room)};
      const Bytes input = base::as_bytes(vector.input);
      const TransformResult result = apply_transform(GetParam(), input, nullptr, arena);
      if (result.outcome == TransformOutcome::kArenaFull) {
        EXPECT_TRUE(result.output.empty());
      } else {
        EXPECT_EQ(base::as_text(result.output), vector.output);
      }
      for (std::size_t i = room; i < small.size(); ++i) ASSERT_EQ(small[i], 0xee) << room;
    }
  }
}

TEST(Transform, FindsNamesAndAliasesWithoutCase) {
  EXPECT_EQ(abi::find_transform("URLDECODEUNI"), TransformId::kUrlDecodeUni);
  EXPECT_EQ(abi::find_transform("normalisePath"), TransformId::kNormalizePath);
  EXPECT_EQ(abi::find_transform("normalizePathWin"), TransformId::kNormalizePathWin);
  EXPECT_EQ(abi::find_transform("urlDecodeUn"), std::nullopt);
  EXPECT_EQ(abi::find_transform(""), std::nullopt);
}

TEST(Transform, BothFormsOfSha1Agree) {
  if (!detail::has_sha_extension()) GTEST_SKIP() << "no SHA extensions on this CPU";
  test::RandomValues values(5);
  for (int i = 0; i < 1000; ++i) {
    std::uint8_t block[64];
    std::uint32_t plain[5], extension[5];
    for (auto& byte : block) byte = static_cast<std::uint8_t>(values.below(256));
    for (int word = 0; word < 5; ++word) plain[word] = extension[word] = values.below(0x7fffffff);
    detail::sha1_block_plain(plain, block);
    detail::sha1_block_extension(extension, block);
    for (int word = 0; word < 5; ++word) ASSERT_EQ(plain[word], extension[word]);
  }
}

TEST(Transform, UrlDecodeUniUsesTheMapAndElseTheLowByte) {
  static abi::UnicodeMap map;
  for (auto& code : map.codes) code = abi::UnicodeMap::kUnmapped;
  map.codes[0x00e9] = 'e';
  map.codes[0xff0f] = '|';
  std::vector<std::uint8_t> memory(4096);
  base::Arena arena{memory};
  const auto result = apply_transform(TransformId::kUrlDecodeUni,
                                      base::as_bytes("%u00e9%uFF0F%u2215%uff1c"), &map, arena);
  EXPECT_EQ(base::as_text(result.output), "e|\x15<");
}

TEST(UnicodeMap, ReadsOneCodePageAndPresetsTheDots) {
  static abi::UnicodeMap map;
  const std::string_view text =
      "(MAC)\n\n1250  (ANSI)\n00a1:21 00a2:63 \n\n# comment\n20127 (US-ASCII)\n00a0:20 ff0f:2f "
      "\n2018:27\n\n28591 (Latin)\n00a0:41\n";
  ASSERT_TRUE(parse_unicode_map(text, 20127, map).ok());
  EXPECT_EQ(map.codes[0x00a0], 0x20);
  EXPECT_EQ(map.codes[0xff0f], '/');
  EXPECT_EQ(map.codes[0x2018], '\'');
  EXPECT_EQ(map.codes[0x00a1], abi::UnicodeMap::kUnmapped);
  for (const int dot : {0x002e, 0x3002, 0xff0e, 0xff61}) EXPECT_EQ(map.codes[dot], '.');
}

TEST(UnicodeMap, RefusesAMissingPageAndABrokenPair) {
  static abi::UnicodeMap map;
  EXPECT_FALSE(parse_unicode_map("1250 (x)\n00a1:21\n", 20127, map).ok());
  EXPECT_FALSE(parse_unicode_map("", 20127, map).ok());
  EXPECT_FALSE(parse_unicode_map("20127\n00a0-20\n", 20127, map).ok());
  EXPECT_FALSE(parse_unicode_map("20127\n10000:20\n", 20127, map).ok());
  EXPECT_FALSE(parse_unicode_map("20127\n00a0:100\n", 20127, map).ok());
}

/// The map that the recommended configuration loads, from the Debian package that ships it; empty
/// where it is not installed.
std::string recommended_unicode_map() {
  for (const char* path : {"/etc/nginx/unicode.mapping", "/etc/modsecurity/unicode.mapping",
                           "/usr/share/nginx/docs/modsecurity/unicode.mapping"}) {
    std::ifstream file(path);
    if (file) return {std::istreambuf_iterator<char>(file), {}};
  }
  return {};
}

/// The vectors of the ModSecurity tests, where they lie beside the tree.
TEST(Transform, AgreesWithTheSharedCorpora) {
  const std::string folder = test::corpora_folder();
  if (folder.empty()) {
    std::puts("no ../shared/corpora: only our own vectors were run");
    return;
  }
  static abi::UnicodeMap map;
  const std::string map_text = recommended_unicode_map();
  ASSERT_TRUE(map_text.empty() || parse_unicode_map(map_text, 20127, map).ok());
  std::vector<std::uint8_t> memory(1 << 20);
  base::Arena arena{memory};
  std::size_t run = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/transformations")) {
    const auto id = abi::find_transform(entry.path().stem().string());
    ASSERT_TRUE(id.has_value()) << entry.path();
    for (const auto& vector : test::load_corpus(entry.path())) {
      // These two expect hexDecode to refuse its input; v3.0.9 decodes it (docs/seclang.md).
      if (vector.name == "invalidCharacter" || vector.name == "invalidLen") continue;
      // Without the map, what its lines say cannot be expected.
      if (map_text.empty() && vector.input.find("%u") != std::string::npos) continue;
      arena.reset();
      const Bytes input = test::at_page_end(vector.input);
      const auto result = apply_transform(*id, input, map_text.empty() ? nullptr : &map, arena);
      EXPECT_EQ(base::as_text(result.output), vector.output)
          << vector.file << ": " << test::show(input) << " gave " << test::show(result.output)
          << " instead of " << test::show(base::as_bytes(vector.output));
      ++run;
    }
  }
  std::printf("%zu vectors of %s\n", run, folder.c_str());
}

}  // namespace
}  // namespace sluice::rules
