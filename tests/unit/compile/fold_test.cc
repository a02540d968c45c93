// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/fold.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::compile {
namespace {

using Ids = std::vector<std::uint32_t>;

/// What folding makes of a text of rules.
struct Result {
  Ids left, deferred, late;
};

Result fold_text(const std::string& text) {
  seclang::SourceSet sources;
  config::Diagnostics diagnostics;
  const seclang::LinkedRules rules = seclang::link_text("test", text, sources, diagnostics);
  EXPECT_TRUE(diagnostics.ok());
  const Folded folded = fold(rules);
  Result result;
  for (std::size_t i = 0; i < rules.rules.size(); ++i) {
    const std::uint32_t id = rules.rules[i].id;
    if (!folded.dropped[i]) result.left.push_back(id);
    if (folded.deferred[i]) result.deferred.push_back(id);
    if (folded.late[i]) result.late.push_back(id);
  }
  return result;
}

/// The look-up of the CRS in a list of addresses, of which nothing is asked.
constexpr const char* kLookUp =
    "SecRule IP:checked \"@eq 1\" \"id:1,phase:2,pass,nolog,skipAfter:LOOKED_UP\"\n"
    "SecRule &TX:block_spam \"@eq 0\" \"id:2,phase:2,pass,nolog,skipAfter:END\"\n"
    "SecRule TX:block_spam \"@eq 1\" \"id:3,phase:2,deny,log\"\n"
    "SecAction \"id:4,phase:2,pass,nolog,setvar:ip.checked=1\"\n"
    "SecMarker LOOKED_UP\n";

TEST(Fold, SkipsOfNothingAreDropped) {
  EXPECT_EQ(fold_text(std::string(kLookUp) + "SecMarker END\n").left, Ids{});
}

TEST(Fold, WhatAJumpComesToIsKept) {
  const std::string rule = "SecRule ARGS \"@rx x\" \"id:5,phase:2,deny,log\"\nSecMarker END\n";
  // 1 jumps behind the marker, so 5 runs for those that it is true of, and 2 must skip it for
  // others.
  EXPECT_EQ(fold_text(kLookUp + rule).left, (Ids{1, 2, 5}));
}

TEST(Fold, SkipsThatDoMoreAreKept) {
  const auto skip = [](const std::string& actions, const std::string& before = "") {
    return fold_text(before + "SecRule ARGS \"@rx x\" \"id:9,phase:2,pass," + actions +
                     "skipAfter:END\"\nSecMarker END\n")
        .left;
  };
  EXPECT_EQ(skip("nolog,"), Ids{});
  EXPECT_EQ(skip("log,"), Ids{9});
  EXPECT_EQ(skip("nolog,setvar:tx.a=1,"), Ids{9});
  EXPECT_EQ(skip("nolog,severity:2,"), Ids{9});
  EXPECT_EQ(skip("nolog,capture,"), Ids{9});
  EXPECT_EQ(skip("nolog,ctl:ruleEngine=Off,"), Ids{9});
  const std::string reader =
      "SecRule ARGS \"@rx x\" \"id:1,phase:2,pass,nolog,skip:1\"\n"
      "SecRule ARGS \"@rx y\" \"id:2,phase:1,pass,nolog\"\n"
      "SecRule MATCHED_VARS \"@rx x\" \"id:3,phase:2,deny\"\n";
  EXPECT_EQ(fold_text(reader).left, (Ids{1, 3})) << "3 would see what came before 1";
}

TEST(Fold, ASkipThatARuleMayTakeOutSkipsNothingForCertain) {
  const std::string removal =
      "SecRule ARGS:a \"@rx x\" \"id:8,phase:1,pass,nolog,ctl:ruleRemoveById=2\"\n";
  EXPECT_EQ(fold_text(removal + kLookUp + "SecMarker END\n").left, (Ids{8, 1, 2, 4}));
  const std::string target =
      "SecRule ARGS:a \"@rx x\" \"id:8,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;TX:a\"\n";
  EXPECT_EQ(fold_text(target + kLookUp + "SecMarker END\n").left, (Ids{8, 1, 2, 4}));
}

TEST(Fold, ConstantsAreTransformed) {
  const std::string rules =
      "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.a=YES\"\n"
      "SecRule TX:a \"@streq yes\" \"id:2,phase:1,deny,t:lowercase\"\n"
      "SecRule TX:a \"@streq no\" \"id:3,phase:1,deny,t:lowercase\"\n"
      "SecRule TX:a \"@streq YES\" \"id:4,phase:1,deny,t:lowercase\"\n";
  EXPECT_EQ(fold_text(rules).left, Ids{2});
}

constexpr const char* kHash =
    "SecRule REQUEST_HEADERS:User-Agent \"@rx ^.*$\" "
    "\"id:1,phase:1,pass,nolog,t:sha1,t:hexEncode,setvar:tx.hash=%{MATCHED_VAR}\"\n";
constexpr const char* kInit =
    "SecAction \"id:2,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}_%{tx.hash}\"\n";

TEST(Fold, WhatOnlyAKeyOfACollectionReadsWaits) {
  const Result result = fold_text(std::string(kHash) + kInit);
  EXPECT_EQ(result.deferred, Ids{1});
  EXPECT_EQ(result.late, Ids{2});
}

TEST(Fold, WhatIsReadOrWrittenElsewhereDoesNotWait) {
  const auto deferred = [](const std::string& rules) { return fold_text(rules).deferred; };
  const std::string both = std::string(kHash) + kInit;
  for (const char* rule : {
           "SecRule TX:hash \"@rx a\" \"id:3,phase:2,deny\"",
           "SecRule TX \"@rx a\" \"id:3,phase:2,deny\"",
           "SecRule &TX:hash \"@eq 1\" \"id:3,phase:2,deny\"",
           "SecRule TX:/^ha/ \"@rx a\" \"id:3,phase:2,deny\"",
           "SecRule ARGS \"@streq %{tx.hash}\" \"id:3,phase:2,deny\"",
           "SecRule ARGS \"@rx a\" \"id:3,phase:2,deny,msg:'%{tx.HASH}'\"",
           "SecRule ARGS \"@rx a\" \"id:3,phase:2,pass,nolog,setvar:tx.%{ARGS.a}=1\"",
           "SecRule ARGS \"@rx a\" \"id:3,phase:2,pass,nolog,setvar:tx.hash=1\"",
           "SecRule ARGS \"@rx a\" \"id:3,phase:2,pass,nolog,initcol:global=%{tx.hash}_%{ARGS.a}\"",
           "SecRule ARGS \"@rx a\" "
           "\"id:3,phase:1,pass,nolog,ctl:ruleRemoveTargetById=1;REQUEST_HEADERS\"",
       }) {
    EXPECT_EQ(deferred(both + rule), Ids{}) << rule;
  }
  EXPECT_EQ(deferred(both + "SecRule TX:/^other/ \"@rx a\" \"id:3,phase:2,deny\""), Ids{1});
  EXPECT_EQ(deferred(std::string(kInit) + kHash), Ids{}) << "the key is older than the hash";
  EXPECT_EQ(deferred("SecRule ARGS \"@rx a\" \"id:4,phase:1,pass,nolog,skip:1\"\n" + both), Ids{});
  EXPECT_EQ(
      deferred("SecRule ARGS \"@rx a\" \"id:4,phase:1,pass,nolog,ctl:ruleRemoveById=1\"\n" + both),
      Ids{});
}

}  // namespace
}  // namespace sluice::compile
