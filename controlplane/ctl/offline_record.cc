// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/offline_record.h"

#include <nlohmann/json.hpp>

#include "dataplane/abi/events.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/rules/transaction.h"

namespace sluice::ctl {

using nlohmann::json;

RuleTexts::RuleTexts(const std::string& rules_json) {
  for (const json& rule : json::parse(rules_json, nullptr, false)) {
    Text text;
    text.msg = rule.value("msg", "");
    text.severity = rule.value("severity", "");
    text.file = rule.value("file", "");
    text.text = rule.value("text", "");
    text.line = rule.value("line", std::uint64_t{0});
    text.tags = rule.value("tags", std::vector<std::string>());
    texts_.emplace(rule.value("id", 0U), std::move(text));
  }
}

const RuleTexts::Text* RuleTexts::find(std::uint32_t id) const {
  const auto found = texts_.find(id);
  return found == texts_.end() ? nullptr : &found->second;
}

namespace {

json rule_json(const rules::RuleMatch& match, const RuleTexts& texts) {
  json rule = {{"id", match.rule_id},
               {"phase", match.phase},
               {"msg", std::string(match.message)},
               {"target", std::string(match.target)},
               {"value", std::string(base::as_text(match.value))},
               {"score", match.score}};
  if (!match.matched.empty()) rule["matched"] = std::string(base::as_text(match.matched));
  if (match.value_total > match.value.size()) rule["value_bytes"] = match.value_total;
  if (!match.logdata.empty()) rule["logdata"] = std::string(match.logdata);
  if (match.blocking) rule["blocking"] = true;
  rule["severity"] = "";
  rule["tags"] = json::array();
  if (const RuleTexts::Text* text = texts.find(match.rule_id); text != nullptr) {
    rule["severity"] = text->severity;
    rule["tags"] = text->tags;
    if (match.message.empty()) rule["msg"] = text->msg;
  }
  return rule;
}

std::string meaning_of(abi::Reason reason) {
  const auto index = static_cast<std::size_t>(reason);
  return index < abi::kReasonCount ? std::string(abi::kReasonTexts[index].meaning) : std::string();
}

}  // namespace

json to_json(const engine::TransactionRecord& record, const RuleTexts& texts) {
  const abi::EventHeader& header = *record.header;
  json answer = {
      {"verdict", abi::action_name(header.action)},
      {"status", header.status},
      {"reason", abi::reason_name(header.reason)},
      {"meaning", meaning_of(header.reason)},
      {"phase", header.phase},
      {"rules", json::array()},
      {"scores", {{"inbound", header.score_inbound}}},
      {"bytes", {{"inspected", header.inspected_bytes}, {"total", header.request_bytes}}},
      {"exact", (header.flags & abi::kEventExact) != 0},
      {"limits", json::array()},
      {"method", std::string(record.method)},
      {"uri", std::string(record.uri)},
      {"generation", header.generation}};
  if (header.score_outbound != 0) answer["scores"]["outbound"] = header.score_outbound;
  if (!record.limit_name.empty()) answer["limits"].push_back(std::string(record.limit_name));
  if (record.rules == nullptr) return answer;
  for (const abi::Reason limit : record.rules->limits()) {
    answer["limits"].push_back(abi::reason_name(limit));
  }
  for (const rules::RuleMatch& match : record.rules->matches()) {
    if (!match.nolog) answer["rules"].push_back(rule_json(match, texts));
  }
  return answer;
}

}  // namespace sluice::ctl
