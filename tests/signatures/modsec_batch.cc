// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors
//
// modsec_batch RULES... : raw requests as NDJSON {"id","request_b64"} through libmodsecurity, one
// answer a line in the shape of `sluicectl check --batch`. It exists to hold our signatures
// against the reference engine, so its HTTP reading is only as good as well-formed requests need.

#include <modsecurity/modsecurity.h>
#include <modsecurity/rule_message.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

std::string base64_decode(const std::string& text) {
  static const std::string kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto digit = kAlphabet.find(c);
    if (digit == std::string::npos) continue;
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>((bits >> count) & 0xff));
    }
  }
  return out;
}

struct Request {
  std::string method, target, version, body;
  std::vector<std::pair<std::string, std::string>> fields;
};

Request read_request(const std::string& raw) {
  Request request;
  auto end = raw.find("\r\n\r\n");
  if (end == std::string::npos) end = raw.size();
  const std::string head = raw.substr(0, end);
  if (end + 4 <= raw.size()) request.body = raw.substr(end + 4);
  auto line_end = head.find("\r\n");
  const std::string line = head.substr(0, line_end);
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first != std::string::npos && last > first) {
    request.method = line.substr(0, first);
    request.target = line.substr(first + 1, last - first - 1);
    const auto slash = line.rfind('/');
    request.version = slash == std::string::npos ? "1.1" : line.substr(slash + 1);
  }
  while (line_end != std::string::npos) {
    const auto start = line_end + 2;
    line_end = head.find("\r\n", start);
    const std::string field =
        head.substr(start, line_end == std::string::npos ? std::string::npos : line_end - start);
    const auto colon = field.find(':');
    if (colon == std::string::npos) continue;
    auto value = field.find_first_not_of(" \t", colon + 1);
    request.fields.emplace_back(field.substr(0, colon),
                                value == std::string::npos ? "" : field.substr(value));
  }
  return request;
}

using Matched = std::vector<std::pair<int, std::string>>;

void collect(void* data, const void* message) {
  const auto* rule = static_cast<const modsecurity::RuleMessage*>(message);
  static_cast<Matched*>(data)->emplace_back(rule->m_ruleId, rule->m_match);
}

nlohmann::json judge(modsecurity::ModSecurity& engine, modsecurity::RulesSet& rules,
                     const Request& request) {
  Matched ids;
  modsecurity::Transaction transaction(&engine, &rules, &ids);
  bool blocked = false;
  const auto interrupted = [&] {
    modsecurity::ModSecurityIntervention it{};
    modsecurity::intervention::clean(&it);
    const bool yes = transaction.intervention(&it);
    if (yes && it.log != nullptr) {
      const std::string log = it.log;
      const auto at = log.find("[id \"");
      if (at != std::string::npos) ids.emplace_back(std::atoi(log.c_str() + at + 5), "");
    }
    modsecurity::intervention::free(&it);
    blocked = blocked || yes;
    return yes;
  };
  transaction.processConnection("203.0.113.7", 40000, "192.0.2.1", 80);
  transaction.processURI(request.target.c_str(), request.method.c_str(), request.version.c_str());
  for (const auto& [name, value] : request.fields) transaction.addRequestHeader(name, value);
  transaction.processRequestHeaders();
  if (!interrupted()) {
    if (!request.body.empty())
      transaction.appendRequestBody(reinterpret_cast<const unsigned char*>(request.body.data()),
                                    request.body.size());
    transaction.processRequestBody();
    interrupted();
  }
  nlohmann::json matched = nlohmann::json::array();
  for (const auto& [id, value] : ids) matched.push_back({{"id", id}, {"value", value}});
  return {{"verdict", blocked ? "block" : "pass"}, {"rules", matched}};
}

}  // namespace

int main(int argc, char** argv) {
  modsecurity::ModSecurity engine;
  engine.setServerLogCb(collect, modsecurity::RuleMessageLogProperty);
  modsecurity::RulesSet rules;
  for (int i = 1; i < argc; ++i) {
    if (rules.loadFromUri(argv[i]) < 0) {
      std::cerr << argv[i] << ": " << rules.getParserError() << "\n";
      return 3;
    }
  }
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto question = nlohmann::json::parse(line);
    auto answer = judge(engine, rules,
                        read_request(base64_decode(question["request_b64"].get<std::string>())));
    answer["id"] = question["id"];
    std::cout << answer.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) << "\n";
  }
  return 0;
}
