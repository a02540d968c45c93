// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/rules/evaluate.h"

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "dataplane/rules/operator/ip_match.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/operator/phrases.h"
#include "dataplane/rules/operator/verify.h"
#include "tests/unit/rules/vectors.h"

namespace sluice::rules::test {

using abi::OperatorId;

namespace {

bool contains_phrase(const std::vector<std::string>& phrases, const std::string& value) {
  const auto same = [](char left, char right) {
    return std::tolower(static_cast<unsigned char>(left)) ==
           std::tolower(static_cast<unsigned char>(right));
  };
  return std::any_of(phrases.begin(), phrases.end(), [&](const std::string& phrase) {
    return std::search(value.begin(), value.end(), phrase.begin(), phrase.end(), same) !=
           value.end();
  });
}

bool match_regex(OperatorId id, const std::string& argument, Bytes value) {
  static RegexContext context = std::move(RegexContext::create().value());
  auto regex = Regex::compile(argument);
  if (!regex.ok()) {
    return false;
  }
  if (id == OperatorId::kRx) return context.match(regex.value(), value) == RegexOutcome::kMatch;
  Bytes found;
  std::uint64_t work = 1'000'000;
  return verify(id, regex.value(), value, context, work, found) == RegexOutcome::kMatch;
}

}  // namespace

namespace {

bool inject(OperatorId id, Bytes value) {
  std::uint8_t memory[4096];
  base::Arena scratch{memory};
  if (id == OperatorId::kDetectXss) return detect_xss(value, scratch) == MatchOutcome::kMatch;
  char fingerprint[kSqliFingerprintBytes];
  SqliWork work;
  return detect_sqli(value, work, fingerprint) == MatchOutcome::kMatch;
}

}  // namespace

bool evaluate(OperatorId id, const std::string& argument, const std::string& text) {
  const Bytes value = at_page_end(text);
  switch (abi::operator_info(id).argument) {
    case abi::OperatorArgument::kRegex:
      return match_regex(id, argument, value);
    case abi::OperatorArgument::kPhrases:
      return contains_phrase(parse_phrases(argument), text);
    case abi::OperatorArgument::kRanges: {
      std::size_t ignored = 0;
      return outside_byte_range(parse_byte_range(argument, ignored), value);
    }
    case abi::OperatorArgument::kNetworks: {
      IpSetBuilder builder;
      if (!builder.add_list(argument).ok()) return false;  // a load error
      builder.finish();
      return ip_match(builder.set(), value);
    }
    case abi::OperatorArgument::kNothing:
      if (id == OperatorId::kDetectSqli || id == OperatorId::kDetectXss) return inject(id, value);
      return match_leaf(id, base::as_bytes(argument), value);
    case abi::OperatorArgument::kText:
    case abi::OperatorArgument::kNumber:
    case abi::OperatorArgument::kFile:
    case abi::OperatorArgument::kOther:
      return match_leaf(id, base::as_bytes(argument), value);
  }
  return false;
}

}  // namespace sluice::rules::test
