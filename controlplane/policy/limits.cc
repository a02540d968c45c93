// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>

#include "controlplane/policy/reader.h"
#include "dataplane/abi/limits.h"
#include "dataplane/config/units.h"

namespace sluice::policy {
namespace {

using abi::LimitKeyPart;

constexpr std::uint64_t kToleranceMaxNs = 366ULL * 86'400 * 1'000'000'000;

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

/// client_address | header:NAME | cookie:NAME | route | service.
void read_key_part(YamlReader& reader, const YAML::Node& node, std::vector<LimitKey>& into) {
  static const std::vector<std::string_view> kParts = {"client_address", "header", "cookie",
                                                       "route", "service"};
  const std::string text = node.IsScalar() ? node.Scalar() : std::string();
  const std::size_t colon = text.find(':');
  const std::string part = text.substr(0, colon);
  const auto known = std::find(kParts.begin(), kParts.end(), part);
  if (known == kParts.end()) {
    reader.complain(node, "unknown key part '" + text + "'" + config::suggestion(part, kParts) +
                              ": expected client_address, header:NAME, cookie:NAME, route or "
                              "service");
    return;
  }
  LimitKey key;
  key.part = static_cast<LimitKeyPart>(known - kParts.begin());
  const bool named = key.part == LimitKeyPart::kHeader || key.part == LimitKeyPart::kCookie;
  if (colon != std::string::npos) key.name = text.substr(colon + 1);
  if (named == key.name.empty() || (!named && colon != std::string::npos)) {
    reader.complain(node, named ? "expected " + part + ":NAME" : part + " takes no name");
    return;
  }
  if (key.name.find_first_of(" \t,;=\"") != std::string::npos || key.name.size() > 64) {
    reader.complain(node, "'" + key.name + "' is no name of a header or cookie");
    return;
  }
  if (key.part == LimitKeyPart::kHeader) key.name = lower(key.name);
  for (const LimitKey& other : into) {
    if (other.part != key.part || other.name != key.name) continue;
    reader.complain(node, "'" + text + "' stands twice in this key");
    return;
  }
  into.push_back(std::move(key));
}

void read_key(YamlReader& reader, const YAML::Node& node, const YAML::Node& limit,
              std::vector<LimitKey>& into) {
  if (!node) return reader.complain(limit, "the limit has no key (expected key: [...])");
  if (node.IsScalar()) return read_key_part(reader, node, into);
  if (!node.IsSequence() || node.size() == 0 || node.size() > abi::kLimitKeyPartsMax) {
    return reader.complain(
        node, "key wants a list of 1 to " + std::to_string(abi::kLimitKeyPartsMax) + " parts");
  }
  for (const YAML::Node& part : node) read_key_part(reader, part, into);
}

void read_prefix(YamlReader& reader, const YAML::Node& node, Limit& into) {
  if (!node || !reader.check_map(node, "prefix", {"ipv4", "ipv6"})) return;
  const bool has_address = std::any_of(into.key.begin(), into.key.end(), [](const LimitKey& key) {
    return key.part == LimitKeyPart::kClientAddress;
  });
  if (!has_address) {
    return reader.complain(node, "prefix has no meaning without client_address in the key");
  }
  std::uint64_t v4 = into.prefix_v4, v6 = into.prefix_v6;
  reader.number(node["ipv4"], "prefix.ipv4", 0, 32, v4);
  reader.number(node["ipv6"], "prefix.ipv6", 0, 128, v6);
  into.prefix_v4 = static_cast<std::uint8_t>(v4);
  into.prefix_v6 = static_cast<std::uint8_t>(v6);
}

void read_rate(YamlReader& reader, const YAML::Node& limit, Limit& into) {
  reader.number(limit["burst"], "burst", 1, 1'000'000'000, into.burst);
  const YAML::Node node = limit["rate"];
  if (!node) return reader.complain(limit, "the limit has no rate (expected rate: 100/s)");
  const auto rate = config::parse_rate(node.IsScalar() ? node.Scalar() : std::string());
  if (!rate.ok()) return reader.complain(node, "rate: " + rate.error().message);
  into.interval_ns = rate.value().period_ns / rate.value().count;
  if (into.interval_ns == 0) {
    return reader.complain(node, "rate: more than 1000000000 a second cannot be told apart");
  }
  if (rate.value().period_ns > kToleranceMaxNs) {
    return reader.complain(node, "rate: the period is longer than a year");
  }
  if (into.burst > kToleranceMaxNs / into.interval_ns) {
    reader.complain(limit["burst"] ? limit["burst"] : node,
                    "the burst takes longer than a year to come back at this rate");
  }
}

void read_limit(YamlReader& reader, const YAML::Node& node, Limit& into) {
  if (!node.IsMap()) return reader.complain(node, "a limit wants a map of name, key, rate");
  reader.check_map(node, "a limit",
                   {"name", "key", "prefix", "rate", "burst", "action", "on_full"});
  read_name(reader, node, "a limit", into.name);
  read_key(reader, node["key"], node, into.key);
  read_prefix(reader, node["prefix"], into);
  read_rate(reader, node, into);
  reader.choice<abi::Mode>(node["action"], "action",
                           {{"block", abi::Mode::kBlock}, {"monitor", abi::Mode::kMonitor}},
                           into.action);
  reader.choice<abi::OnFull>(node["on_full"], "on_full",
                             {{"deny", abi::OnFull::kDeny}, {"allow", abi::OnFull::kAllow}},
                             into.on_full);
}

}  // namespace

void read_limits(YamlReader& reader, const YAML::Node& node, std::vector<Limit>& into) {
  if (!node || node.IsNull()) return;
  if (!node.IsSequence() || node.size() > abi::kLimitsPerServiceMax) {
    return reader.complain(node, "limits wants a list of at most " +
                                     std::to_string(abi::kLimitsPerServiceMax) + " limits");
  }
  for (const YAML::Node& item : node) {
    Limit limit;
    read_limit(reader, item, limit);
    for (const Limit& other : into) {
      if (!limit.name.empty() && other.name == limit.name) {
        reader.complain(item, "the service has another limit named " + limit.name);
      }
    }
    into.push_back(std::move(limit));
  }
}

}  // namespace sluice::policy
