// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "controlplane/api/builder.h"
#include "controlplane/api/settings.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

json diagnostic(const std::string& file, std::uint64_t line, std::uint64_t column,
                const std::string& message) {
  return {
      {"file", file},
      {"line", line},
      {"column", column},
      {"message", message},
      {"text", file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + message}};
}

/// What `load_settings` says is "file:line:column: message", a line each; `file` is the one read.
void take_settings(const std::string& file, const std::string& instance, json& errors) {
  const auto settings = api::load_settings(file, instance);
  if (settings.ok()) return;
  std::istringstream lines(settings.error().message);
  for (std::string text; std::getline(lines, text);) {
    unsigned long line = 1, column = 1;
    int used = 0;
    if (text.starts_with(file) &&
        std::sscanf(text.c_str() + file.size(), ":%lu:%lu: %n", &line, &column, &used) == 2) {
      text.erase(0, file.size() + static_cast<std::size_t>(used));
    }
    errors.push_back(diagnostic(file, line, column, text));
  }
}

void take_policy(const Context& context, const std::string& file, json& errors, json& warnings,
                 std::uint64_t& rules) {
  publish::BuildRequest request;
  request.policy = file;
  request.generation = 1;
  request.state = state_folder(context);
  const publish::BuildResult result = api::build_generation(request);
  rules += result.rules;
  for (const auto& [from, into] :
       {std::pair{&result.errors, &errors}, std::pair{&result.warnings, &warnings}}) {
    for (const publish::Diagnostic& entry : *from) {
      into->push_back(diagnostic(entry.file, entry.line, entry.column, entry.message));
    }
  }
}

}  // namespace

std::string state_folder(const Context& context) {
  const auto settings = api::load_settings(context.config, context.instance);
  return settings.ok() ? settings.value().paths.state
                       : publish::default_paths(context.instance).state;
}

std::string keys_folder(const Context& context) {
  const auto settings = api::load_settings(context.config, context.instance);
  const std::string policy = settings.ok() ? settings.value().paths.policy
                                           : publish::default_paths(context.instance).policy;
  return std::filesystem::path(policy).parent_path().string() + "/keys";
}

int run_config_test(const Context& context) {
  json errors = json::array(), warnings = json::array();
  std::uint64_t rules = 0;
  std::vector<std::string> policies = context.files;
  if (policies.empty()) {
    const auto settings = api::load_settings(context.config, context.instance);
    const std::string usual = publish::default_paths(context.instance).policy;
    if (settings.ok()) {
      policies.push_back(settings.value().paths.policy);
    } else if (::access(usual.c_str(), R_OK) == 0) {  // where a broken file has it nobody knows
      policies.push_back(usual);
    }
  }
  take_settings(context.config, context.instance, errors);
  for (const std::string& policy : policies) {
    if (::access(policy.c_str(), R_OK) != 0) {
      errors.push_back(diagnostic(policy, 1, 1, "cannot be read"));
      continue;
    }
    take_policy(context, policy, errors, warnings, rules);
  }
  const bool good = errors.empty();
  if (context.json) {
    print_json({{"valid", good}, {"errors", errors}, {"warnings", warnings}, {"rules", rules}});
    return good ? kDone : kInvalid;
  }
  for (const json& entry : errors) {
    std::fprintf(stderr, "%s\n", entry.value("text", "").c_str());
  }
  for (const json& entry : warnings) {
    std::fprintf(stderr, "%s (warning)\n", entry.value("text", "").c_str());
  }
  if (good) std::printf("valid, %s\n", counted(rules, "rule").c_str());
  return good ? kDone : kInvalid;
}

}  // namespace sluice::ctl
