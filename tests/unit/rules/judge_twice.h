// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/rules/ruleset_fixture.h"

namespace sluice::rules::test {

using Ids = std::vector<std::uint32_t>;

inline std::string get(const std::string& target, const std::string& headers = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: a.example\r\n" + headers + "\r\n";
}
inline std::string post(const std::string& type, const std::string& body,
                        const std::string& extra = "") {
  return "POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Type: " + type + "\r\n" + extra +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Judges one request by one text of rules, folded and scanned for, and not, in the smallest slices
/// and at a stretch: all must say the same.
inline Judged judge(const std::string& rules, const std::string& request,
                    const std::string& response = "") {
  compile::CompileOptions plain;
  plain.scan = false;
  plain.fold = false;
  const LoadedRules exact = load_text(rules, plain), scanned = load_text(rules);
  EXPECT_NE(exact.ruleset, nullptr) << (exact.errors.empty() ? "" : exact.errors[0]);
  EXPECT_NE(scanned.ruleset, nullptr) << (scanned.errors.empty() ? "" : scanned.errors[0]);
  if (exact.ruleset == nullptr || scanned.ruleset == nullptr) return {};
  const Judged expected = Judge(*exact.ruleset).run(request, response);
  const Judged judged = Judge(*scanned.ruleset).run(request, response);
  Judge at_a_stretch(*scanned.ruleset);
  at_a_stretch.slice_cycles = 0;
  const Judged whole = at_a_stretch.run(request, response);
  EXPECT_EQ(at_a_stretch.stops, 0U);
  EXPECT_EQ(judged.ids, whole.ids);
  EXPECT_EQ(judged.values, whole.values);
  EXPECT_EQ(judged.inbound, whole.inbound);
  EXPECT_EQ(judged.steps, whole.steps);
  EXPECT_EQ(judged.ids, expected.ids);
  EXPECT_EQ(judged.targets, expected.targets);
  EXPECT_EQ(judged.values, expected.values);
  EXPECT_EQ(judged.sent, expected.sent);
  EXPECT_EQ(judged.verdict.action, expected.verdict.action);
  return judged;
}

}  // namespace sluice::rules::test
