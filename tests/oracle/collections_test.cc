// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <string>

#include "tests/oracle/reference.h"
#include "tests/unit/rules/ruleset_fixture.h"

/// Persistent collections: random requests that set, add to, delete and look at members, through
/// libmodsecurity's collections in memory and ours. expirevar, which 3.0.9 ignores, and whole
/// collections and patterns of names, which it reads otherwise, are not compared (docs/seclang.md).
namespace sluice::oracle {
namespace {

/// For one collection: every change and every look, by arguments of the request.
std::string rules_of(const std::string& name, unsigned first_id) {
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  unsigned id = first_id;
  const auto rule = [&](const std::string& target, const std::string& op,
                        const std::string& actions) {
    return "SecRule " + target + " \"" + op + "\" \"id:" + std::to_string(id++) +
           ",phase:1,pass,t:none," + actions + "\"\n";
  };
  const std::string change = "ARGS:" + name + "_";
  std::string text;
  text += rule(change + "add", "@rx ^(\\w+):(-?\\d+)$",
               "nolog,capture,setvar:" + name + ".%{tx.1}=+%{tx.2}");
  text += rule(change + "sub", "@rx ^(\\w+):(-?\\d+)$",
               "nolog,capture,setvar:" + name + ".%{tx.1}=-%{tx.2}");
  text += rule(change + "set", "@rx ^(\\w+):(.*)$",
               "nolog,capture,setvar:" + name + ".%{tx.1}=%{tx.2}");
  text += rule(change + "del", "@rx ^(\\w+)$", "nolog,capture,setvar:!" + name + ".%{tx.1}");
  for (const std::string member : {"aa", "bb", "cc"}) {
    text += rule(upper + ":" + member, "@gt 3", "log");
    text += rule(upper + ":" + member, "@rx ^-", "log");
    text += rule(upper + ":" + member, "@streq 1", "log");
    text += rule("&" + upper + ":" + member, "@eq 0", "log");
    text += rule("ARGS:like", "@streq %{" + name + "." + member + "}", "log");
  }
  return text;
}

TEST(CollectionsOracle, RandomRequestsSeeTheSameMembers) {
  const char* given = std::getenv("SLUICE_SEED");
  const std::uint64_t seed = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  const int count = std::getenv("SLUICE_LONG") != nullptr ? 50'000 : 4000;
  std::cout << "seed " << seed << "\n";
  std::string rules =
      "SecRuleEngine DetectionOnly\n"
      "SecAction \"id:1,phase:1,nolog,pass,initcol:ip=%{ARGS.who},initcol:global=all,"
      "initcol:resource=%{REQUEST_FILENAME}\"\n"
      "SecAction \"id:2,phase:1,nolog,pass,setsid:%{ARGS.who},setuid:%{ARGS.like}\"\n";
  const std::string names[] = {"ip", "global", "resource", "session", "user"};
  unsigned id = 100;
  for (const std::string& name : names) rules += rules_of(name, id), id += 100;

  auto reference = Reference::load_text(rules);
  ASSERT_NE(reference, nullptr);
  const auto loaded = rules::test::load_text(rules);
  ASSERT_NE(loaded.ruleset, nullptr) << (loaded.errors.empty() ? "" : loaded.errors[0]);
  rules::test::CollectionMemory memory(64);
  const rules::CollectionTable table(memory.span());
  rules::test::Judge judge(*loaded.ruleset, &table);

  std::mt19937_64 random(seed);
  const auto one_of = [&](const std::vector<std::string>& from) {
    return from[random() % from.size()];
  };
  std::size_t matches = 0;
  for (int i = 0; i < count; ++i) {
    std::string target = one_of({"/", "/a", "/b"}) + "?who=" + one_of({"c1", "c2", "c3"}) +
                         "&like=" + one_of({"0", "1", "2", "x", "", "-1"});
    // Each argument once: the reference takes repeated ones in the order of a hash table. Members
    // of SESSION are not deleted by 3.0.9.
    std::map<std::string, std::string> changes;
    for (std::uint64_t left = random() % 3; left > 0; --left) {
      const std::string name = one_of({names, names + 5}),
                        kind = one_of({"add", "sub", "set", "del"});
      if (name == "session" && kind == "del") continue;
      std::string& change = changes[name + "_" + kind];
      change = one_of({"aa", "bb", "cc", "AA"});
      if (kind == "set") change += ":" + one_of({"1", "", "x", "7up", "-9", "99999999999"});
      if (kind == "add" || kind == "sub") change += ":" + one_of({"1", "2", "-3", "40"});
    }
    for (const auto& [name, value] : changes) target += "&" + name + "=" + value;
    const std::string request = "GET " + target + " HTTP/1.1\r\nHost: a.example\r\n\r\n";
    auto theirs = reference->run(request).ids;
    auto ours = judge.run(request).ids;
    ASSERT_EQ(ours, theirs) << "request " << i << ": " << target;
    matches += theirs.size();
  }
  std::cout << count << " requests, " << matches << " matches\n";
  EXPECT_GT(matches, static_cast<std::size_t>(count));
}

}  // namespace
}  // namespace sluice::oracle
