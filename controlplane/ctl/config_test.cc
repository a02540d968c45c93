// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "controlplane/api/builder.h"
#include "controlplane/api/settings.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/online.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

/// What `load_settings` says is already "file:line:column: message", a line each.
void take_settings(const std::string& file, const std::string& instance, json& errors) {
  const auto settings = api::load_settings(file, instance);
  if (settings.ok()) return;
  std::string text = settings.error().message;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    errors.push_back({{"text", text.substr(0, end)}});
    text = end == std::string::npos ? std::string() : text.substr(end + 1);
  }
}

void take_policy(const std::string& file, json& errors, json& warnings, std::uint64_t& rules) {
  publish::BuildRequest request;
  request.policy = file;
  request.generation = 1;
  const publish::BuildResult result = api::build_generation(request);
  rules += result.rules;
  for (const auto& [from, into] :
       {std::pair{&result.errors, &errors}, std::pair{&result.warnings, &warnings}}) {
    for (const publish::Diagnostic& entry : *from) {
      into->push_back({{"file", entry.file},
                       {"line", entry.line},
                       {"column", entry.column},
                       {"message", entry.message},
                       {"text", entry.file + ":" + std::to_string(entry.line) + ":" +
                                    std::to_string(entry.column) + ": " + entry.message}});
    }
  }
}

}  // namespace

int run_config_test(const Context& context) {
  json errors = json::array(), warnings = json::array();
  std::uint64_t rules = 0;
  std::vector<std::string> policies = context.files;
  if (policies.empty()) {
    const auto settings = api::load_settings(context.config, context.instance);
    policies.push_back(settings.ok() ? settings.value().paths.policy
                                     : publish::default_paths(context.instance).policy);
  }
  take_settings(context.config, context.instance, errors);
  for (const std::string& policy : policies) {
    if (::access(policy.c_str(), R_OK) != 0) {
      errors.push_back({{"file", policy}, {"text", policy + ":1:1: cannot be read"}});
      continue;
    }
    take_policy(policy, errors, warnings, rules);
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
  if (good) std::printf("valid, %llu rules\n", static_cast<unsigned long long>(rules));
  return good ? kDone : kInvalid;
}

}  // namespace sluice::ctl
