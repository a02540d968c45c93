// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/builder.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "controlplane/compile/compile.h"
#include "controlplane/compile/program.h"
#include "controlplane/policy/policy.h"
#include "controlplane/seclang/link.h"

namespace sluice::api {
namespace {

using nlohmann::json;

/// A text as the rule writes it, macros too.
std::string written(const seclang::MacroText& text) {
  std::string result;
  for (const seclang::MacroPiece& piece : text.pieces) {
    if (!piece.is_variable) {
      result += piece.literal;
      continue;
    }
    result += "%{" + std::string(abi::variable_info(piece.variable).name);
    if (!piece.key.empty()) result += "." + piece.key;
    result += "}";
  }
  return result;
}

const char* severity_name(std::uint8_t severity) {
  static constexpr const char* kNames[] = {"EMERGENCY", "ALERT",  "CRITICAL", "ERROR",
                                           "WARNING",   "NOTICE", "INFO",     "DEBUG"};
  return severity < std::size(kNames) ? kNames[severity] : "";
}

/// The transformations behind the value that a match of this chain shows: those of its last link
/// that does not itself look at MATCHED_*.
json transformations(const seclang::Rule& rule) {
  const seclang::Link* shown = &rule.head();
  for (const seclang::Link& link : rule.links) {
    const bool matched_vars =
        std::any_of(link.targets.begin(), link.targets.end(), [](const seclang::Target& target) {
          return target.variable == abi::VariableId::kMatchedVar ||
                 target.variable == abi::VariableId::kMatchedVars;
        });
    if (!link.targets.empty() && !matched_vars) shown = &link;
  }
  json names = json::array();
  for (const abi::TransformId id : shown->transforms) {
    names.push_back(std::string(abi::transform_name(id)));
  }
  return names;
}

/// What events and `explain` say about rules: one entry per chain.
std::string describe(const seclang::LinkedRules& rules, const compile::Program& program) {
  std::map<std::uint32_t, std::uint32_t> index_of;
  for (std::uint32_t i = 0; i < program.rules.size(); ++i) {
    if (program.rules[i].starter == i) index_of.emplace(program.rules[i].id, i);
  }
  json list = json::array();
  for (const seclang::Rule& rule : rules.rules) {
    const auto index = index_of.find(rule.id);
    if (index == index_of.end()) continue;  // folded away
    const seclang::Link& head = rule.head();
    json entry = {{"id", rule.id},
                  {"index", index->second},
                  {"phase", rule.phase},
                  {"msg", head.msg ? written(*head.msg) : ""},
                  {"severity", severity_name(head.severity)},
                  {"rev", rule.rev},
                  {"ver", rule.ver},
                  {"tags", json::array()},
                  {"transformations", transformations(rule)},
                  {"file", rules.file_name(head.place)},
                  {"line", head.place.line}};
    std::string text;
    for (const seclang::Link& link : rule.links) {
      for (const seclang::MacroText& tag : link.tags) entry["tags"].push_back(written(tag));
      text += (text.empty() ? "" : "\n") + link.text;
    }
    entry["text"] = text;
    list.push_back(std::move(entry));
  }
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Without a policy: everything is one service and nothing is checked but the rules.
policy::Policy policy_for_everything() {
  policy::Policy everything;
  policy::Service service;
  service.name = "any";
  service.addresses.push_back(*base::IpPrefix::parse("::/0"));
  service.inspection.strict = 0;
  everything.services.push_back(std::move(service));
  return everything;
}

/// The policy of a request, its own rules instead of the policy's where it names some.
policy::Policy load_policy(const publish::BuildRequest& request, seclang::SourceSet& sources,
                           config::Diagnostics& diagnostics) {
  policy::Policy policy;
  if (request.policy.empty()) {
    policy = policy_for_everything();
  } else {
    const auto text = sources.read(request.policy);
    if (text.ok()) {
      policy = policy::parse_text(request.policy, std::string(text.value()), diagnostics);
    } else {
      diagnostics.error(request.policy, 1, 1, text.error().message);
    }
  }
  if (!request.rules.empty()) policy.rules = request.rules;
  return policy;
}

void append(config::Diagnostics& into, config::Diagnostics& from) {
  for (config::Diagnostic& item : from.errors) {
    into.error(std::move(item.file), item.line, item.column, std::move(item.message));
  }
  for (config::Diagnostic& item : from.warnings) {
    into.warning(std::move(item.file), item.line, item.column, std::move(item.message));
  }
  into.errors_left_out += from.errors_left_out;
}

void finish(publish::BuildResult& result, config::Diagnostics& diagnostics,
            const std::string& file) {
  if (diagnostics.errors_left_out > 0) {
    diagnostics.errors.push_back(
        {file, 1, 1, std::to_string(diagnostics.errors_left_out) + " further errors"});
  }
  if (!diagnostics.ok()) result.image.clear();
  result.errors = std::move(diagnostics.errors);
  result.warnings = std::move(diagnostics.warnings);
}

}  // namespace

publish::BuildResult build_generation(const publish::BuildRequest& request) {
  publish::BuildResult result;
  config::Diagnostics diagnostics;
  seclang::SourceSet sources =
      request.stored.empty() ? seclang::SourceSet() : seclang::SourceSet(request.stored);
  sources.set_state(request.state);
  const policy::Policy policy = load_policy(request, sources, diagnostics);
  config::Diagnostics about_rules;
  const seclang::LinkedRules rules = seclang::link_files(policy.rules, sources, about_rules);
  result.sources = sources.sources();
  result.rules = rules.rules.size();

  compile::StringsBuilder strings;
  compile::CompileOptions options;
  options.cache_folder = request.cache_folder;
  compile::CompileReport report;
  compile::ProgramPtr program;
  // Rules that linked are compiled even where others did not: one run shows every error.
  program = compile::compile(rules, options, strings, about_rules, report);
  append(diagnostics, about_rules);
  if (diagnostics.ok() && program != nullptr) {
    compile::ImageParts parts;
    parts.policy = policy::encode_policy(policy, compile::kPolicyOffset, strings);
    parts.strings = &strings;
    parts.generation = request.generation;
    auto image = compile::write_image(parts, program.get());
    if (image.ok()) {
      result.image = std::move(image).value();
      result.rules_json = describe(rules, *program);
    } else {
      diagnostics.error(request.policy, 1, 1, image.error().message);
    }
  }
  finish(result, diagnostics, request.policy);
  return result;
}

}  // namespace sluice::api
