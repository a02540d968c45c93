// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/http/reference.h"

#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#include <algorithm>
#include <stdexcept>

namespace sluice::http::testing {
namespace {

constexpr const char* kRules = R"(
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^application/json" \
  "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
)";

std::vector<Pair> sorted_pairs(modsecurity::AnchoredSetVariable& set) {
  std::vector<Pair> pairs;
  for (const auto& [key, value] : set) pairs.emplace_back(value->getKey(), value->getValue());
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

}  // namespace

struct Reference::State {
  modsecurity::ModSecurity engine;
  modsecurity::RulesSet rules;
};

Reference::Reference() : state_(std::make_unique<State>()) {
  if (state_->rules.load(kRules) < 0) throw std::runtime_error(state_->rules.getParserError());
}
Reference::~Reference() = default;

ReferenceBody Reference::post(const std::string& content_type, const std::string& body,
                              const std::string& cookie) {
  modsecurity::Transaction to(&state_->engine, &state_->rules, nullptr);
  to.processConnection("127.0.0.1", 1, "127.0.0.1", 80);
  to.processURI("/", "POST", "1.1");
  to.addRequestHeader(std::string("Content-Type"), content_type);
  if (!cookie.empty()) to.addRequestHeader(std::string("Cookie"), cookie);
  to.processRequestHeaders();
  to.appendRequestBody(reinterpret_cast<const unsigned char*>(body.data()), body.size());
  to.processRequestBody();
  ReferenceBody read;
  read.args = sorted_pairs(to.m_variableArgs);
  read.files = sorted_pairs(to.m_variableFiles);
  read.cookies = sorted_pairs(to.m_variableRequestCookies);
  read.error = to.m_variableReqbodyError.m_value == "1";
  read.error_text = to.m_variableReqbodyErrorMsg.m_value;
  read.urlencoded_error = to.m_variableUrlEncodedError.m_value == "1";
  read.multipart = {
      {"BOUNDARY_QUOTED", to.m_variableMultipartBoundaryQuoted.m_value},
      {"BOUNDARY_WHITESPACE", to.m_variableMultipartBoundaryWhiteSpace.m_value},
      {"DATA_BEFORE", to.m_variableMultipartDataBefore.m_value},
      {"DATA_AFTER", to.m_variableMultipartDataAfter.m_value},
      {"HEADER_FOLDING", to.m_variableMultipartHeaderFolding.m_value},
      {"INVALID_HEADER_FOLDING", to.m_variableMultipartInvalidHeaderFolding.m_value},
      {"LF_LINE", to.m_variableMultipartLFLine.m_value},
      {"CRLF_LF_LINES", to.m_variableMultipartCrlfLFLines.m_value},
      {"MISSING_SEMICOLON", to.m_variableMultipartMissingSemicolon.m_value},
      {"INVALID_QUOTING", to.m_variableMultipartInvalidQuoting.m_value},
      {"INVALID_PART", to.m_variableMultipartInvalidPart.m_value},
      {"UNMATCHED_BOUNDARY", to.m_variableMultipartUnmatchedBoundary.m_value},
      {"STRICT_ERROR", to.m_variableMultipartStrictError.m_value},
  };
  return read;
}

}  // namespace sluice::http::testing
