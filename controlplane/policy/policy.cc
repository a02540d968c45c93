// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/policy/policy.h"

#include <algorithm>
#include <filesystem>

#include "controlplane/policy/reader.h"
#include "dataplane/abi/limits.h"

namespace sluice::policy {
namespace {

/// Relative paths start beside the policy.
void read_rules(YamlReader& reader, const YAML::Node& node, const std::string& file,
                std::vector<std::string>& into) {
  if (!node || !reader.check_map(node, "rules", {"include"})) return;
  const YAML::Node include = node["include"];
  if (!include || include.IsNull()) return;
  const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
  const auto add = [&](const YAML::Node& item) {
    if (!item.IsScalar() || item.Scalar().empty()) {
      return reader.complain(item, "rules.include wants paths or patterns of rule files");
    }
    into.push_back((folder / item.Scalar()).lexically_normal().string());
  };
  if (include.IsScalar()) return add(include);
  if (!include.IsSequence()) {
    return reader.complain(include, "rules.include wants a list of paths or patterns");
  }
  for (const YAML::Node& item : include) add(item);
}

void read_services(YamlReader& reader, const YAML::Node& list, Policy& policy,
                   const Inspection& defaults) {
  if (!list || list.IsNull()) return;
  if (!list.IsSequence() || list.size() > abi::kServicesMax) {
    return reader.complain(list, "services wants a list of at most " +
                                     std::to_string(abi::kServicesMax) + " services");
  }
  std::size_t limits = 0;
  for (const YAML::Node& item : list) {
    Service service;
    service.inspection = defaults;
    read_service(reader, item, service);
    limits += service.limits.size();
    policy.services.push_back(std::move(service));
  }
  if (limits > abi::kLimitsMax) {
    reader.complain(
        list, "more than " + std::to_string(abi::kLimitsMax) + " limits in all services together");
  }
  check_services(reader, list, policy.services);
}

void read_root(YamlReader& reader, const YAML::Node& root, const std::string& name,
               Policy& policy) {
  if (!reader.check_map(root, "the policy", {"mode", "rules", "inspect", "services"})) return;
  read_mode(reader, root["mode"], policy.mode);
  read_rules(reader, root["rules"], name, policy.rules);
  Inspection defaults;
  read_inspection(reader, root["inspect"], &policy, defaults);
  read_services(reader, root["services"], policy, defaults);
}

}  // namespace

Policy parse_text(const std::string& name, const std::string& text,
                  config::Diagnostics& diagnostics) {
  Policy policy;
  if (text.size() > kPolicyBytesMax) {
    diagnostics.error(name, 1, 1, "larger than 1 MiB: not a policy");
    return policy;
  }
  YamlReader reader(name);
  const YAML::Node root = reader.load_text(text);
  try {
    if (root) read_root(reader, root, name, policy);
  } catch (const YAML::Exception& wrong) {  // a node of a kind that nothing above expects
    diagnostics.error(name, static_cast<std::uint32_t>(std::max(wrong.mark.line, 0) + 1),
                      static_cast<std::uint32_t>(std::max(wrong.mark.column, 0) + 1), wrong.msg);
  }
  for (const config::Diagnostic& error : reader.diagnostics().errors) {
    diagnostics.error(error.file, error.line, error.column, error.message);
  }
  return policy;
}

}  // namespace sluice::policy
