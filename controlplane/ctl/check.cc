// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <openssl/evp.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/ctl/client.h"
#include "controlplane/ctl/judge_request.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"

namespace sluice::ctl {

bool decode_base64(const std::string& text, std::string& bytes) {
  bytes.resize(text.size() / 4 * 3 + 3);
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (text.empty() || size < 0) {
    bytes.clear();
    return text.empty();
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return true;
}

namespace {

using nlohmann::json;

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// One line of the batch. False: it asked nothing that can be answered; `answer` says why.
bool answer_line(RequestJudge& judge, const Context& context, const std::string& line,
                 json& answer) {
  const json asked = json::parse(line, nullptr, false);
  if (!asked.is_object()) {
    answer = {{"error", "not a JSON object"}};
    return false;
  }
  if (asked.contains("id")) answer["id"] = asked["id"];
  const auto text = [&](const char* key) {
    const auto found = asked.find(key);
    return found != asked.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  std::string request, response;
  if (!asked.contains("request_b64") || !decode_base64(text("request_b64"), request) ||
      !decode_base64(text("response_b64"), response)) {
    answer["error"] = "wants request_b64, and response_b64 if any, in base64";
    return false;
  }
  const std::string client = asked.contains("client") ? text("client") : context.client;
  auto judged = judge.judge(request, response, client);
  if (!judged.ok()) {
    answer["error"] = judged.error().message;
    return false;
  }
  answer.update(judged.value());
  return true;
}

int run_batch(RequestJudge& judge, const Context& context, std::istream& input) {
  bool good = true;
  std::string line;
  while (std::getline(input, line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    json answer = json::object();
    good &= answer_line(judge, context, line, answer);
    std::printf("%s\n", dump(answer).c_str());
  }
  std::fflush(stdout);
  return good ? kDone : kNo;
}

void show(const json& answer) {
  const std::string verdict = answer.value("verdict", "");
  const std::string method = answer.value("method", "");
  const std::string request = method + " " + printable(answer.value("uri", ""));
  std::printf("%s: %s", method.empty() ? "(no request line)" : request.c_str(),
              coloured(verdict, verdict == "block" ? Colour::kRed : Colour::kGreen).c_str());
  if (verdict != "pass") {
    std::printf(", %s (%s), status %d, phase %d", answer.value("reason", "").c_str(),
                answer.value("meaning", "").c_str(), answer.value("status", 0),
                answer.value("phase", 0));
  }
  std::printf("\nscore %d, %llu of %llu bytes inspected%s\n", answer["scores"].value("inbound", 0),
              answer["bytes"].value("inspected", 0ULL), answer["bytes"].value("total", 0ULL),
              answer.value("exact", true) ? "" : ", some values in windows");
  for (const json& rule : answer["rules"]) {
    std::printf("  %-8u phase %d  score %-3d %-9s %s\n           %s: %s\n", rule.value("id", 0U),
                rule.value("phase", 0), rule.value("score", 0), rule.value("severity", "").c_str(),
                printable(rule.value("msg", "")).c_str(),
                printable(rule.value("target", "")).c_str(),
                printable(rule.value("value", "")).c_str());
    const std::string matched = rule.value("matched", "");
    if (!matched.empty() && matched != rule.value("value", "")) {
      std::printf("           matched: %s\n", printable(matched).c_str());
    }
  }
}

int explain_failure(const Context& context, const base::Error& error, int exit) {
  return complain(context, exit, error.message);
}

/// The judge for what `context` names; an exit status other than kDone has been explained.
int make_judge(const Context& context, std::unique_ptr<RequestJudge>& judge,
               publish::BuildResult& built) {
  if (const int exit = build_offline(context, built); exit != kDone) return exit;
  auto made = RequestJudge::create(built, !context.policy.empty());
  if (!made.ok()) return explain_failure(context, made.error(), kInvalid);
  judge = std::move(made).value();
  return kDone;
}

/// One request file, and a response file where one is named.
int judge_file(const Context& context, RequestJudge& judge, const std::string& file, json& answer) {
  const auto request = read_input(file);
  if (!request.ok()) return explain_failure(context, request.error(), kUsage);
  if (request.value().empty()) {
    return explain_failure(context, base::Error{file + ": empty, no request"}, kUsage);
  }
  std::string response;
  if (!context.response.empty()) {
    auto read = read_input(context.response);
    if (!read.ok()) return explain_failure(context, read.error(), kUsage);
    response = std::move(read).value();
  }
  auto judged = judge.judge(request.value(), response, context.client);
  if (!judged.ok()) return explain_failure(context, judged.error(), kUsage);
  answer = std::move(judged).value();
  return kDone;
}

}  // namespace

int run_check(const Context& context) {
  std::unique_ptr<RequestJudge> judge;
  publish::BuildResult built;
  if (const int exit = make_judge(context, judge, built); exit != kDone) return exit;
  const std::string file = context.files.empty() ? "-" : context.files[0];
  if (context.batch) {
    if (file == "-") return run_batch(*judge, context, std::cin);
    std::ifstream input(file, std::ios::binary);
    if (!input) return complain(context, kUsage, file + ": cannot be read");
    return run_batch(*judge, context, input);
  }
  json answer;
  if (const int exit = judge_file(context, *judge, file, answer); exit != kDone) return exit;
  if (context.json) {
    std::printf("%s\n", dump(answer).c_str());
  } else {
    show(answer);
  }
  return answer.value("verdict", "") == "block" ? kNo : kDone;
}

int run_rules_test(const Context& context) {
  Context with_rules = context;
  with_rules.rules = context.files;
  std::unique_ptr<RequestJudge> judge;
  publish::BuildResult built;
  if (const int exit = make_judge(with_rules, judge, built); exit != kDone) return exit;
  json answer = json::object();
  if (!context.request_file.empty()) {
    const int exit = judge_file(with_rules, *judge, context.request_file, answer);
    if (exit != kDone) return exit;
  }
  json warnings = json::array();
  for (const publish::Diagnostic& warning : built.warnings) {
    warnings.push_back({{"file", warning.file},
                        {"line", warning.line},
                        {"column", warning.column},
                        {"message", warning.message}});
  }
  if (context.json) {
    json result = {
        {"rules", built.rules}, {"image_bytes", built.image.size()}, {"warnings", warnings}};
    if (!answer.empty()) result["request"] = answer;
    std::printf("%s\n", dump(result).c_str());
    return kDone;
  }
  for (const json& warning : warnings) {
    std::fprintf(stderr, "%s:%u:%u: %s (warning)\n", warning.value("file", "").c_str(),
                 warning.value("line", 0U), warning.value("column", 0U),
                 warning.value("message", "").c_str());
  }
  std::printf("%s, an image of %s bytes\n", counted(built.rules, "rule").c_str(),
              grouped(built.image.size()).c_str());
  if (!answer.empty()) show(answer);
  return kDone;
}

}  // namespace sluice::ctl
