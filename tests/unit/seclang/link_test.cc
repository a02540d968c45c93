// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/link.h"

#include <gtest/gtest.h>

#include "tests/unit/seclang/linked.h"

namespace sluice::seclang {
namespace {

using abi::TransformId;

std::vector<std::uint32_t> ids(const Linked& linked) {
  std::vector<std::uint32_t> list;
  for (const Rule& rule : linked.rules.rules) list.push_back(rule.id);
  return list;
}
using Ids = std::vector<std::uint32_t>;

TEST(Chains, LinksFollowTheirHead) {
  const Linked linked(
      "SecRule ARGS \"@rx a\" \"id:1,phase:3,deny,chain,msg:'m'\"\n"
      "  SecRule ARGS_NAMES \"@rx b\" \"t:lowercase,chain\"\n"
      "SecAction \"id:2,phase:1,nolog\"\n"
      "  SecRule &ARGS \"@gt 1\"\n"
      "SecRule ARGS \"@rx c\" \"id:3\"\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(ids(linked), (Ids{1, 2, 3}));
  const Rule& chain = linked.rule(1);
  ASSERT_EQ(chain.links.size(), 3U);
  EXPECT_EQ(chain.phase, 3);
  EXPECT_TRUE(chain.complete);
  EXPECT_EQ(written(chain.links[1].targets), "ARGS_NAMES");
  EXPECT_EQ(chain.links[2].place.line, 4U);
  EXPECT_EQ(chain.links[2].text, "SecRule &ARGS \"@gt 1\"");
}

TEST(Chains, MistakesAreNamed) {
  const Linked linked(
      "SecRule ARGS \"@rx a\" \"id:1,chain\"\n"
      "SecRule ARGS \"@rx b\" \"deny,id:5\"\n"
      "SecRule ARGS \"@rx c\" \"deny\"\n"
      "SecAction \"id:1\"\n"
      "SecRule ARGS \"@rx d\" \"id:6,chain\"\n");
  EXPECT_EQ(linked.errors,
            "2:23: a disruptive action stands on the first rule of a chain only\n"
            "3:1: the rule has no id (expected id:NUMBER among its actions)\n"
            "4:15: the id 1 is taken by the rule at /rules/test.conf:1:26\n");
  EXPECT_EQ(linked.warnings,
            "2:31: a link of a chain takes id and phase from the chain's first rule, which is at "
            "/rules/test.conf:1:1\n"
            "5:28: no SecRule follows this chain, so it can never match\n");
  EXPECT_FALSE(linked.rule(6).complete);
}

TEST(Phases, AreOneWhereNoneIsSaid) {
  EXPECT_EQ(Linked("SecAction \"id:1\"").rule(1).phase, 1);
  EXPECT_EQ(Linked("SecAction \"id:1,phase:logging\"").rule(1).phase, 5);
  EXPECT_EQ(Linked("SecAction \"id:1,phase:'request'\"").rule(1).phase, 2);
}

TEST(DefaultActions, AreMergedIntoEveryRuleOfTheirPhase) {
  const Linked linked(
      "SecRule ARGS \"@rx a\" \"id:1,phase:2,block,t:trim\"\n"
      "SecRule ARGS \"@rx a\" \"id:2,phase:2,t:none,t:trim,msg:'own',pass,log\"\n"
      "SecRule ARGS \"@rx a\" \"id:3,phase:2\"\n"
      "SecRule ARGS \"@rx a\" \"id:4,phase:1,block\"\n"
      "SecDefaultAction \"phase:2,nolog,deny,status:418,t:lowercase,tag:'d',msg:'default'\"\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(linked.rule(1).disruptive, Disruptive::kDeny);
  EXPECT_TRUE(linked.rule(1).wrote_block);
  EXPECT_EQ(linked.rule(1).head().status, 418);
  EXPECT_EQ(linked.rule(1).head().transforms,
            (std::vector<TransformId>{TransformId::kLowercase, TransformId::kTrim}));
  EXPECT_EQ(written(*linked.rule(1).head().msg), "default");
  EXPECT_EQ(written(linked.rule(1).head().tags.at(0)), "d");
  EXPECT_FALSE(linked.rule(1).log);

  EXPECT_EQ(linked.rule(2).disruptive, Disruptive::kPass);
  EXPECT_EQ(linked.rule(2).head().transforms, (std::vector<TransformId>{TransformId::kTrim}));
  EXPECT_EQ(written(*linked.rule(2).head().msg), "own");
  EXPECT_TRUE(linked.rule(2).log);

  // Only `block` takes over the default's decision.
  EXPECT_EQ(linked.rule(3).disruptive, Disruptive::kNone);
  EXPECT_EQ(linked.rule(4).disruptive, Disruptive::kNone);
}

TEST(DefaultActions, MayStandTwiceIfTheyAgree) {
  const std::string first = "SecDefaultAction \"phase:1,log,auditlog,pass\"\n";
  EXPECT_EQ(Linked(first + first).errors, "");
  EXPECT_EQ(Linked(first + "SecDefaultAction \"phase:1,log,deny\"\n").errors,
            "2:1: phase 1 has another SecDefaultAction at /rules/test.conf:1:1\n");
  EXPECT_EQ(Linked("SecDefaultAction \"phase:1,log\"\nSecDefaultAction \"phase:2,block\"\n"
                   "SecDefaultAction \"phase:2,deny,t:none\"\n"
                   "SecDefaultAction \"phase:2,deny,id:4\"\n")
                .errors,
            "1:1: SecDefaultAction needs a disruptive action other than block (expected pass, "
            "deny, drop, allow or redirect)\n"
            "2:1: SecDefaultAction needs a disruptive action other than block (expected pass, "
            "deny, drop, allow or redirect)\n"
            "3:1: t:none cannot stand in a SecDefaultAction\n"
            "4:1: id cannot stand in a SecDefaultAction\n");
}

TEST(Transformations, OnlyThoseBehindTheLastNoneCount) {
  EXPECT_EQ(Linked("SecRule ARGS x \"id:1,t:lowercase,t:none,t:urlDecode,t:none,t:length\"")
                .rule(1)
                .head()
                .transforms,
            (std::vector<TransformId>{TransformId::kLength}));
}

TEST(Logging, TheHeadOfAChainHasTheLastWord) {
  const auto log = [](const char* head, const char* link) {
    const Linked linked("SecRule ARGS x \"id:1,chain," + std::string(head) +
                        "\"\nSecRule ARGS y \"" + link + "\"\n");
    return std::pair(linked.rule(1).log, linked.rule(1).audit_log);
  };
  EXPECT_EQ(log("t:none", "t:none"), std::pair(true, true));
  EXPECT_EQ(log("nolog", "log"), std::pair(false, false));
  EXPECT_EQ(log("t:none", "nolog"), std::pair(false, false));
  EXPECT_EQ(log("nolog,auditlog", "t:none"), std::pair(true, true));
  EXPECT_EQ(log("noauditlog", "t:none"), std::pair(true, false));
}

TEST(Disruptive, TheLastOneWrittenWins) {
  EXPECT_EQ(Linked("SecAction \"id:1,deny,pass\"").rule(1).disruptive, Disruptive::kPass);
  EXPECT_EQ(Linked("SecAction \"id:1,allow:request\"").rule(1).disruptive,
            Disruptive::kAllowRequest);
  const Linked redirect("SecAction \"id:1,redirect:'https://x.test/%{REMOTE_ADDR}'\"");
  EXPECT_EQ(redirect.rule(1).disruptive, Disruptive::kRedirect);
  EXPECT_EQ(written(redirect.rule(1).redirect), "https://x.test/<REMOTE_ADDR>");
}

TEST(Jumps, GoToTheRuleBehindTheirMarker) {
  const Linked linked(
      "SecMarker END\n"
      "SecRule ARGS x \"id:1,phase:1,skipAfter:END\"\n"
      "SecRule ARGS x \"id:2,phase:2\"\n"
      "SecRule ARGS x \"id:3,phase:1\"\n"
      "SecMarker \"END\"\n"
      "SecRule ARGS x \"id:4,phase:1,skipAfter:NOWHERE\"\n"
      "SecRuleRemoveById 3\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(ids(linked), (Ids{1, 2, 4}));
  EXPECT_EQ(linked.rule(1).head().jump->to, 2U);
  EXPECT_EQ(linked.rule(4).head().jump->to, 3U);
  EXPECT_EQ(linked.warnings,
            "6:40: no SecMarker NOWHERE follows: the rest of the phase is skipped\n");
}

TEST(Jumps, SkipCountsRulesOfItsPhase) {
  const Linked linked(
      "SecRule ARGS x \"id:1,phase:1,skip:2\"\n"
      "SecRule ARGS x \"id:2,phase:2\"\n"
      "SecRule ARGS x \"id:3,phase:1,chain\"\nSecRule ARGS y\n\n"
      "SecRule ARGS x \"id:4,phase:1\"\n"
      "SecRule ARGS x \"id:5,phase:1\"\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(linked.rule(1).head().jump->to, 4U);
}

TEST(Removal, TakesRulesOutWhereverItStands) {
  const Linked linked(
      "SecRuleRemoveById 1 10-19\n"
      "SecRule ARGS x \"id:1,chain\"\nSecRule ARGS y \"t:none\"\n"
      "SecAction \"id:12\"\n"
      "SecRule ARGS x \"id:20,tag:'a/b',tag:'c'\"\n"
      "SecRule ARGS x \"id:21,tag:'a'\"\n"
      "SecRule ARGS x \"id:22,msg:'Some message'\"\n"
      "SecRuleRemoveByTag c\n"
      "SecRuleRemoveByMsg \"Some message\"\n"
      "SecRuleRemoveById 99\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(ids(linked), (Ids{21}));
  EXPECT_EQ(linked.rules.removed, 4U);
  EXPECT_EQ(linked.warnings, "10:19: no rule has the id 99\n");
  EXPECT_EQ(Linked("SecRuleRemoveById 9-5 x\n").errors,
            "1:19: expected a rule id or a range such as 942000-942999, got '9-5'\n"
            "1:23: expected a rule id or a range such as 942000-942999, got 'x'\n");
}

TEST(TargetUpdates, AddAndExcludeTargets) {
  const Linked linked(
      "SecRule ARGS|REQUEST_COOKIES \"@rx a\" \"id:1,tag:'t',msg:'m',chain\"\n"
      "SecRule ARGS \"@rx b\" \"tag:'t'\"\n"
      "SecRuleUpdateTargetById 1 \"!ARGS:password,REQUEST_URI\"\n"
      "SecRuleUpdateTargetByTag t \"!ARGS:/^s/\"\n"
      "SecRuleUpdateTargetByMsg m \"!REQUEST_COOKIES\"\n"
      "SecRuleUpdateTargetById 7 \"!ARGS\"\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(written(linked.rule(1).links[0].targets), "ARGS -:password -:/^s/|REQUEST_URI");
  EXPECT_EQ(written(linked.rule(1).links[1].targets), "ARGS -:/^s/");
  EXPECT_EQ(linked.warnings, "6:1: no rule is meant by this update\n");
  EXPECT_EQ(Linked("SecRuleUpdateTargetById 1 ARGS ARGS_NAMES\n").errors,
            "1:32: replacing a target is not supported, as in ModSecurity v3: exclude the old one "
            "(!NAME) and add the new one\n");
}

TEST(TargetUpdates, ARegexReachesTheNamesOfWhatItTakesOut) {
  const Linked linked(
      "SecRule ARGS_NAMES|ARGS_GET|REQUEST_COOKIES|REQUEST_COOKIES_NAMES \"@rx a\" \"id:1\"\n"
      "SecRule ARGS_NAMES|ARGS \"@rx a\" \"id:2\"\n"
      "SecRuleUpdateTargetById 1 \"!ARGS:/^s/|!REQUEST_COOKIES:/^c/\"\n"
      "SecRuleUpdateTargetById 2 \"!ARGS:s|!ARGS_GET:/^g/\"\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(written(linked.rule(1).head().targets),
            "ARGS_NAMES -:/^s/|ARGS_GET -:/^s/|REQUEST_COOKIES -:/^c/|REQUEST_COOKIES_NAMES "
            "-:/^c/");
  EXPECT_EQ(written(linked.rule(2).head().targets), "ARGS_NAMES|ARGS -:s");
}

TEST(TargetUpdates, ARuleWithoutTargetsNeverMatches) {
  const Linked linked("SecRule ARGS \"@rx a\" \"id:1\"\nSecRuleUpdateTargetById 1 !ARGS\n");
  EXPECT_TRUE(linked.rule(1).head().targets.empty());
  EXPECT_EQ(linked.warnings, "1:9: all targets of this rule are excluded, so it can never match\n");
}

TEST(ActionUpdates, ChangeARuleOfItsChain) {
  const Linked linked(
      "SecRuleUpdateActionById 1 \"pass,nolog,t:lowercase\"\n"
      "SecRuleUpdateActionById 1:1 \"t:none,setvar:tx.a=1\"\n"
      "SecRule ARGS x \"id:1,deny,t:trim,chain\"\nSecRule ARGS y \"t:trim\"\n");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(linked.rule(1).disruptive, Disruptive::kPass);
  EXPECT_FALSE(linked.rule(1).log);
  EXPECT_EQ(linked.rule(1).links[0].transforms,
            (std::vector<TransformId>{TransformId::kTrim, TransformId::kLowercase}));
  EXPECT_TRUE(linked.rule(1).links[1].transforms.empty());
  EXPECT_EQ(linked.rule(1).links[1].set_variables.size(), 1U);
  EXPECT_EQ(Linked("SecRuleUpdateActionById 1 \"id:2\"\nSecRuleUpdateActionById 1:5 \"t:none\"\n"
                   "SecRuleUpdateActionById x \"t:none\"\nSecAction \"id:1\"\n")
                .errors,
            "3:25: expected a rule id, or ID:LINK for a link of its chain, got 'x'\n"
            "1:28: id, phase and chain of a rule cannot be changed\n"
            "2:1: rule 1 has 1 links, counted from 0\n");
}

TEST(Files, AreReadBesideTheRuleThatNamesThem) {
  const Linked linked(
      "SecRule ARGS \"@pmFromFile words.data\" \"id:1\"\n"
      "SecRule ARGS \"@pmf words.data\" \"id:2\"\n"
      "SecRule ARGS \"@ipMatchFromFile /lists/a,b\" \"id:3\"\n"
      "SecRule ARGS \"@pmFromFile https://x.test/w\" \"id:4\"\n"
      "SecRule ARGS \"@pmFromFile missing\" \"id:5\"\n",
      {{"/rules/words.data", "one\ntwo\n"}, {"/lists/a", "10.0.0.1\n"}, {"/rules/b", "::1\n"}});
  EXPECT_EQ(linked.errors,
            "4:27: files are read from this machine only, got 'https://x.test/w'\n"
            "5:27: the file 'missing': not among the stored sources\n");
  ASSERT_EQ(linked.rules.data.size(), 3U);
  EXPECT_EQ(linked.rule(1).head().op.data, (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(linked.rule(2).head().op.data, (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(linked.rule(3).head().op.data, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(linked.rules.data[0].text, "one\ntwo\n");
}

TEST(Includes, ComeInTheirPlaceAndInByteOrder) {
  const Linked linked(
      "SecAction \"id:1\"\nInclude \"more/*.conf\"\nSecAction \"id:2\"\n"
      "IncludeOptional none/*.conf\nInclude none/*.conf\nInclude /rules/test.conf\n",
      {{"/rules/more/b.conf", "SecAction \"id:11\"\n"},
       {"/rules/more/a.conf", "SecAction \"id:10\"\nSecAction \"id:x\"\n"},
       {"/rules/more/.hidden.conf", "broken\n"},
       {"/rules/test.conf", "Include test.conf\n"}});
  EXPECT_EQ(ids(linked), (Ids{1, 10, 0, 11, 2}));
  EXPECT_EQ(linked.errors,
            "/rules/more/a.conf:2:15: expected an id from 1 to 4294967295, got 'x'\n"
            "5:9: none/*.conf: no such file, neither beside this one nor in the working directory "
            "(IncludeOptional accepts that)\n"
            "1:9: /rules/test.conf: included more than 16 files deep: does a file include "
            "itself?\n");
}

TEST(Includes, MayNameTheFolderOfTheInstance) {
  SourceSet sources({{"/rules/a.conf",
                      "Include ${STATE}/bundles/*.conf\nInclude ${HOME}/x\nInclude x/${STATE}/y\n"},
                     {"/var/state/bundles/b.conf", "SecAction \"id:1\"\n"}});
  const auto link = [&] {
    config::Diagnostics diagnostics;
    const LinkedRules linked = link_files({"/rules/a.conf"}, sources, diagnostics);
    std::string said = std::to_string(linked.rules.size()) + " rules\n";
    for (const config::Diagnostic& error : diagnostics.errors) {
      said += std::to_string(error.line) + ": " + error.message + "\n";
    }
    return said;
  };
  const std::string others =
      "2: ${HOME}/x: only ${STATE} is known, and only at the start\n"
      "3: x/${STATE}/y: only ${STATE} is known, and only at the start\n";
  EXPECT_EQ(link(),
            "0 rules\n1: ${STATE}/bundles/*.conf: there is no state folder here\n" + others);
  sources.set_state("/var/state");
  EXPECT_EQ(link(), "1 rules\n" + others);
}

TEST(Unreachable, RulesBehindAnUnconditionalEndAreErrors) {
  const Linked linked(
      "SecAction \"id:1,phase:1,pass,skipAfter:END\"\n"
      "SecRule ARGS x \"id:2,phase:1\"\n"
      "SecRule ARGS x \"id:3,phase:2\"\n"
      "SecMarker END\n"
      "SecRule ARGS x \"id:4,phase:1\"\n"
      "SecRule REQUEST_URI \"@unconditionalMatch\" \"id:5,phase:1,deny\"\n"
      "SecRule ARGS x \"id:6,phase:1\"\n"
      "SecRule ARGS \"@unconditionalMatch\" \"id:7,phase:2,deny\"\n"
      "SecRule ARGS x \"id:8,phase:2\"\n");
  EXPECT_EQ(linked.errors,
            "2:1: rule 2 can never run: rule 1 at /rules/test.conf:1:1 always ends or skips this "
            "part of the phase (remove one of them)\n"
            "7:1: rule 6 can never run: rule 5 at /rules/test.conf:6:1 always ends or skips this "
            "part of the phase (remove one of them)\n");
  EXPECT_EQ(linked.warnings, "");
}

TEST(Unreachable, AJumpOverTheEndReachesTheRest) {
  // "If, else": rule 3 runs where rule 1 matches.
  const Linked linked(
      "SecRule ARGS x \"id:1,phase:1,pass,skipAfter:ELSE\"\n"
      "SecAction \"id:2,phase:1,pass,skipAfter:END\"\n"
      "SecMarker ELSE\n"
      "SecRule ARGS y \"id:3,phase:1\"\n"
      "SecMarker END\n"
      "SecRule ARGS z \"id:4,phase:1,pass,skip:1\"\n"
      "SecAction \"id:5,phase:1,deny\"\n"
      "SecRule ARGS y \"id:6,phase:1\"\n");
  EXPECT_EQ(linked.errors, "");
  EXPECT_EQ(linked.warnings, "");
}

TEST(Unreachable, WhatAControlMayTakeOutIsAWarning) {
  const std::string rest =
      "SecAction \"id:5,phase:1,deny,tag:'end'\"\n"
      "SecRule ARGS y \"id:6,phase:1\"\n";
  for (const std::string take_out :
       {"SecRuleEngine DetectionOnly\n",
        "SecRule ARGS x \"id:1,phase:1,pass,ctl:ruleEngine=Off\"\n",
        "SecRule ARGS x \"id:1,phase:1,pass,ctl:ruleRemoveById=4-9\"\n",
        "SecRule ARGS x \"id:1,phase:1,pass,ctl:ruleRemoveByTag=end\"\n"}) {
    const Linked linked(take_out + rest);
    EXPECT_EQ(linked.errors, "") << take_out;
    EXPECT_NE(linked.warnings.find("rule 6 can never run"), std::string::npos) << take_out;
  }
  const Linked other("SecRule ARGS x \"id:1,phase:1,pass,ctl:ruleRemoveByTag=begin\"\n" + rest);
  EXPECT_NE(other.errors.find("rule 6 can never run"), std::string::npos);
}

TEST(Persistent, WhatCanNeverWorkIsAnError) {
  const Linked linked(
      "SecCollectionTimeout 0\n"
      "SecAction \"id:1,phase:1,expirevar:tx.a=5\"\n"
      "SecAction \"id:2,phase:1,initcol:ip=\"\n"
      "SecAction \"id:3,phase:1,initcol:tx=a\"\n"
      "SecAction \"id:4,phase:1,expirevar:ip.a=soon\"\n"
      "SecAction \"id:5,phase:1,setvar:ip." +
      std::string(129, 'n') + "=1\"\n");
  EXPECT_EQ(linked.errors,
            "2:35: expirevar is for persistent collections (ip, global, resource, session, user): "
            "tx ends with its request\n"
            "3:33: expected a key behind ip=\n"
            "4:33: expected ip=KEY, global=KEY, resource=KEY, session=KEY or user=KEY\n"
            "5:40: expected a number of seconds, got 'soon'\n"
            "6:32: names in persistent collections have at most 128 bytes, this one has 129\n"
            "1:22: SecCollectionTimeout: expected 1 or more seconds: 0 would keep nothing, got "
            "'0'\n");
}

TEST(Persistent, ACollectionWithoutAKeyIsNamedOnce) {
  const Linked linked(
      "SecAction \"id:1,phase:1,setvar:ip.a=1,setvar:global.a=1,setsid:x\"\n"
      "SecRule IP:a|SESSION:b|USER:c \"@eq 1\" \"id:2,phase:1\"\n");
  EXPECT_EQ(linked.errors, "");
  EXPECT_EQ(linked.warnings,
            "1:32: IP is used, but no rule gives it a key (initcol, setsid, setuid, setrsc): all "
            "clients share one collection\n"
            "2:24: USER is used, but no rule gives it a key (initcol, setsid, setuid, setrsc): all "
            "clients share one collection\n");
}

TEST(Sources, AStoredSetLinksLikeTheFiles) {
  SourceSet stored({{"/rules/a.conf", "Include b.conf\n"},
                    {"/rules/b.conf", "SecRule ARGS \"@pmf w\" \"id:1\"\n"},
                    {"/rules/w", "x\n"},
                    {"/rules/unused", "y\n"}});
  config::Diagnostics diagnostics;
  const LinkedRules rules = link_files({"/rules/a*.conf"}, stored, diagnostics);
  EXPECT_TRUE(diagnostics.ok());
  EXPECT_EQ(rules.rules.size(), 1U);
  std::vector<std::string> used;
  for (const publish::Source& source : stored.sources()) used.push_back(source.path);
  EXPECT_EQ(used, (std::vector<std::string>{"/rules/a.conf", "/rules/b.conf", "/rules/w"}));
}

TEST(Sources, WhatIsMissingIsNamed) {
  SourceSet sources(std::vector<publish::Source>{});
  config::Diagnostics diagnostics;
  link_files({"/rules/a.conf", "/rules/*.conf"}, sources, diagnostics);
  EXPECT_EQ(Linked::lines(diagnostics.errors), "/rules/a.conf:1:1: no such file\n");
  EXPECT_EQ(Linked::lines(diagnostics.warnings),
            "/rules/*.conf:1:1: no file matches this pattern\n");
}

}  // namespace
}  // namespace sluice::seclang
