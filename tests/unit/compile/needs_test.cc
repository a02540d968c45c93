// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/needs.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "controlplane/compile/honest_sample.h"
#include "controlplane/compile/lead.h"
#include "dataplane/rules/operator/regex.h"
#include "dataplane/rules/scan_index.h"

extern "C" int libinjection_xss(const char* text, std::size_t bytes);

namespace sluice::compile {
namespace {

bool meets(const Needs& needs, std::string_view value) {
  const std::uint64_t classes = rules::class_bitmap(base::as_bytes(value));
  rules::GramSet grams;
  static const std::uint64_t kNone[64] = {};
  rules::Gram hits[4096];
  grams.assign(base::as_bytes(value), rules::WantedGrams(kNone), hits);
  for (const Need& need : needs) {
    bool met = (need.classes & ~classes) == 0;
    const bool lines = value.find_first_of("\t\n\v\f\r") != std::string_view::npos;
    if ((need.forbidden & classes) != 0 && !(need.by_line && lines)) met = false;
    for (const rules::Gram pair : need.grams) met = met && grams.has(pair);
    if (met) return true;
  }
  return false;
}

bool begins(const abi::ScanLead& lead, std::string_view value) {
  return rules::begins_as(lead, base::as_bytes(value));
}

bool knows_nothing(const Needs& needs) { return needs.size() == 1 && needs[0].nothing(); }

// Written like those of real rule sets, each with something that could be read wrongly.
const char* const kPatterns[] = {
    R"((?i)union.*?select.*?from)",
    R"(^(?i:file|ftps?|https?):\/\/(?:\d{1,3}\.){3}\d{1,3})",
    R"((?:;|\{|\||&&?|\n|\r|`)\s*(?:cat|ls|id)\b)",
    R"([\s"'`;\/0-9=\x0B\x09\x0C\x3B\x2C\x28]on[a-zA-Z]+[\s\x0B]*?=)",
    R"((?:<\?(?:[^x]|x[^m]|xm[^l]|xml[^\s]|xml$|$)|<\?php|\[[\/\\]?php\]))",
    R"((?i:(?:["'`](?:;?\s*?(?:having|select|union)\b\s*?[^\s]|\s*?!\s*?["'`\w])|c(?:har|onnection_id)\s*?\()))",
    R"(\b(?:if(?:/i)?(?: not)?(?: exist\b| defined\b)|for(?:/[dflr].*)? %+[^ ]+ in\(.*\)\s?do)\b)",
    R"((?<!a)b(?!c)(?=d).e?f{2,3}g{0}h*i+?j)",
    R"(x(?:y|z|)w|(?:)q)",
    R"([^\W\d_]{3}-[[:digit:]]+[]x-]?)",
    R"((['"])\w+\1\s*=\s*\1)",
    R"((?>ab|a)c++d*+)",
    R"(\x41\x{42}\103?\.\-\$)",
    R"(a{2}b{,3}c{1,}d)",
    R"(^\s*[A-Z]:\\(?#comment)windows)",
    R"((?P<name>sel)ect(?<two>ed)?)",
    R"([\x00\xff\xac]\xed|\t\0)",
    R"(\A\s*(?:id|cat|union|1)\s*\z)",
    R"(^(?:[a-c]+|\d+)$)",
    R"((?i)^(?:GET|SELECT)\z)",
    R"(^a$|b)",
    R"(1[0-2]{2}\.|12[37]|[0-9]42)",
    R"(\A(?:(?:a)|.b)\z)",
    R"(x[' ?[=<>]+|[a[.]o|[[:x]y|[[=\]]b|[[[:digit:]=]c)",
    R"((?:[~!@#$%^&*()\-+={}\[\]|:;"'`<>][^~!@#$%^&*()\-+={}\[\]|:;"'`<>]*?){3})",
    R"([^\w\s]{2})",
    R"(\A(?:a{2,3}|b)(?:c|$|\n)d?)",
    R"(^a$\n?b|c{3}$|\Ax+\n^y)",
    R"(\A(?:(?>ab+|i)c|(['"])\1x|\bfrom\z))",
    R"(\A(?i:un)(?!x)ion\b|^\s*(?=i)id\Z)",
    R"((?:^|[;(])a(?:\z|b))",
    R"(\A[^a]?\Gb*+\.|\A(?:\s*\b)*from)",
    R"((?:\x5c|%(?:2f|5c|c0%af|u221[56])|0x(?:2f|5c)|\/)(?:%(?:2e|u002e|c0%ae)|\.(?:%00|\?)?|\?\.?|0x2e){2}(?:\x5c|%(?:2f|5c)|\/))",
    R"((?:[a-f]|x[0-2])?(?:[;:.,]|(?:\b|c)id)+(?:[<=>]|y[0-2]|\s))",
};

