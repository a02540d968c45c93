// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "tests/oracle/reference.h"
#include "tests/unit/rules/ruleset_fixture.h"

/// XML://text(): random well-formed documents, through libxml2's tree and our stream. References to
/// entities of the document, whose text is only in XML:/* there, are compared too.
namespace sluice::oracle {
namespace {

constexpr const char* kRules =
    "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n"
    "SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n"
    "SecRule XML://text() \"@unconditionalMatch\" "
    "\"id:2,phase:2,pass,nolog,setvar:'tx.texts=%{tx.texts}[%{MATCHED_VAR}]'\"\n"
    "SecRule &XML://text() \"@unconditionalMatch\" "
    "\"id:3,phase:2,pass,nolog,setvar:tx.count=%{MATCHED_VAR}\"\n";

class Documents {
 public:
  explicit Documents(std::uint64_t seed) : random_(seed) {}

  std::string next() {
    has_entity_ = random_() % 4 == 0;
    std::string text = random_() % 2 == 0 ? "<?xml version=\"1.0\"?>\n" : "";
    if (has_entity_) text += "<!DOCTYPE r [<!ENTITY e \"ent\"><!ENTITY f \"\">]>\n";
    return text + element(0) + (random_() % 3 == 0 ? "\n" : "");
  }

 private:
  std::string element(int depth) {
    std::string text = random_() % 3 == 0 ? "<a b=\"1\">" : "<a>";
    for (std::uint64_t left = random_() % 6; left > 0; --left) text += content(depth);
    return text + "</a>";
  }
  std::string content(int depth) {
    static const std::string kPieces[] = {"x",
                                          " ",
                                          "\n",
                                          "\r\n",
                                          "&lt;",
                                          "&#x41;",
                                          "]",
                                          "1' or '1",
                                          "\xc3\xa9",
                                          "<!-- c -->",
                                          "<?p i?>",
                                          "<![CDATA[]]>",
                                          "<![CDATA[c]]>",
                                          "<![CDATA[<&]]>",
                                          "<b/>",
                                          "text of some length"};
    const std::uint64_t choice = random_() % 20;
    if (choice < std::size(kPieces)) return kPieces[choice];
    if (choice == 16 && has_entity_) return random_() % 2 == 0 ? "&e;" : "&f;";
    return depth < 5 ? element(depth + 1) : "z";
  }

  std::mt19937_64 random_;
  bool has_entity_ = false;
};

TEST(XmlTextsOracle, RandomDocumentsHaveTheSameTextNodes) {
  const char* given = std::getenv("SLUICE_SEED");
  const std::uint64_t seed = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  const int count = std::getenv("SLUICE_LONG") != nullptr ? 50'000 : 4000;
  std::cout << "seed " << seed << "\n";
  auto reference = Reference::load_text(kRules);
  ASSERT_NE(reference, nullptr);
  const auto loaded = rules::test::load_text(kRules);
  ASSERT_NE(loaded.ruleset, nullptr) << (loaded.errors.empty() ? "" : loaded.errors[0]);
  rules::test::Judge judge(*loaded.ruleset);
  judge.tx_names = {"texts", "count"};
  Documents documents(seed);
  std::size_t with_nodes = 0;
  for (int i = 0; i < count; ++i) {
    const std::string document = documents.next();
    const std::string request =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\nContent-Length: " +
        std::to_string(document.size()) + "\r\n\r\n" + document;
    const ReferenceVerdict theirs = reference->run(request, judge.tx_names);
    const rules::test::Judged ours = judge.run(request);
    ASSERT_FALSE(theirs.refused);
    ASSERT_EQ(ours.tx, theirs.tx) << document;
    with_nodes += ours.tx[0].empty() ? 0 : 1;
  }
  EXPECT_GT(with_nodes, static_cast<std::size_t>(count) / 2);
}

}  // namespace
}  // namespace sluice::oracle
