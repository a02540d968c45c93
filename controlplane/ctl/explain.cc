// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/client.h"
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
  line("value", rule.value("value", ""));
  line("bytes", rule.value("value_b64", ""));
  line("matched", rule.value("matched", ""));
  if (rule.contains("value_bytes")) {
    std::printf("  %-10s the first bytes of %s\n", "cut", rule["value_bytes"].dump().c_str());
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

}  // namespace

int run_explain(const Context& context) {
  json answer;
  const int exit = ask(context, "/v1/explain/" + context.event, {}, answer);
  if (exit != kDone) return exit;
  if (context.json) {
    print_json(answer);
    return kDone;
  }
  const std::string verdict = answer.value("verdict", "");
  std::printf("event       %s\n", answer.value("event_id", "").c_str());
  std::printf("verdict     %s, %s: %s\n",
              coloured(verdict, verdict == "block" ? Colour::kRed : Colour::kGreen).c_str(),
              answer.value("reason", "").c_str(), answer.value("meaning", "").c_str());
  std::printf("generation  %s\n", answer.value("generation", json(0)).dump().c_str());
  std::printf("scores      %s\n", answer.value("scores", json::object()).dump().c_str());
  std::printf("bytes       %s, every value judged whole: %s\n",
              answer.value("bytes", json::object()).dump().c_str(),
              answer.value("exact", true) ? "yes" : "no");
  for (const json& record : answer.value("records", json::array())) {
    std::printf(
        "record      %s %s  %s:%s -> %s:%s  flow %s\n", record.value("timestamp", "").c_str(),
        record.value("event_type", "").c_str(), record.value("src_ip", "").c_str(),
        record.value("src_port", json(0)).dump().c_str(), record.value("dest_ip", "").c_str(),
        record.value("dest_port", json(0)).dump().c_str(),
        record.value("flow_id", json(0)).dump().c_str());
    if (record.contains("http")) {
      const json& http = record["http"];
      std::printf("request     %s %s  host %s  status %s\n", http.value("http_method", "").c_str(),
                  printable(http.value("url", ""), 500).c_str(),
                  printable(http.value("hostname", "")).c_str(),
                  http.value("status", json(nullptr)).dump().c_str());
    }
  }
  for (const json& rule : answer.value("rules", json::array())) show_rule(rule);
  return kDone;
}

}  // namespace sluice::ctl
