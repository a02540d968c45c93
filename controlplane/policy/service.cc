// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>

#include "controlplane/policy/reader.h"
#include "dataplane/abi/limits.h"

namespace sluice::policy {
namespace {

/// The items of a list of at most `count_max`, or the one scalar that stands for it.
std::vector<YAML::Node> items(YamlReader& reader, const YAML::Node& node, const std::string& what,
                              std::size_t count_max) {
  if (node.IsScalar()) return {node};
  if (!node.IsSequence() || node.size() > count_max) {
    reader.complain(node, what + " wants a list of at most " + std::to_string(count_max));
    return {};
  }
  return std::vector<YAML::Node>(node.begin(), node.end());
}

std::string scalar(const YAML::Node& node) {
  return node.IsScalar() ? node.Scalar() : std::string();
}

void read_ports(YamlReader& reader, const YAML::Node& node, std::vector<std::uint16_t>& into) {
  for (const YAML::Node& item : items(reader, node, "ports", kPortsPerServiceMax)) {
    std::uint64_t port = 0;
    reader.number(item, "a port", 1, 65535, port);
    if (port == 0) continue;
    if (std::find(into.begin(), into.end(), port) != into.end()) {
      reader.complain(item, "port " + std::to_string(port) + " stands twice");
    }
    into.push_back(static_cast<std::uint16_t>(port));
  }
}

/// A host as requests name it: lower case, no port, no final dot.
void read_hosts(YamlReader& reader, const YAML::Node& node, std::vector<std::string>& into) {
  if (!node || node.IsNull()) return;
  for (const YAML::Node& item : items(reader, node, "hosts", kHostsPerServiceMax)) {
    std::string host = scalar(item);
    for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    if (host.ends_with('.')) host.pop_back();
    const bool good =
        !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                 c == '_' || c == ':' || c == '[' || c == ']';
        });
    const std::size_t colon = host.rfind(':');
    const bool has_port = colon != std::string::npos && !host.ends_with(']');
    if (!good || has_port) {
      reader.complain(item,
                      "expected the name of a host without a port, got '" + scalar(item) + "'");
    } else if (std::find(into.begin(), into.end(), host) != into.end()) {
      reader.complain(item, "the host " + host + " stands twice");
    } else {
      into.push_back(std::move(host));
    }
  }
}

void read_upgrades(YamlReader& reader, const YAML::Node& node, Service& into) {
  if (!node || node.IsNull()) return;
  for (const YAML::Node& item : items(reader, node, "upgrades", 8)) {
    if (scalar(item) == "websocket") {
      into.allow_websocket = true;
    } else {
      reader.complain(item, "unknown upgrade '" + scalar(item) + "' (expected websocket)");
    }
  }
}

void read_client_address(YamlReader& reader, const YAML::Node& node, Service& into) {
  if (!node || !reader.check_map(node, "client_address", {"header", "trusted", "position"})) {
    return;
  }
  reader.text(node["header"], "client_address.header", into.client_address_header);
  for (char& c : into.client_address_header) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  if (into.client_address_header.empty()) {
    reader.complain(node, "client_address wants a header, such as x-forwarded-for");
  }
  if (!node["trusted"]) {
    reader.complain(node,
                    "client_address wants trusted: the proxies that may set the header "
                    "(else every client could)");
  } else {
    read_prefixes(reader, node["trusted"], "trusted", into.trusted);
  }
  reader.choice<abi::ClientAddressPosition>(
      node["position"], "position",
      {{"first", abi::ClientAddressPosition::kFirst}, {"last", abi::ClientAddressPosition::kLast}},
      into.client_address_position);
}

bool overlap(const base::IpPrefix& left, const base::IpPrefix& right) {
  return left.bits <= right.bits ? left.contains(right.address) : right.contains(left.address);
}

