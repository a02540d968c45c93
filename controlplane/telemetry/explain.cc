// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "controlplane/publish/image_reader.h"
#include "controlplane/telemetry/collector.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/ulid.h"

namespace sluice::telemetry {
namespace {

using nlohmann::json;

std::string reason_meaning(const std::string& name) {
  for (const abi::ReasonText& reason : abi::kReasonTexts) {
    if (reason.name == name) return std::string(reason.meaning);
  }
  return {};
}

constexpr int kTriesForNew = 10;  // of 50 ms; the merger waits at most 100

bool is_new(const std::string& event_id) {
  base::Ulid ulid;
  const std::uint64_t now_ms = base::wall_now() / base::kNanosPerMilli;
  return base::parse_ulid(event_id, ulid) && (ulid.high >> 16) + 2'000 > now_ms;
}

json rule_of(const Catalogue& catalogue, const json& match) {
  json entry = match;
  const Catalogue::Rule* rule = catalogue.rule(match.value("id", 0u));
  if (rule == nullptr) return entry;
  entry["text"] = rule->text;
  entry["file"] = rule->file;
  entry["line"] = rule->line;
  entry["severity"] = rule->severity;
  entry["tags"] = rule->tags;
  if (!entry.contains("msg")) entry["msg"] = rule->message;
  if (!rule->transformations.empty()) entry["transformations"] = rule->transformations;
  return entry;
}

/// What the limit of a record was set to, in its generation.
json limit_of(const std::string& image, const std::string& service, const std::string& name) {
  for (const publish::ImageLimit& limit : publish::image_limits(image)) {
    if (limit.service != service || limit.name != name) continue;
    return {{"name", name},
            {"key", limit.key},
            {"prefix", {{"ipv4", limit.prefix_v4_bits}, {"ipv6", limit.prefix_v6_bits}}},
            {"rate", limit.rate},
            {"burst", limit.burst},
            {"action", abi::mode_name(limit.action)},
            {"on_full", limit.allows_when_full ? "allow" : "deny"}};
  }
  return nullptr;
}

}  // namespace

std::string Collector::explain(const std::string& event_id) {
  std::vector<std::string> lines;
  // A client may ask before the record of its reply has passed the merger.
  for (int tries = is_new(event_id) ? kTriesForNew : 1; lines.empty() && tries > 0; --tries) {
    {
      const std::lock_guard lock(mutex_);
      eve_.flush(base::wall_now());
    }
    // The files are read without the lock: a search over many must not hold up the records.
    lines = find_event(options_.eve.path, event_id);
    if (lines.empty() && tries > 1) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  if (lines.empty()) return {};
  json answer{{"event_id", event_id}, {"records", json::array()}, {"rules", json::array()}};
  for (const std::string& line : lines) {
    json record = json::parse(line, nullptr, false);
    if (!record.is_object()) continue;
    const json ours = record.value("sluice", json::object());
    if (!answer.contains("reason") || record.value("event_type", "") == "alert") {
      answer["generation"] = ours.value("generation", std::uint64_t{0});
      answer["reason"] = ours.value("reason", "");
      answer["meaning"] = reason_meaning(ours.value("reason", ""));
      answer["verdict"] = ours.value("verdict", "");
      answer["scores"] = ours.value("scores", json::object());
      answer["bytes"] = ours.value("bytes", json::object());
      answer["exact"] = ours.value("exact", true);
    }
    if (record.contains("alert") && record["alert"].is_object()) {
      const std::lock_guard lock(mutex_);
      const Catalogue& names = catalogue(ours.value("generation", std::uint64_t{0}));
      answer["rules"] = json::array();
      for (const json& match : record["alert"].value("rules", json::array())) {
        if (match.is_object()) answer["rules"].push_back(rule_of(names, match));
      }
    }
    const std::string limit = ours.value("limit", "");
    if (!limit.empty() && !answer.contains("limit") && options_.generation) {
      const auto kept = options_.generation(answer["generation"].get<std::uint64_t>());
      const json found = limit_of(kept.first, ours.value("service", ""), limit);
      if (!found.is_null()) answer["limit"] = found;
    }
    answer["records"].push_back(std::move(record));
  }
  return answer.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::telemetry
