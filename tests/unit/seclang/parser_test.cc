// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "tests/unit/seclang/linked.h"

namespace sluice::seclang {
namespace {

using abi::OperatorId;
using abi::TransformId;

std::string targets_of(const std::string& list) {
  const Linked linked("SecRule " + list + " \"@rx x\" \"id:1,phase:2\"");
  return linked.errors.empty() ? written(linked.rule(1).head().targets) : linked.errors;
}

Operator operator_of(const std::string& text) {
  const Linked linked("SecRule ARGS \"" + text + "\" \"id:1\"");
  EXPECT_EQ(linked.errors, "");
  return linked.rule(1).head().op;
}

TEST(Lexer, LinesGoOnBehindABackslash) {
  const Linked linked(
      "SecRule ARGS|\\\n  REQUEST_URI \\\n    \"@rx a\" \\\r\n    \"id:1,\\\n    phase:2,\\\n"
      "  msg:'one \\\n   two'\"\nSecMarker END\n");
  EXPECT_EQ(linked.errors, "");
  EXPECT_EQ(linked.rule(1).phase, 2);
  EXPECT_EQ(written(*linked.rule(1).head().msg), "onetwo");
}

TEST(Lexer, APatternKeepsItsBackslashes) {
  EXPECT_EQ(operator_of(R"(@rx a\"b\\)").argument, R"(a\"b\\)");
  EXPECT_EQ(operator_of("@rx a\\\nb").argument, "a\\\nb");
}

TEST(Lexer, CommentsStandWhereADirectiveMay) {
  const Linked linked(
      "  # SecRule ARGS \\\n  \"@rx x\" \\\n \"id:2\"\n# any other \\\nSecAction \"id:1,nolog\" "
      "\n");
  EXPECT_EQ(linked.errors, "");
  ASSERT_EQ(linked.rules.rules.size(), 1U);
  EXPECT_EQ(linked.rules.rules[0].id, 1U);
  EXPECT_EQ(Linked("SecMarker # no comment\n").errors,
            "1:13: SecMarker takes 1 value, got more: quote a text that holds blanks\n");
}

TEST(Lexer, CommentsMayStandBehindTheValues) {
  const Linked linked(
      "SecRuleEngine On # no \"text\n"
      "SecRule ARGS #1 \"id:1,phase:2\" # goes on: no \\\n"
      "SecAction \"id:2,nolog\"\t# the end");
  EXPECT_EQ(linked.errors, "");
  EXPECT_EQ(linked.rule(1).head().op.argument, "#1");
  EXPECT_EQ(linked.rule(2).id, 2U);
}

TEST(Lexer, AnOpenQuoteEndsAtItsLine) {
  const Linked linked("SecRule ARGS \"@rx x \"id:1\nSecAction \"id:2\nSecAction \"id:3\"\n");
  EXPECT_EQ(linked.errors,
            "1:22: expected a blank behind the closing \"\n"
            "2:11: the text that \" opens here is not closed (expected \", or a backslash at the "
            "end of the line)\n");
  EXPECT_EQ(linked.rule(3).id, 3U);
}

TEST(Lexer, ATextOfNoRulesIsRefusedOnce) {
  EXPECT_EQ(Linked(std::string("SecRule\0x\ny", 11)).errors,
            "1:8: a NUL byte: not a text of rules\n");
}

TEST(Parser, UnknownNamesSuggestTheNearest) {
  EXPECT_EQ(Linked("SecRul ARGS x\nFoo\n").errors,
            "1:1: unknown directive SecRul (did you mean SecRule?)\n"
            "2:1: unknown directive Foo\n");
  EXPECT_EQ(
      Linked("SecRule ARG|REQUST_URI \"@conains x\" \"id:1,mesg:'x',t:lowercas,ctl:rulEngine=On\"")
          .errors,
      "1:9: unknown variable ARG (did you mean ARGS?)\n"
      "1:13: unknown variable REQUST_URI (did you mean REQUEST_URI?)\n"
      "1:26: unknown operator @conains (did you mean contains?)\n"
      "1:43: unknown action mesg (did you mean msg?)\n"
      "1:54: unknown transformation lowercas (did you mean lowercase?)\n"
      "1:67: unknown ctl rulEngine (did you mean ruleEngine?)\n");
}

TEST(Parser, WhatHasNoMeaningHereIsNamed) {
  const Linked linked(
      "SecRuleScript /x.lua\n"
      "SecChrootDir /chroot\n"
      "SecContentInjection Off\n"
      "SecContentInjection On\n"
      "<IfModule security2_module>\n"
      "SecRule ENV:PATH \"@rx x\" \"id:1\"\n"
      "SecRule ARGS \"@inspectFile /x\" \"id:2\"\n"
      "SecRule ARGS \"@rbl x.test\" \"id:3,exec:/bin/sh\"\n");
  EXPECT_EQ(linked.errors,
            "1:1: SecRuleScript is not supported: runs a program: not possible on a network "
            "appliance\n"
            "4:1: SecContentInjection is not supported: responses are never rewritten\n"
            "5:1: sections of Apache (<IfModule) are not supported: put the directives here "
            "without them\n"
            "6:9: the variable ENV is not supported: the environment of a process says nothing "
            "about traffic\n"
            "7:15: @inspectFile is not supported: runs a program on the value: not possible on a "
            "network appliance\n"
            "8:34: the action exec is not supported: runs a program: not possible on a network "
            "appliance\n");
  EXPECT_EQ(linked.warnings,
            "2:1: SecChrootDir has no effect: there is no server process here\n"
            "8:15: @rbl never matches here\n");
}

TEST(Targets, AreListsWithSelectorsCountsAndExclusions) {
  EXPECT_EQ(targets_of("args|REQUEST_HEADERS:User-Agent,&ARGS_GET:a"),
            "ARGS|REQUEST_HEADERS:User-Agent|&ARGS_GET:a");
  EXPECT_EQ(targets_of("\"ARGS:/^(?:a|b)$/|TX:'/x|y/'|TX:'a b'\""),
            "ARGS:/^(?:a|b)$/|TX:/x|y/|TX:a b");
  EXPECT_EQ(targets_of("XML:/*|XML://@*"), "XML:/*|XML://@*");
  EXPECT_EQ(targets_of("XML://text()|&XML://text()"), "XML://text()|&XML://text()");
  EXPECT_EQ(targets_of("TX.a.b|&ARGS.n|REQUEST_HEADERS./^x/|!ARGS.o"),
            "TX:a.b|&ARGS:n|REQUEST_HEADERS:/^x/");
  EXPECT_EQ(targets_of("&TX:'/LEAKAGE\\\\\\/ERRORS/'"), "&TX:/LEAKAGE\\\\\\/ERRORS/");
}

TEST(Targets, ExclusionsMeetTheSameCollectionInAnyOrder) {
  EXPECT_EQ(targets_of("ARGS|!ARGS:Foo|!ARGS:/^b/"), "ARGS -:Foo -:/^b/");
  EXPECT_EQ(targets_of("!ARGS:foo|ARGS|ARGS_NAMES|&ARGS"), "ARGS -:foo|ARGS_NAMES|&ARGS");
  EXPECT_EQ(targets_of("ARGS:A|ARGS_GET|!ARGS:a"), "ARGS_GET");
  EXPECT_EQ(targets_of("ARGS|ARGS:a|!ARGS"), "ARGS:a");
  EXPECT_EQ(targets_of("ARGS:/x/|!ARGS:x"), "ARGS:/x/ -:x");
}

TEST(Targets, WhatCannotBeSelectedIsRefused) {
  EXPECT_EQ(targets_of("REQUEST_URI:x"),
            "1:20: the variable REQUEST_URI is a single value: nothing can be selected from it\n");
  EXPECT_EQ(targets_of("XML:/a/b"),
            "1:13: the XPath /a/b is not supported: bodies are judged as they stream (expected /*, "
            "//@* or //text())\n");
  EXPECT_EQ(targets_of("ARGS:/x"), "1:14: the regex that opens here has no end (expected /)\n");
  EXPECT_EQ(targets_of("ARGS:"), "1:14: expected a name or a /regex/ behind the colon\n");
  EXPECT_EQ(targets_of("!&ARGS"), "1:10: expected the name of a variable behind ! or &\n");
}

TEST(Operators, DefaultToRxAndNegateInFrontOfTheName) {
  EXPECT_EQ(operator_of("a|b").id, OperatorId::kRx);
  EXPECT_EQ(operator_of("a|b").argument, "a|b");
  EXPECT_TRUE(operator_of("!a").negated);
  EXPECT_EQ(operator_of("!@STREQ  a ").id, OperatorId::kStreq);
  EXPECT_EQ(operator_of("!@streq  a ").argument, "a ");
  const Operator odd = operator_of("! @streq a");
  EXPECT_TRUE(odd.negated);
  EXPECT_EQ(odd.id, OperatorId::kRx);
  EXPECT_EQ(odd.argument, " @streq a");
}

TEST(Operators, AnArgumentIsNeededWhereTheReferenceNeedsOne) {
  EXPECT_EQ(Linked("SecRule ARGS \"@rx\" \"id:1\"\nSecRule ARGS \"@contains \" \"id:2\"\n").errors,
            "1:18: @rx needs an argument\n2:25: @contains needs an argument\n");
  EXPECT_EQ(operator_of("@detectSQLi").id, OperatorId::kDetectSqli);
  EXPECT_EQ(operator_of("").id, OperatorId::kRx);
}

TEST(Operators, MacrosAreParsedWhereTheyAreExpanded) {
  EXPECT_EQ(written(operator_of("@within %{tx.allowed_methods} x").expanded),
            "<TX.allowed_methods> x");
  EXPECT_EQ(written(operator_of("@pm %{tx.a} b").expanded), "%{tx.a} b");
  EXPECT_EQ(Linked("SecRule ARGS \"@rx a%{nope}b%{tx.\" \"id:1\"").errors,
            "1:22: the macro %{nope} names no variable\n"
            "1:28: the macro that opens here has no end (expected })\n");
  EXPECT_EQ(written(operator_of("@rx 100%").expanded), "100%");
  EXPECT_EQ(Linked("SecRule ARGS \"@streq %{ARGS:/a/}\" \"id:1\"").warnings,
            "1:29: a macro names its member: there is no /regex/ in it, so this is empty\n");
}

TEST(Actions, MetadataIsRead) {
  const Linked linked(
      "SecRule ARGS \"@rx x\" \"id:'7', phase:response,rev:'3',ver:'CRS/4, x',severity:'Warning',"
      "maturity:9,accuracy:8,tag:'a/b',tag:c,msg:'it\\'s %{MATCHED_VAR}',logdata:%{tx.0},"
      "multimatch,capture,status:418,deny,t:none,t:urlDecodeUni,t:normalisePath,\"");
  ASSERT_EQ(linked.errors, "");
  const Rule& rule = linked.rule(7);
  const Link& head = rule.head();
  EXPECT_EQ(rule.phase, 4);
  EXPECT_EQ(rule.rev, "3");
  EXPECT_EQ(rule.ver, "CRS/4, x");
  EXPECT_EQ(head.severity, 4);
  EXPECT_EQ(rule.maturity, 9);
  EXPECT_EQ(rule.accuracy, 8);
  ASSERT_EQ(head.tags.size(), 2U);
  EXPECT_EQ(written(head.tags[1]), "c");
  EXPECT_EQ(written(*head.msg), "it\\'s <MATCHED_VAR>");
  EXPECT_EQ(written(*head.logdata), "<TX.0>");
  EXPECT_TRUE(head.multi_match);
  EXPECT_TRUE(head.capture);
  EXPECT_EQ(head.status, 418);
  EXPECT_EQ(rule.disruptive, Disruptive::kDeny);
  EXPECT_EQ(head.transforms,
            (std::vector<TransformId>{TransformId::kUrlDecodeUni, TransformId::kNormalizePath}));
}

TEST(Actions, WrongValuesSayWhatWasExpected) {
  EXPECT_EQ(
      Linked("SecAction \"id:x,phase:6,severity:9,status:9,skip:0,deny:1,msg,allow:all\"").errors,
      "1:15: expected an id from 1 to 4294967295, got 'x'\n"
      "1:23: expected a phase from 1 to 5, request, response or logging, got '6'\n"
      "1:34: expected a severity from 0 to 7 or EMERGENCY to DEBUG, got '9'\n"
      "1:43: expected a status from 100 to 599, got '9'\n"
      "1:50: expected how many rules to skip, 1 or more, got '0'\n"
      "1:57: the action deny takes no value\n"
      "1:59: the action msg needs a value (expected msg:...)\n"
      "1:69: expected allow, allow:phase or allow:request, got 'all'\n");
  EXPECT_EQ(
      Linked("SecAction \"id:1,,deny\"\nSecAction \"id:2 deny\"\nSecAction \"id:3,msg:'a\"").errors,
      "1:17: expected an action in front of the comma\n"
      "2:15: expected an id from 1 to 4294967295, got '2 deny'\n"
      "3:21: the value that opens here is not closed (expected ')\n");
}

TEST(Actions, SetvarHasAllItsForms) {
  const Linked linked(
      "SecAction \"id:1,setvar:tx.a,setvar:'tx.b=c, d',setvar:ip.n=+%{tx.k},setvar:TX:m=-3,"
      "setvar:!tx.gone,setvar:'tx.p_%{MATCHED_VAR_NAME}=+1',setvar:tx.empty=\"");
  ASSERT_EQ(linked.errors, "");
  const auto& set = linked.rule(1).head().set_variables;
  ASSERT_EQ(set.size(), 7U);
  using Kind = SetVariable::Kind;
  const Kind kinds[] = {Kind::kSet,    Kind::kSet, Kind::kAdd, Kind::kSubtract,
                        Kind::kDelete, Kind::kAdd, Kind::kSet};
  const char* keys[] = {"a", "b", "n", "m", "gone", "p_<MATCHED_VAR_NAME>", "empty"};
  const char* values[] = {"1", "c, d", "<TX.k>", "3", "", "1", ""};
  for (std::size_t i = 0; i < set.size(); ++i) {
    EXPECT_EQ(set[i].kind, kinds[i]) << i;
    EXPECT_EQ(written(set[i].key), keys[i]) << i;
    EXPECT_EQ(written(set[i].value), values[i]) << i;
  }
  EXPECT_EQ(set[2].collection, abi::VariableId::kIp);
  EXPECT_EQ(
      Linked("SecAction \"id:1,setvar:args.a=1,setvar:tx,setvar:!tx.a=1,setvar:tx.a=+\"").errors,
      "1:24: expected a collection that rules can write (tx, ip, global, resource, session, "
      "user), got 'args'\n"
      "1:40: expected tx.NAME\n"
      "1:55: a variable that is deleted (!) takes no value\n"
      "1:69: expected a number behind +\n");
}

TEST(Actions, CollectionsAreInitialisedAndExpire) {
  const Linked linked(
      "SecAction \"id:1,initcol:ip=%{REMOTE_ADDR}_x,setsid:%{tx.s},expirevar:'ip.a=%{tx.t}',"
      "expirevar:ip.b=60\"");
  ASSERT_EQ(linked.errors, "");
  const auto& effects = linked.rule(1).head().effects;
  ASSERT_EQ(effects.size(), 4U);
  EXPECT_EQ(written(std::get<InitCollection>(effects[0]).key), "<REMOTE_ADDR>_x");
  EXPECT_EQ(std::get<InitCollection>(effects[1]).collection, abi::VariableId::kSession);
  EXPECT_EQ(written(std::get<ExpireVariable>(effects[2]).seconds), "<TX.t>");
  EXPECT_EQ(Linked("SecAction \"id:1,initcol:tx=1,expirevar:ip.a,expirevar:ip.a=soon\"").errors,
            "1:25: expected ip=KEY, global=KEY, resource=KEY, session=KEY or user=KEY\n"
            "1:40: expected COLLECTION.NAME=SECONDS\n"
            "1:60: expected a number of seconds, got 'soon'\n");
}

TEST(Actions, ControlsHaveAllTheirForms) {
  const Linked linked(
      "SecAction \"id:1,ctl:ruleEngine=DetectionOnly,ctl:ruleRemoveById=942100-942999,"
      "ctl:ruleRemoveByTag=attack-sqli,ctl:ruleRemoveTargetById=942100;ARGS:pw,"
      "ctl:ruleRemoveTargetByTag=OWASP_CRS;REQUEST_COOKIES:/^s_/,ctl:requestBodyProcessor=xml,"
      "ctl:requestBodyAccess=Off,ctl:auditLogParts=+E,ctl:requestBodyLimit=100\"");
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(linked.warnings, "");
  const auto& effects = linked.rule(1).head().effects;
  ASSERT_EQ(effects.size(), 8U);  // audit parts are mapped: nothing to run
  const auto control = [&](std::size_t i) { return std::get<Control>(effects[i]); };
  EXPECT_EQ(control(0).engine, EngineMode::kDetectionOnly);
  EXPECT_EQ(control(1).first_id, 942100U);
  EXPECT_EQ(control(1).last_id, 942999U);
  EXPECT_EQ(control(2).text, "attack-sqli");
  EXPECT_EQ(control(3).first_id, 942100U);
  EXPECT_EQ(written(control(3).target), "ARGS:pw");
  EXPECT_EQ(control(4).text, "OWASP_CRS");
  EXPECT_EQ(written(control(4).target), "REQUEST_COOKIES:/^s_/");
  EXPECT_EQ(control(5).processor, BodyProcessor::kXml);
  EXPECT_FALSE(control(6).on);
  EXPECT_EQ(control(7).number, 100U);
  EXPECT_EQ(Linked("SecAction \"id:1,ctl:ruleEngine=Of,ctl:ruleRemoveById=9-5,"
                   "ctl:ruleRemoveTargetById=5,ctl:hashEngine=On,ctl:debugLogLevel=3\"")
                .errors,
            "1:32: expected On, Off or DetectionOnly, got 'Of'\n"
            "1:54: expected a rule id or a range such as 942000-942999, got '9-5'\n"
            "1:83: expected a rule and a target with ; between them, got '5'\n"
            "1:89: ctl:hashEngine is not supported: not supported by ModSecurity 3.0.9 either\n");
}

TEST(Settings, AreReadWithTheirErrors) {
  const Linked linked(
      "SecRuleEngine detectiononly\nSecRequestBodyAccess Off\nSecResponseBodyAccess On\n"
      "SecRequestBodyLimit 13107200\nSecRequestBodyNoFilesLimit 131072\n"
      "SecRequestBodyLimitAction Reject\nSecResponseBodyLimit 524288\n"
      "SecResponseBodyLimitAction ProcessPartial\nSecRequestBodyJsonDepthLimit 512\n"
      "SecArgumentsLimit 1000\nSecArgumentSeparator ;\nSecCollectionTimeout 600\n"
      "SecWebAppId \"shop\"\nSecComponentSignature \"OWASP_CRS/3.3.4\"\n"
      "SecComponentSignature \"local\"\nSecPcreMatchLimit 1000\nSecUploadFileLimit 32\n"
      "SecResponseBodyMimeType text/plain TEXT/html\nSecResponseBodyMimeType text/xml\n"
      "SecUnicodeMapFile unicode.mapping 20127\nSecGeoLookupDb geo.mmdb\n"
      "SecXmlExternalEntity Off\nSecParseXmlIntoArgs Off\nSecAuditEngine "
      "RelevantOnly\nSecAuditLogParts ABIJDEFHZ\n",
      {{"/rules/unicode.mapping", "20127 (US-ASCII)\n00a0:20\n"}});
  ASSERT_EQ(linked.errors, "");
  EXPECT_EQ(
      linked.warnings,
      "17:1: SecUploadFileLimit has no effect: files are judged as they pass; the values of a "
      "request are bounded (http_args)\n");
  const Settings& settings = linked.rules.settings;
  EXPECT_EQ(settings.engine, EngineMode::kDetectionOnly);
  EXPECT_TRUE(settings.engine_set);
  EXPECT_FALSE(settings.request_body_access);
  EXPECT_TRUE(settings.response_body_access);
  EXPECT_EQ(settings.request_body_limit, 13107200U);
  EXPECT_EQ(settings.request_body_no_files_limit, 131072U);
  EXPECT_EQ(settings.request_body_limit_action, LimitAction::kReject);
  EXPECT_EQ(settings.response_body_limit, 524288U);
  EXPECT_EQ(settings.response_body_limit_action, LimitAction::kProcessPartial);
  EXPECT_EQ(settings.json_depth_limit, 512U);
  EXPECT_EQ(settings.arguments_limit, 1000U);
  EXPECT_EQ(settings.argument_separator, ';');
  EXPECT_EQ(settings.collection_timeout_s, 600U);
  EXPECT_EQ(settings.web_app_id, "shop");
  EXPECT_EQ(settings.component_signature, "OWASP_CRS/3.3.4 local");
  EXPECT_EQ(settings.pcre_match_limit, 1000U);
  EXPECT_EQ(settings.response_mime_types,
            (std::vector<std::string>{"text/plain", "text/html", "text/xml"}));
  ASSERT_TRUE(settings.unicode_map.has_value());
  EXPECT_EQ(linked.rules.data[*settings.unicode_map].path, "/rules/unicode.mapping");
  EXPECT_EQ(settings.unicode_code_page, 20127U);
  EXPECT_EQ(settings.geo_database, "/rules/geo.mmdb");
  EXPECT_EQ(Linked("SecRuleEngine Maybe\nSecRequestBodyLimit 1k\nSecRequestBodyLimitAction "
                   "Drop\nSecArgumentSeparator ab\nSecXmlExternalEntity On\nSecWebAppId\n"
                   "SecParseXmlIntoArgs OnlyArgs\n")
                .errors,
            "6:12: SecWebAppId needs 1 value, got 0\n"
            "1:15: SecRuleEngine: expected On, Off or DetectionOnly, got 'Maybe'\n"
            "2:21: SecRequestBodyLimit: expected a number of bytes, got '1k'\n"
            "3:27: SecRequestBodyLimitAction: expected Reject or ProcessPartial, got 'Drop'\n"
            "4:22: SecArgumentSeparator: expected one character, got 'ab'\n"
            "5:22: SecXmlExternalEntity: expected Off: external entities are never read, got "
            "'On'\n"
            "7:21: SecParseXmlIntoArgs: expected Off: rules see XML in XML:/*, XML://@* and "
            "XML://text(), got 'OnlyArgs'\n");
}

}  // namespace
}  // namespace sluice::seclang