TEST(Needs, NoMatchFailsThem) {
  std::mt19937_64 random(20240611);
  auto context = std::move(rules::RegexContext::create()).value();
  const std::string sprinkle = "aAbBcdefgioxyz019 \t\n\r'\"`;:/\\<>()[]{}=|&%$.-_+*?!#@,~^";
  const char* const words[] = {
      "union",       "SELECT",   "from",         "http://",        "1.2.3.4", "cat", "onload=",
      "<?php",       "having",   "if not exist", "for %a in() do", "bde",     "ff",  "abc",
      "C:\\windows", "selected", "''",           "\xac\xed",       "id",      "xw",  "aabccd",
      "AB.-$",       "char(",    "/..",          "\\?.",           "%2f%2e"};
  std::size_t matches = 0;
  for (const char* pattern : kPatterns) {
    const auto regex = rules::Regex::compile(pattern);
    ASSERT_TRUE(regex.ok()) << pattern << regex.error().message;
    const Needs needs = regex_needs(pattern);
    const abi::ScanLead lead = lead_of(pattern);
    for (int round = 0; round < 20000; ++round) {
      std::string value;
      for (std::uint64_t parts = random() % 6; parts > 0; --parts) {
        if (random() % 2 == 0) {
          value += words[random() % std::size(words)];
        } else {
          for (std::uint64_t n = random() % 4; n > 0; --n)
            value += sprinkle[random() % sprinkle.size()];
        }
      }
      if (context.match(regex.value(), base::as_bytes(value)) != rules::MatchOutcome::kMatch)
        continue;
      ++matches;
      ASSERT_TRUE(meets(needs, value)) << pattern << " matches " << value << ", seed 20240611";
      ASSERT_TRUE(begins(lead, value)) << pattern << " matches " << value << ", seed 20240611";
    }
  }
  EXPECT_GT(matches, 5000U);
}

TEST(Needs, ExcludeHonestValues) {
  const Needs sql = regex_needs(R"((?i)union.*?select.*?from)");
  EXPECT_FALSE(meets(sql, "a selection of the best from the area"));
  EXPECT_TRUE(meets(sql, "1 UNION SELECT a FROM b"));
  EXPECT_FALSE(meets(regex_needs(R"((?:;|`)\s*(?:cat|ls)\b)"), "a catalogue of tools"));
  EXPECT_FALSE(meets(regex_needs("<script[^>]*>"), "description"));
  EXPECT_FALSE(meets(literal_needs({"/etc/passwd", "boot.ini"}), "/etc/hosts"));
  EXPECT_TRUE(meets(literal_needs({"/etc/passwd", "boot.ini"}), "C:/BOOT.INI"));
  EXPECT_FALSE(meets(regex_needs(R"(^(?:4294967295|127\.0\.0\.1)$)"), "31415926535"));
  EXPECT_TRUE(meets(regex_needs(R"(^(?:4294967295|127\.0\.0\.1)$)"), "4294967295"));
}

TEST(Needs, PartsOfManyTextsStandSideBySide) {
  const Needs way_up = regex_needs(
      R"((?:\x5c|%(?:2f|5c|c0%af|u221[56])|0x(?:2f|5c)|\/)(?:%(?:2e|u002e|c0%ae)|\.(?:%0[01]|\?)?|\?\.?|0x2e){2}(?:\x5c|%(?:2f|5c)|\/))");
  EXPECT_TRUE(meets(way_up, "a/../b"));
  EXPECT_TRUE(meets(way_up, "a%2f%2e?/b"));
  EXPECT_FALSE(meets(way_up, "text/html,application/xml;q=0.9,*/*;q=0.8"));
  EXPECT_FALSE(meets(way_up, "/garden/5042?blue0=a.b&river1=12%3A30"));
}

