// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/client.h"
#include "controlplane/ctl/decoding_steps.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

void show_rule(const json& rule) {
  std::printf("\nrule %s%s  phase %s  score %s%s\n", rule["id"].dump().c_str(),
              rule.value("blocking", false) ? " (decided)" : "",
              rule.value("phase", json(0)).dump().c_str(),
              rule.value("score", json(0)).dump().c_str(),
              rule.contains("severity") ? ("  " + rule.value("severity", "")).c_str() : "");
  const auto line = [](const char* name, const std::string& text) {
    if (!text.empty()) std::printf("  %-10s %s\n", name, printable(text, 2000).c_str());
  };
  line("message", rule.value("msg", ""));
  line("target", rule.value("target", ""));
  line("sent", rule.value("sent", ""));
  line("bytes", rule.value("sent_b64", ""));
  if (rule.contains("sent_bytes")) {
    const bool masked = rule.value("sent", "").empty() && !rule.contains("sent_b64");
    std::printf(masked ? "  %-10s masked, %s bytes\n" : "  %-10s the first bytes of %s\n",
                masked ? "sent" : "cut", rule["sent_bytes"].dump().c_str());
  }
  if (const json body = rule.value("body", json::object()); !body.empty()) {
    line("sent", "not kept: the body is longer than 256 KiB; the value ended in its bytes " +
                     body.value("from", json(0)).dump() + " to " +
                     body.value("to", json(0)).dump());
  }
  line("parsed", rule.value("source", ""));
  for (const json& step : rule.value("steps", json::array())) {
    line("", step.value("transformation", "") + " -> " + step.value("value", ""));
  }
  line("value", rule.value("value", ""));
  line("bytes", rule.value("value_b64", ""));
  line("matched", rule.value("matched", ""));
  if (rule.contains("value_bytes")) {
    const bool masked = rule.value("value", "").empty();
    std::printf(masked ? "  %-10s masked, %s bytes\n" : "  %-10s the first bytes of %s\n",
                masked ? "value" : "cut", rule["value_bytes"].dump().c_str());
  }
  if (!rule.value("file", "").empty()) {
    line("place", rule.value("file", "") + ":" + rule.value("line", json(0)).dump());
  }
  // The rule as its file has it, a line each.
  const std::string text = rule.value("text", "");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::printf("  %-10s %s\n", at == 0 ? "text" : "",
                printable(text.substr(at, end - at), 2000).c_str());
    at = end + 1;
  }
}

void show_verdict(const json& answer) {
  const std::string verdict = answer.value("verdict", "");
  std::printf("event       %s\n", answer.value("event_id", "").c_str());
  std::printf("verdict     %s, %s: %s\n",
              coloured(verdict, verdict == "block" ? Colour::kRed : Colour::kGreen).c_str(),
              answer.value("reason", "").c_str(), answer.value("meaning", "").c_str());
  std::printf("generation  %s\n", answer.value("generation", json(0)).dump().c_str());
  const json records = answer.value("records", json::array());
  if (std::all_of(records.begin(), records.end(),
                  [](const json& record) { return record.value("event_type", "") == "drop"; })) {
    return;  // packets have neither
  }
  const json scores = answer.value("scores", json::object());
  std::printf("scores      inbound %s, outbound %s\n",
              scores.value("inbound", json(0)).dump().c_str(),
              scores.value("outbound", json(0)).dump().c_str());
  const json bytes = answer.value("bytes", json::object());
  std::printf("inspected   %s of %s request bytes, %s\n",
              bytes.value("inspected", json(0)).dump().c_str(),
              bytes.value("request", json(0)).dump().c_str(),
              answer.value("exact", true) ? "every value judged whole"
                                          : "a value too long to be judged whole");
}

