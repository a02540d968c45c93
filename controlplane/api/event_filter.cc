// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/event_filter.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::api {

using nlohmann::json;

namespace {

bool within(const base::IpPrefix& prefix, const json& from, const char* key) {
  const auto address = base::IpAddress::parse(from.value(key, ""));
  return address && prefix.contains(*address);
}

}  // namespace

bool EventFilter::wants(const std::string& line) const {
  for (const std::string* text : {&type, &verdict, &reason, &service, &rule, &contains}) {
    if (line.find(*text) == std::string::npos) return false;
  }
  if (client && client->bits == 128 &&
      line.find(client->address.to_string()) == std::string::npos) {
    return false;
  }
  const json event = json::parse(line, nullptr, false);
  if (!event.is_object()) return false;
  const json ours = event.value("sluice", json::object());
  const auto is = [](const std::string& filter, const json& from, const char* key) {
    return filter.empty() || from.value(key, "") == filter;
  };
  if (!is(type, event, "event_type") || !is(verdict, ours, "verdict") ||
      !is(reason, ours, "reason") || !is(service, ours, "service") ||
      (client && !within(*client, event, "src_ip") && !within(*client, ours, "client_address"))) {
    return false;
  }
  if (rule.empty()) return true;
  const json rules = event.value("alert", json::object()).value("rules", json::array());
  return std::any_of(rules.begin(), rules.end(),
                     [&](const json& one) { return one.value("id", json()).dump() == rule; });
}

}  // namespace sluice::api