TEST(Needs, SetsOfManySignsNeedOneOfThem) {
  const Needs signs = regex_needs(R"((?:[~!@#$%^&*()\-+={}|:;"'`<>][^~!@#$]*?){12})");
  EXPECT_FALSE(meets(signs, "customer camera paper travel 5043"));
  EXPECT_TRUE(meets(signs, "a-b-c-d-e-f-g-h-i-j-k-l-m"));
  // The second bracket holds a `[` that begins no class.
  EXPECT_FALSE(meets(regex_needs(R"(having ?['"][^=]{1,9}['" ?[=<>]+|order\sby)"), "paper 5043"));
}

TEST(Needs, WholeValuesHoldNothingElse) {
  const Needs flag = regex_needs(R"((?i)\A\s*(?:true|1|yes|on)\s*\z)");
  EXPECT_TRUE(meets(flag, " True\n"));
  EXPECT_FALSE(meets(flag, "true blue"));
  EXPECT_FALSE(meets(flag, "2024-11-01"));
  const Needs address = regex_needs(R"(^[\d.:]+$)");
  EXPECT_FALSE(meets(address, "www1.example"));
  EXPECT_TRUE(meets(address, "www1.example\n10.0.0.1"));  // a line of it
}

TEST(Lead, ValuesBeginAsThePatternDoes) {
  const abi::ScanLead flag = lead_of(R"((?i)\A\s*(?:true|1|yes|on|\d{4,12}|premium)\s*\z)");
  EXPECT_TRUE(begins(flag, "TRUE "));
  EXPECT_TRUE(begins(flag, "1"));
  EXPECT_TRUE(begins(flag, "20241201"));
  EXPECT_FALSE(begins(flag, ""));
  EXPECT_FALSE(begins(flag, "table"));
  EXPECT_FALSE(begins(flag, "10 %"));
  EXPECT_FALSE(begins(flag, "\xc3\xa9"));
  const abi::ScanLead script = lead_of(R"(\A[ -~\s]{0,400}?<\s*script\b)");
  EXPECT_EQ(script.least, 7);
  EXPECT_FALSE(begins(script, "<scrip"));
  EXPECT_TRUE(begins(script, "abcdefgh\x80"));  // the first four alone are looked at
  EXPECT_FALSE(begins(script, "abc\x80<script"));
  const abi::ScanLead any = lead_of("x{3}y|z");
  EXPECT_EQ(any.least, 1);
  EXPECT_EQ(any.count, 0);
  EXPECT_EQ(lead_of(R"(\Aa|b)").count, 0);
  EXPECT_EQ(lead_of(R"((?:\Aa){2}b)").least, 2);
}

TEST(Lead, WhatIsNotUnderstoodAsksForNothing) {
  for (const char* pattern :
       {"(?x)\\Aa b # c", "\\Aa(?R)?b", R"(\A\Qabc\E)", R"(\A\p{L}bc)", R"(\A(?:a|))"}) {
    const abi::ScanLead lead = lead_of(pattern);
    EXPECT_EQ(lead.count, 0) << pattern;
    EXPECT_LE(lead.least, 1) << pattern;
  }
}

TEST(Needs, LibinjectionFindsNoScriptInWhatFailsThem) {
  const std::vector<std::string> pieces = {"'",
                                           "\"",
                                           "`",
                                           " ",
                                           "/",
                                           "=",
                                           "<",
                                           ">",
                                           "on",
                                           "ON",
                                           "onx",
                                           "onload",
                                           "xmlns",
                                           "XLINK:",
                                           "xlink:href",
                                           "href",
                                           "Action",
                                           "form",
                                           "by",
                                           "BY",
                                           "from",
                                           "to",
                                           "src",
                                           "data",
                                           "dyn",
                                           "low",
                                           "style",
                                           "poster",
                                           "values",
                                           "handler",
                                           "folder",
                                           "filter",
                                           "attributename",
                                           "background",
                                           "dataformatas",
                                           "datasrc",
                                           "formaction",
                                           "javascript:",
                                           "view-source:x",
                                           "data:",
                                           "vbscript:",
                                           "!--",
                                           "[if",
                                           "script",
                                           "x",
                                           "1",
                                           "\n",
                                           "&#106;avascript:",
                                           "a=b",
                                           std::string(1, 0),
                                           std::string("o\0n", 3),
                                           std::string("s\0rc", 4)};
  const Needs needs = xss_needs();
  std::mt19937_64 random(20261201);
  std::size_t found = 0, without_tag = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    std::string text;
    for (std::uint64_t parts = 1 + random() % 9; parts > 0; --parts) {
      text += pieces[random() % pieces.size()];
    }
    if (libinjection_xss(text.data(), text.size()) == 0) continue;
    ASSERT_TRUE(meets(needs, text)) << text << ", seed 20261201";
    ++found;
    if (text.find('<') == std::string::npos) ++without_tag;
  }
  EXPECT_GT(found, 15'000U);
  EXPECT_GT(without_tag, 5'000U);
  EXPECT_FALSE(meets(needs, "' or '1'='1"));
  EXPECT_FALSE(meets(needs, "https://shop.example/cart?id=17"));
}

TEST(Needs, WhatIsNotUnderstoodAsksForNothing) {
  for (const char* pattern : {"(?x)a b # c", "a(?R)?b", R"(\Qabc\E)", R"(\p{L}bc)", "(?(1)a|b)",
                              R"((a)\18)", "[[.a.]]bc", ".*", "[^a]", "a|"}) {
    EXPECT_TRUE(knows_nothing(regex_needs(pattern))) << pattern;
  }
}

TEST(Needs, WhatNearlyEveryValueHasIsOneWay) {
  const Needs text = regex_needs(R"(\A[\w+/-]{6,}={0,2}\s*\z)");
  ASSERT_EQ(text.size(), 1u);
  EXPECT_TRUE(meets(text, "dGhlIHF1aWNr"));
  EXPECT_FALSE(meets(text, "a,b,c,d,e,f"));
}

TEST(Needs, MergedListsLoseThoseFirstThatFewHonestValuesPass) {
  // 300 endings, and a word that must not be merged with another: "oo" would be left of it.
  std::string pattern = "(?:zoo";
  for (int i = 0; i < 300; ++i) {
    pattern += "|~" + std::string(1, static_cast<char>('a' + i % 26)) + "`" + std::to_string(i);
  }
  const Needs needs = regex_needs(pattern + ")");
  EXPECT_LE(needs.size(), kNeedsMax);
  EXPECT_TRUE(meets(needs, "a zoo"));
  EXPECT_TRUE(meets(needs, "~k`296"));
  EXPECT_FALSE(meets(needs, "order a book"));
  EXPECT_LT(share_in_sample(needs), 0.03);
}

TEST(Needs, LongListsAreMergedNotCut) {
  std::vector<std::string> words;
  for (int i = 0; i < 2000; ++i) {
    words.push_back(std::string(1, static_cast<char>('a' + i % 26)) + "#" + std::to_string(i) +
                    "/w");
  }
  const Needs needs = literal_needs(words);
  EXPECT_LE(needs.size(), kLiteralNeedsMax);
  for (const std::string& word : words) EXPECT_TRUE(meets(needs, "x" + word)) << word;
}

TEST(GramSet, HitsAreThePairsThatAreWantedEachOnce) {
  std::uint64_t wanted[64] = {};
  const auto want = [&](rules::Gram pair) { wanted[pair / 64] |= std::uint64_t{1} << pair % 64; };
  want(rules::gram(rules::code_of('u'), rules::code_of('n')));
  want(rules::gram(rules::code_of('x'), rules::code_of('y')));
  want(rules::digit_gram(4, 2));
  want(rules::digit_gram(9, 9));
  const rules::WantedGrams all(wanted);
  rules::GramSet grams;
  rules::Gram hits[4096];
  for (int round = 0; round < 600; ++round) {  // stamps come round
    ASSERT_EQ(grams.assign(base::as_bytes(std::string_view("Union 1423 un 42")), all, hits), 2U);
    EXPECT_TRUE(grams.has(rules::digit_gram(4, 2)) && grams.has(rules::digit_gram(1, 4)));
    ASSERT_FALSE(grams.has(rules::gram(rules::code_of('x'), rules::code_of('y'))));
    ASSERT_EQ(grams.assign(base::as_bytes(std::string_view("xy")), all, hits), 1U);
    ASSERT_FALSE(grams.has(rules::digit_gram(4, 2)));
  }
  EXPECT_EQ(grams.assign({}, all, hits), 0U);
  EXPECT_TRUE(grams.has(rules::kAnyGram));
}

TEST(GramSet, AgreesWithTheDefinitionForRandomValues) {
  std::mt19937_64 random(11);
  rules::GramSet grams;
  rules::Gram hits[4096];
  constexpr std::string_view kBytes = "aAzZ09 13579/.%<>\"'\n\x01\xff{~^";
  for (int round = 0; round < 3000; ++round) {
    std::string value(random() % (round % 16 == 0 ? 2500 : 200), 'x');
    for (char& c : value) {
      c = random() % 4 == 0 ? static_cast<char>(random()) : kBytes[random() % kBytes.size()];
    }
    std::set<unsigned> pairs;
    for (std::size_t i = 0; i + 1 < value.size(); ++i) {
      const auto one = static_cast<std::uint8_t>(value[i]);
      const auto two = static_cast<std::uint8_t>(value[i + 1]);
      pairs.insert(rules::gram(rules::code_of(one), rules::code_of(two)));
      if (one >= '0' && one <= '9' && two >= '0' && two <= '9') {
        pairs.insert(rules::digit_gram(one - unsigned{'0'}, two - unsigned{'0'}));
      }
    }
    std::uint64_t wanted[64];
    for (std::uint64_t& word : wanted) word = random() & random();
    wanted[63] |= random();
    wanted[63] &= ~(std::uint64_t{1} << 63);
    std::set<unsigned> expected;
    for (const unsigned pair : pairs) {
      if ((wanted[pair / 64] >> pair % 64 & 1) != 0) expected.insert(pair);
    }
    const std::size_t count = grams.assign(base::as_bytes(value), rules::WantedGrams(wanted), hits);
    ASSERT_EQ(std::set<unsigned>(hits, hits + count), expected);
    ASSERT_EQ(count, expected.size());
    for (unsigned pair = 0; pair < 4095; ++pair) {
      ASSERT_EQ(grams.has(static_cast<rules::Gram>(pair)), pairs.contains(pair)) << pair;
    }
  }
}

TEST(HonestSample, CommonPartsOfNamesAreNoRarityAndSignsOfAttacksAre) {
  const Needs needs = regex_needs(R"((?i)(?:\x00|%00|\\0)\.?(?:html?|jpe?g|json|jsp|js|css)\b)");
  EXPECT_FALSE(meets(needs, "json.items.array_3.count"));
  EXPECT_TRUE(meets(needs, "a%00.js"));
  EXPECT_LT(share_in_sample(need_of_text("union select")), share_in_sample(need_of_text("son")));
  EXPECT_LT(share_in_sample(rules::gram(rules::code_of('<'), rules::code_of('?'))),
            share_in_sample(rules::gram(rules::code_of('j'), rules::code_of('s'))));
}

TEST(RowFilter, AgreesWithTheDefinitionForEveryCount) {
  std::mt19937_64 random(7);
  std::uint64_t masks[64];
  for (int round = 0; round < 2000; ++round) {
    const auto count = static_cast<unsigned>(random() % 65);
    for (std::uint64_t& mask : masks) mask = random() & random() & random() & random();
    const std::uint64_t classes = random() | random();
    std::uint64_t expected = 0;
    for (unsigned i = 0; i < count; ++i) expected |= std::uint64_t{(masks[i] & ~classes) == 0} << i;
    ASSERT_EQ(rules::passing_rows(masks, count, classes), expected) << count;
  }
}

}  // namespace
}  // namespace sluice::compile