/// The limit that was exceeded, as the policy has it.
void show_limit(const json& limit) {
  std::string key;
  bool by_address = false;
  for (const json& part : limit.value("key", json::array())) {
    const std::string text = part.is_string() ? part.get<std::string>() : "";
    by_address = by_address || text == "client_address";
    key += (key.empty() ? "" : ", ") + text;
  }
  const json prefix = limit.value("prefix", json::object());
  std::printf("limit       %s: %s, burst %s, for each %s", limit.value("name", "").c_str(),
              limit.value("rate", "").c_str(), limit.value("burst", json(0)).dump().c_str(),
              key.c_str());
  if (by_address) {
    std::printf(" (/%s of IPv4, /%s of IPv6)", prefix.value("ipv4", json(32)).dump().c_str(),
                prefix.value("ipv6", json(64)).dump().c_str());
  }
  std::printf("\n");
}

/// The head that was refused, a line each.
void show_refused(const json& refused) {
  std::printf("  %-10s at byte %s of\n", "refused", refused.value("at", json(0)).dump().c_str());
  const std::string head = refused.value("head", "");
  for (std::size_t at = 0; at < head.size();) {
    const std::size_t end = std::min(head.find('\n', at), head.size() - 1) + 1;
    std::string line = head.substr(at, end - at);
    if (line.ends_with("\r\n")) line.resize(line.size() - 2);  // any other end is worth a look
    std::printf("  %-10s %s\n", "", printable(line, 2000).c_str());
    at = end;
  }
}

/// What one record says beyond the verdict.
void show_record(const json& record) {
  const auto text = [&](const char* key) { return record.value(key, ""); };
  const auto number = [](const json& from, const char* key) {
    return from.value(key, json(0)).dump();
  };
  std::printf("\n%-11s %s  flow %s\n", text("event_type").c_str(), text("timestamp").c_str(),
              number(record, "flow_id").c_str());
  std::printf("  %-10s %s:%s -> %s:%s\n", "packets", text("src_ip").c_str(),
              number(record, "src_port").c_str(), text("dest_ip").c_str(),
              number(record, "dest_port").c_str());
  if (record.contains("http")) {
    const json& http = record["http"];
    std::printf("  %-10s %s %s  host %s  status %s\n", "request",
                http.value("http_method", "").c_str(),
                printable(http.value("url", ""), 500).c_str(),
                printable(http.value("hostname", "")).c_str(), number(http, "status").c_str());
  }
  const json ours = record.value("sluice", json::object());
  if (ours.contains("refused")) show_refused(ours["refused"]);
  for (const char* key : {"service", "limit", "client_address", "route"}) {
    if (!ours.value(key, "").empty()) std::printf("  %-10s %s\n", key, ours.value(key, "").c_str());
  }
  if (ours.contains("packets")) {
    const std::string verdict = ours.value("verdict", "");
    const bool passed = verdict != "block";
    std::printf("  %-10s %s%s\n", passed ? "passed" : "dropped", number(ours, "packets").c_str(),
                verdict == "monitor" ? ", would be dropped in block" : "");
  }
  std::string done;
  for (const auto& [key, said] : {std::pair{"replied", "replied in the server's place"},
                                  std::pair{"reset", "the connection was reset"},
                                  std::pair{"partial", "a part had been forwarded"},
                                  std::pair{"cut", "the record was cut to fit"}}) {
    if (ours.value(key, false)) done += (done.empty() ? "" : "; ") + std::string(said);
  }
  if (!done.empty()) std::printf("  %-10s %s\n", "done", done.c_str());
  if (const json staged = ours.value("staged", json::object()); staged.value("differs", false)) {
    std::printf("  %-10s generation %s says %s, rules %s\n", "staged",
                number(staged, "generation").c_str(), verdict_text(staged).c_str(),
                staged.value("rules", json::array()).dump().c_str());
  }
}

}  // namespace

int run_explain(const Context& context) {
  json answer;
  const int exit = ask(context, "/v1/explain/" + context.event, {}, answer);
  if (exit != kDone) return exit;
  if (answer.contains("rules")) {
    for (json& rule : answer["rules"]) rule["steps"] = decoding_steps(rule);
  }
  if (context.json) {
    print_json(answer);
    return kDone;
  }
  show_verdict(answer);
  if (answer.contains("limit")) show_limit(answer["limit"]);
  for (const json& record : answer.value("records", json::array())) show_record(record);
  for (const json& rule : answer.value("rules", json::array())) show_rule(rule);
  return kDone;
}

}  // namespace sluice::ctl
