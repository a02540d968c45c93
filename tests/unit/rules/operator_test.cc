// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "dataplane/rules/operator/geo_lookup.h"
#include "dataplane/rules/operator/ip_match.h"
#include "dataplane/rules/operator/phrases.h"
#include "dataplane/rules/operator/verify.h"
#include "tests/unit/rules/evaluate.h"
#include "tests/unit/rules/vectors.h"

namespace sluice::rules {
namespace {

using abi::OperatorId;
using test::evaluate;

std::vector<OperatorId> operators_with_vectors() {
  std::vector<OperatorId> ids;
  for (std::size_t i = 0; i < abi::kOperatorCount; ++i) {
    const auto id = static_cast<OperatorId>(i);
    const bool refused = abi::operator_info(id).support == abi::OperatorSupport::kRefused;
    // These have tests of their own below and in regex_test.cc.
    const bool apart = id == OperatorId::kPmFromFile || id == OperatorId::kIpMatchFromFile ||
                       id == OperatorId::kRxGlobal || id == OperatorId::kGeoLookup;
    if (!refused && !apart) ids.push_back(id);
  }
  return ids;
}

class OperatorTest : public ::testing::TestWithParam<OperatorId> {};
std::string param_name(const ::testing::TestParamInfo<OperatorId>& info) {
  return std::string(abi::operator_info(info.param).name);
}
INSTANTIATE_TEST_SUITE_P(All, OperatorTest, ::testing::ValuesIn(operators_with_vectors()),
                         param_name);

TEST_P(OperatorTest, JudgesEachVector) {
  const auto vectors =
      test::load_operator_vectors(std::string(abi::operator_info(GetParam()).name));
  ASSERT_FALSE(vectors.empty());
  for (const auto& vector : vectors) {
    EXPECT_EQ(evaluate(GetParam(), vector.argument, vector.value), vector.match)
        << test::show(base::as_bytes(vector.argument)) << " on "
        << test::show(base::as_bytes(vector.value));
  }
}

TEST(Operators, AreFoundByNameAndAliasWithoutCase) {
  EXPECT_EQ(abi::find_operator("DETECTsqli"), OperatorId::kDetectSqli);
  EXPECT_EQ(abi::find_operator("pmf"), OperatorId::kPmFromFile);
  EXPECT_EQ(abi::find_operator("ipmatchf"), OperatorId::kIpMatchFromFile);
  EXPECT_EQ(abi::find_operator("nothing"), std::nullopt);
}

TEST(Operators, EveryRefusedOneSaysWhy) {
  for (std::size_t i = 0; i < abi::kOperatorCount; ++i) {
    const auto id = static_cast<OperatorId>(i);
    EXPECT_EQ(abi::operator_info(id).support == abi::OperatorSupport::kRefused,
              !abi::operator_refusal(id).empty())
        << abi::operator_info(id).name;
  }
}

TEST(ValidateByteRange, CountsTheElementsItIgnores) {
  std::size_t ignored = 0;
  parse_byte_range("1,2-3", ignored);
  EXPECT_EQ(ignored, 0u);
  parse_byte_range("1,x,2-,300,9-8", ignored);
  EXPECT_EQ(ignored, 4u);
}

TEST(PhraseFile, KeepsLinesAsTheyAreButCommentsAndEmptyOnes) {
  const auto phrases = parse_phrase_file("# comment\nabc \n\n  # indented\n def\r\nlast#");
  EXPECT_EQ(phrases, (std::vector<std::string>{"abc ", " def\r", "last#"}));
  EXPECT_TRUE(parse_phrase_file("").empty());
}

TEST(IpSetBuilder, ReadsFilesAndNamesTheBadLine) {
  IpSetBuilder builder;
  ASSERT_TRUE(builder.add_file("# offices\n10.0.0.0/8 # all\n\n2001:db8::/32, 192.0.2.7\r\n").ok());
  builder.finish();
  EXPECT_TRUE(ip_match(builder.set(), base::as_bytes("192.0.2.7")));
  EXPECT_TRUE(ip_match(builder.set(), base::as_bytes("2001:db8::9")));
  EXPECT_FALSE(ip_match(builder.set(), base::as_bytes("192.0.2.8")));
  const auto status = IpSetBuilder().add_file("10.0.0.0/8\n10.0.0.300\n");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("line 2"), std::string::npos);
}

TEST(IpSetBuilder, RefusesWhatIsNoPrefix) {
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0.0/-1", "::1/129", "10.0.0.0/8x", "10.0.0.0/",
                          "a", "1.2.3.4,,5.6.7.8", "10.0.0.1/255.0.0.0"}) {
    EXPECT_FALSE(IpSetBuilder().add_list(bad).ok()) << bad;
  }
}

TEST(IpSet, AgreesWithALinearSearchOverRandomPrefixes) {
  std::uint64_t state = 20261124;
  const auto next = [&] { return state = state * 6364136223846793005u + 1442695040888963407u; };
  IpSetBuilder builder;
  std::vector<Ipv4Range> all;
  for (int i = 0; i < 300; ++i) {
    const auto address = static_cast<std::uint32_t>(next() >> 32) & 0x0fffffff;
    const unsigned bits = 8 + static_cast<unsigned>(next() >> 40) % 25;
    const std::uint32_t host = bits == 32 ? 0 : ~std::uint32_t{0} >> bits;
    all.push_back({address & ~host, address | host});
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) {
      text += std::to_string(address >> shift & 255) + (shift > 0 ? "." : "");
    }
    ASSERT_TRUE(builder.add_list(text + "/" + std::to_string(bits)).ok());
  }
  builder.finish();
  for (int i = 0; i < 20000; ++i) {
    const auto address = static_cast<std::uint32_t>(next() >> 32) & 0x0fffffff;
    const bool expected = std::any_of(all.begin(), all.end(), [&](const Ipv4Range& range) {
      return range.first <= address && address <= range.last;
    });
    ASSERT_EQ(contains_ipv4(builder.set(), address), expected) << address;
  }
}

/// The vectors of the ModSecurity tests, where they lie beside the tree.
TEST(Operators, AgreeWithTheSharedCorpora) {
  const std::string folder = test::corpora_folder();
  if (folder.empty()) {
    std::puts("no ../shared/corpora: only our own vectors were run");
    return;
  }
  std::size_t run = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/operators")) {
    const auto id = abi::find_operator(entry.path().stem().string());
    // nids.json is for an operator that ModSecurity does not have.
    if (!id || abi::operator_info(*id).support != abi::OperatorSupport::kRuns) continue;
    for (const auto& vector : test::load_corpus(entry.path())) {
      if (*id == OperatorId::kPmFromFile) continue;  // the file that it names is not there
      // Expects the address not to be in the prefix because it maps an IPv4 address. In the
      // reference and here it is (docs/seclang.md).
      if (*id == OperatorId::kIpMatch && vector.param == "0:0::/80" && vector.ret == 0) continue;
      EXPECT_EQ(evaluate(*id, vector.param, vector.input), vector.ret != 0)
          << vector.file << ": " << vector.param << " on "
          << test::show(base::as_bytes(vector.input));
      ++run;
    }
  }
  std::printf("%zu vectors of %s\n", run, folder.c_str());
}

}  // namespace
}  // namespace sluice::rules
