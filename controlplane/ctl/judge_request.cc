// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/judge_request.h"

#include <strings.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "controlplane/api/builder.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/conversation.h"
#include "controlplane/ctl/online.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

/// Documentation addresses (RFC 5737, RFC 3849): nobody's, so no rule about local clients matches.
constexpr const char *kClient4 = "192.0.2.1", *kClient6 = "2001:db8::1";
constexpr const char *kServer4 = "198.51.100.2", *kServer6 = "2001:db8::2";
constexpr std::uint16_t kPort = 80;

std::string cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return std::string(cache) + "/sluice";
  }
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? std::string() : std::string(home) + "/.cache/sluice";
}

bool fits_family(const abi::PolicyPrefix& prefix, bool is_v4) {
  const base::IpAddress address = base::IpAddress::from_v6(prefix.address);
  return prefix.prefix_bits == 0 || address.is_v4() == is_v4;
}

/// The value of the first Host field, lower case, without port: what names the service.
std::string host_of(const std::string& request) {
  std::size_t at = request.find('\n');
  while (at != std::string::npos && at + 6 < request.size()) {
    if (::strncasecmp(request.c_str() + at + 1, "host:", 5) == 0) {
      std::string host = request.substr(at + 6, request.find_first_of("\r\n", at + 6) - at - 6);
      std::erase(host, ' ');
      std::transform(host.begin(), host.end(), host.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      return host.substr(0, host.rfind(':') == std::string::npos ? host.size() : host.rfind(':'));
    }
    at = request.find('\n', at + 1);
  }
  return {};
}

/// Where a request goes to: the service that names its host, else the first one with an address of
/// the client's family.
bool choose_server(const engine::Generation& generation, const std::string& host, bool is_v4,
                   base::IpAddress& server, std::uint16_t& port) {
  const abi::PolicyView& policy = generation.policy();
  int best = -1;
  for (const abi::PolicyService& service : generation.services()) {
    int rank = 0;
    for (const abi::StringRef& name : policy.items<abi::StringRef>(service.hosts)) {
      if (policy.text(name) == host) rank = 1;
    }
    if (rank <= best) continue;
    for (const abi::PolicyPrefix& prefix : policy.items<abi::PolicyPrefix>(service.addresses)) {
      if (!fits_family(prefix, is_v4)) continue;
      best = rank;
      server = prefix.prefix_bits == 0 ? *base::IpAddress::parse(is_v4 ? kServer4 : kServer6)
                                       : base::IpAddress::from_v6(prefix.address);
      const auto ports = policy.items<std::uint16_t>(service.ports);
      port = ports.empty() ? kPort : ports[0];
      break;
    }
  }
  return best >= 0;
}

int rank_of(const json& answer) {
  const std::string verdict = answer.value("verdict", "pass");
  return verdict == "block" ? 2 : verdict == "monitor" ? 1 : 0;
}

/// Several transactions of one input as one answer: the worst verdict, every rule.
json join(std::vector<json>& answers, std::size_t request_bytes) {
  if (answers.empty()) {
    return {{"verdict", "pass"},
            {"status", 0},
            {"reason", abi::reason_name(abi::Reason::kNone)},
            {"phase", 0},
            {"rules", json::array()},
            {"scores", {{"inbound", 0}}},
            {"bytes", {{"inspected", 0}, {"total", request_bytes}}},
            {"exact", true},
            {"limits", json::array()},
            {"method", ""},
            {"uri", ""},
            {"generation", 1}};
  }
  const auto worst =
      std::max_element(answers.begin(), answers.end(),
                       [](const json& a, const json& b) { return rank_of(a) < rank_of(b); });
  json result = *worst;
  if (answers.size() == 1) return result;
  json rules = json::array();
  for (const json& answer : answers) {
    for (const json& rule : answer["rules"]) rules.push_back(rule);
  }
  result["rules"] = std::move(rules);
  result["requests"] = answers.size();
  return result;
}

}  // namespace

int say_errors(const Context& context, const std::vector<publish::Diagnostic>& errors) {
  if (errors.empty()) return kDone;
  if (context.json) {
    json list = json::array();
    for (const publish::Diagnostic& error : errors) {
      list.push_back({{"file", error.file},
                      {"line", error.line},
                      {"column", error.column},
                      {"message", error.message}});
    }
    print_json({{"errors", list}});
    return kInvalid;
  }
  for (const publish::Diagnostic& error : errors) {
    std::fprintf(stderr, "%s:%u:%u: %s\n", error.file.c_str(), static_cast<unsigned>(error.line),
                 static_cast<unsigned>(error.column), error.message.c_str());
  }
  return kInvalid;
}

publish::BuildResult compile_offline(const Context& context) {
  publish::BuildRequest request;
  request.policy = context.policy;
  request.rules = context.rules;
  request.generation = 1;
  request.cache_folder = cache_folder();
  request.state = state_folder(context);
  if (request.policy.empty() && request.rules.empty()) {
    request.rules = {context.signatures + "/*.conf"};
  }
  return api::build_generation(request);
}

int build_offline(const Context& context, publish::BuildResult& result) {
  result = compile_offline(context);
  return say_errors(context, result.errors);
}

base::Result<std::unique_ptr<RequestJudge>> RequestJudge::create(const publish::BuildResult& built,
                                                                 bool with_limits) {
  OfflineEngine::Options options;
  options.with_limits = with_limits;
  auto engine = OfflineEngine::create(built.image, options);
  if (!engine.ok()) return engine.error();
  return std::unique_ptr<RequestJudge>(
      new RequestJudge(std::move(engine).value(), built.rules_json));
}

base::Result<json> RequestJudge::judge(const std::string& request, const std::string& response,
                                       const std::string& client) {
  Conversation::Ends ends;
  const auto parsed = base::IpAddress::parse(client.empty() ? kClient4 : client);
  if (!parsed) return base::Error{client + " is no IP address"};
  ends.client = *parsed;
  const std::string host = host_of(request);
  const engine::Generation& generation = engine_->generation();
  if (!choose_server(generation, host, ends.client.is_v4(), ends.server, ends.server_port)) {
    if (!client.empty()) return base::Error{"no service has an address of the family of " + client};
    ends.client = *base::IpAddress::parse(kClient6);
    if (!choose_server(generation, host, false, ends.server, ends.server_port)) {
      return base::Error{"the policy has no service"};
    }
  }
  client_port_ =
      client_port_ == 65535 ? std::uint16_t{1024} : static_cast<std::uint16_t>(client_port_ + 1);
  ends.client_port = client_port_;
  now_ += base::kNanosPerMilli;
  engine_->set_time(now_, base::wall_now());
  std::vector<json> answers;
  engine_->on_transaction(
      [&](const engine::TransactionRecord& record) { answers.push_back(to_json(record, texts_)); });
  Conversation conversation(*engine_, ends);
  conversation.open();
  conversation.client_says(request);
  if (response.empty()) {
    conversation.client_ends();
  } else {
    conversation.server_says(response);
    conversation.server_ends();
  }
  engine_->close_all();
  engine_->on_transaction({});
  return join(answers, request.size());
}

base::Result<std::string> read_input(const std::string& path) {
  if (path == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  }
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return base::Error{path + ": cannot be read"};
  return text;
}

}  // namespace sluice::ctl
