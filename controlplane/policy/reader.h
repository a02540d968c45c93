// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "controlplane/policy/policy.h"
#include "dataplane/config/yaml_reader.h"

/// The parts of policy.yaml, each with its complaints.
namespace sluice::policy {

using config::YamlReader;

/// `inspect:` of the policy (`whole`) or of a service, over the values already in `into`.
void read_inspection(YamlReader& reader, const YAML::Node& node, Policy* whole, Inspection& into);
/// The keys of a service's `inspect:`, which stand in the policy's too.
std::vector<std::string_view> inspection_keys();

void read_service(YamlReader& reader, const YAML::Node& node, Service& into);
void read_limits(YamlReader& reader, const YAML::Node& node, std::vector<Limit>& into);
/// Errors too: a route that an earlier one leaves no request to. O(routes squared).
void read_routes(YamlReader& reader, const YAML::Node& node, std::vector<Route>& into);
/// Whether every path that fits the pattern `later` fits `earlier` (limit::route_matches()). Both
/// start with `/`. O(segments).
bool pattern_covers(std::string_view earlier, std::string_view later);
void read_mode(YamlReader& reader, const YAML::Node& node, abi::Mode& into);
/// Addresses and prefixes, one or a list.
void read_prefixes(YamlReader& reader, const YAML::Node& node, const std::string& what,
                   std::vector<base::IpPrefix>& into);
/// A name of letters, digits, `_`, `-` and `.`; what else is a complaint.
void read_name(YamlReader& reader, const YAML::Node& parent, const std::string& what,
               std::string& into);
/// Services that claim the same requests, and names that stand twice.
void check_services(YamlReader& reader, const YAML::Node& list,
                    const std::vector<Service>& services);

}  // namespace sluice::policy