/// The first thing both have, or empty.
std::string common_address(const Service& left, const Service& right) {
  for (const base::IpPrefix& a : left.addresses) {
    for (const base::IpPrefix& b : right.addresses) {
      if (overlap(a, b)) return (a.bits > b.bits ? a : b).to_string();
    }
  }
  return {};
}
bool common_port(const Service& left, const Service& right, std::uint16_t& port) {
  for (const std::uint16_t candidate : left.ports) {
    port = candidate;
    if (std::find(right.ports.begin(), right.ports.end(), candidate) != right.ports.end()) {
      return true;
    }
  }
  return false;
}
/// Services at one address may share it by their hosts; one of them may take all other hosts.
bool common_host(const Service& left, const Service& right, std::string& host) {
  if (left.hosts.empty() != right.hosts.empty()) return false;
  if (left.hosts.empty()) {
    host = "every host";
    return true;
  }
  for (const std::string& candidate : left.hosts) {
    host = candidate;
    if (std::find(right.hosts.begin(), right.hosts.end(), candidate) != right.hosts.end()) {
      return true;
    }
  }
  return false;
}

}  // namespace

void read_mode(YamlReader& reader, const YAML::Node& node, abi::Mode& into) {
  reader.choice<abi::Mode>(
      node, "mode",
      {{"off", abi::Mode::kOff}, {"monitor", abi::Mode::kMonitor}, {"block", abi::Mode::kBlock}},
      into);
}

void read_name(YamlReader& reader, const YAML::Node& parent, const std::string& what,
               std::string& into) {
  const YAML::Node node = parent["name"];
  if (!node) return reader.complain(parent, what + " has no name (expected name: ...)");
  into = scalar(node);
  const bool good = !into.empty() && into.size() <= abi::kServiceNameBytesMax &&
                    std::all_of(into.begin(), into.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                    });
  if (!good) {
    reader.complain(node, "a name wants 1 to " + std::to_string(abi::kServiceNameBytesMax) +
                              " letters, digits, _, - and .");
  }
}

void read_prefixes(YamlReader& reader, const YAML::Node& node, const std::string& what,
                   std::vector<base::IpPrefix>& into) {
  for (const YAML::Node& item : items(reader, node, what, kAddressesPerServiceMax)) {
    if (const auto prefix = base::IpPrefix::parse(scalar(item))) {
      into.push_back(*prefix);
    } else {
      reader.complain(item, what + ": expected an address or a prefix such as 10.0.0.0/8, got '" +
                                scalar(item) + "'");
    }
  }
}

void read_service(YamlReader& reader, const YAML::Node& node, Service& into) {
  into.line = static_cast<std::uint32_t>(node.Mark().line + 1);
  into.column = static_cast<std::uint32_t>(node.Mark().column + 1);
  if (!node.IsMap())
    return reader.complain(node, "a service wants a map of name, addresses, ports");
  reader.check_map(node, "a service",
                   {"name", "addresses", "ports", "hosts", "mode", "upgrades", "client_address",
                    "limits", "routes", "inspect"});
  read_name(reader, node, "a service", into.name);
  if (node["addresses"]) read_prefixes(reader, node["addresses"], "addresses", into.addresses);
  if (node["ports"]) read_ports(reader, node["ports"], into.ports);
  if (!node["addresses"] || (node["addresses"].IsSequence() && node["addresses"].size() == 0)) {
    reader.complain(node, "a service wants addresses: where its servers are");
  }
  if (!node["ports"] || (node["ports"].IsSequence() && node["ports"].size() == 0)) {
    reader.complain(node, "a service wants ports, such as [80]");
  }
  read_hosts(reader, node["hosts"], into.hosts);
  read_mode(reader, node["mode"], into.mode);
  read_upgrades(reader, node["upgrades"], into);
  read_client_address(reader, node["client_address"], into);
  read_limits(reader, node["limits"], into.limits);
  read_routes(reader, node["routes"], into.routes);
  read_inspection(reader, node["inspect"], nullptr, into.inspection);
}

void check_services(YamlReader& reader, const YAML::Node& list,
                    const std::vector<Service>& services) {
  for (std::size_t i = 0; i < services.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const Service& first = services[j];
      const Service& second = services[i];
      const std::string at = " (line " + std::to_string(first.line) + ")";
      if (!second.name.empty() && first.name == second.name) {
        reader.complain(list[i], "another service is named " + second.name + at);
      }
      std::uint16_t port = 0;
      std::string host;
      const std::string address = common_address(first, second);
      if (address.empty() || !common_port(first, second, port) ||
          !common_host(first, second, host)) {
        continue;
      }
      reader.complain(list[i], "the services " + first.name + at + " and " + second.name +
                                   " overlap: both take " + address + " port " +
                                   std::to_string(port) + ", " + host);
    }
  }
}

}  // namespace sluice::policy
