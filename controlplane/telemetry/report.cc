// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/report.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "controlplane/telemetry/eve_file.h"
#include "controlplane/telemetry/top.h"

namespace sluice::telemetry {
namespace {

using nlohmann::json;

struct Bucket {
  std::uint64_t pass = 0, monitor = 0, block = 0;
  LatencyHistogram added, duration;
};

/// What the messages of one rule have in common: their macros differ from one match to the next.
struct Message {
  std::string text;
  bool cut = false;

  void add(const std::string& other) {
    if (text.empty() && !cut) text = other;
    const auto differ = std::mismatch(text.begin(), text.end(), other.begin(), other.end());
    if (differ.first == text.end() && differ.second == other.end()) return;
    text.erase(differ.first, text.end());
    // Not the first digits of a number, or a part of a word.
    const std::size_t space = text.find_last_of(' ');
    text.erase(space == std::string::npos ? 0 : space + 1);
    cut = true;
  }
};

struct Sums {
  std::vector<Bucket> buckets = std::vector<Bucket>(kReportBuckets);
  TopTable reasons, dropped, services, clients, routes, rules, limits;
  std::map<std::string, Message> messages;  ///< by rule
  LatencyHistogram added, duration;
  std::uint64_t requests = 0, blocked = 0, monitored = 0, drops = 0;
};

json percentiles(const LatencyHistogram& histogram) {
  return {{"p50", histogram.percentile_us(0.5)},
          {"p90", histogram.percentile_us(0.9)},
          {"p99", histogram.percentile_us(0.99)}};
}

json rows(const TopTable& table, const std::map<std::string, Message>& messages = {}) {
  json list = json::array();
  for (const auto& entry : table.busiest(15)) {
    std::string key = entry.key;
    if (const auto at = messages.find(key); at != messages.end()) {
      key += " " + at->second.text.substr(0, 80) + (at->second.cut ? "..." : "");
    }
    list.push_back({{"key", key}, {"count", entry.count}, {"blocked", entry.blocked}});
  }
  return list;
}

void take_http(const json& event, Bucket& bucket, Sums& sums) {
  const json& ours = event.at("sluice");
  const std::string verdict = ours.value("verdict", "");
  const bool blocked = verdict == "block";
  ++sums.requests;
  if (blocked) {
    ++bucket.block;
    ++sums.blocked;
  } else if (verdict == "monitor") {
    ++bucket.monitor;
    ++sums.monitored;
  } else {
    ++bucket.pass;
  }
  const std::uint64_t added = ours.value("latency_us", std::uint64_t{0}) * 1000;
  const std::uint64_t duration = ours.value("duration_us", std::uint64_t{0}) * 1000;
  bucket.added.add(added);
  sums.added.add(added);
  // A request that we answered has no server's duration to show.
  if (!blocked) {
    bucket.duration.add(duration);
    sums.duration.add(duration);
  }
  if (const std::string service = ours.value("service", ""); !service.empty()) {
    sums.services.add(service, blocked, duration);
  }
  sums.clients.add(ours.value("client_address", event.value("src_ip", "")), blocked, duration);
  std::string route = ours.value("route", "");
  if (route.empty() && event.contains("http")) {
    route = route_of(event["http"].value("http_method", ""), event["http"].value("url", ""));
  }
  if (!route.empty()) sums.routes.add(route, blocked, duration);
}

void take(const json& event, Bucket& bucket, Sums& sums) {
  const std::string type = event.value("event_type", "");
  if (type == "http") {
    take_http(event, bucket, sums);
    return;
  }
  const json& ours = event.at("sluice");
  const bool blocked = ours.value("verdict", "") == "block";
  if (type == "drop") {
    if (blocked) sums.drops += event.at("drop").value("packets", std::uint64_t{0});
    sums.dropped.add(ours.value("reason", ""), blocked, 0);
    return;
  }
  // One that passed is an alert because a staged generation says otherwise.
  if (type != "alert" || ours.value("verdict", "") == "pass") return;
  sums.reasons.add(ours.value("reason", ""), blocked, 0);
  if (ours.contains("limit")) sums.limits.add(ours.value("limit", ""), blocked, 0);
  for (const json& rule : event.at("alert").value("rules", json::array())) {
    const std::string key = std::to_string(rule.value("id", 0u));
    if (rule.contains("msg")) sums.messages[key].add(rule.value("msg", ""));
    sums.rules.add(key, rule.value("blocking", false), 0);
  }
}

}  // namespace

std::string report_json(const std::string& eve_path, std::uint64_t since_ns, std::uint64_t until_ns,
                        const std::string& service) {
  if (until_ns <= since_ns) until_ns = since_ns + 1;
  const std::uint64_t bucket_ns =
      std::max<std::uint64_t>(1, (until_ns - since_ns + kReportBuckets - 1) / kReportBuckets);
  Sums sums;
  each_event(eve_path, since_ns, [&](std::uint64_t time_ns, const std::string& line) {
    if (time_ns >= until_ns) return;
    const json event = json::parse(line, nullptr, false);
    if (!event.is_object()) return;
    try {
      if (!service.empty() && event.at("sluice").value("service", "") != service) return;
      take(event, sums.buckets[(time_ns - since_ns) / bucket_ns], sums);
    } catch (const json::exception&) {
      // A line of another program in our file: not ours to count.
    }
  });
  json buckets = json::array();
  for (const Bucket& bucket : sums.buckets) {
    buckets.push_back({{"pass", bucket.pass},
                       {"monitor", bucket.monitor},
                       {"block", bucket.block},
                       {"added_us", percentiles(bucket.added)},
                       {"duration_us", percentiles(bucket.duration)}});
  }
  const json answer{{"since_ns", since_ns},
                    {"until_ns", until_ns},
                    {"bucket_ns", bucket_ns},
                    {"requests", sums.requests},
                    {"blocked", sums.blocked},
                    {"monitored", sums.monitored},
                    {"dropped_packets", sums.drops},
                    {"added_us", percentiles(sums.added)},
                    {"duration_us", percentiles(sums.duration)},
                    {"buckets", buckets},
                    {"service", service},
                    {"reasons", rows(sums.reasons)},
                    {"services", rows(sums.services)},
                    {"dropped", rows(sums.dropped)},
                    {"clients", rows(sums.clients)},
                    {"routes", rows(sums.routes)},
                    {"rules", rows(sums.rules, sums.messages)},
                    {"limits", rows(sums.limits)}};
  return answer.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace sluice::telemetry
