// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <chrono>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/oracle/reference.h"
#include "tests/unit/rules/ruleset_fixture.h"

/// Judges NDJSON requests {"id","request_b64"} by rule files with our engine or the reference:
/// oracle_batch ours|reference FILE... < requests > verdicts. For tests and for people.
namespace {

std::string decode_base64(const std::string& text) {
  std::string result;
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    const char* alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char* at = c == '\0' ? nullptr : std::char_traits<char>::find(alphabet, 64, c);
    if (at == nullptr) continue;
    bits = bits << 6 | static_cast<unsigned>(at - alphabet);
    if (++count % 4 == 0) {
      result += static_cast<char>(bits >> 16);
      result += static_cast<char>(bits >> 8);
      result += static_cast<char>(bits);
    }
  }
  if (count % 4 == 3) {
    result += static_cast<char>(bits >> 10);
    result += static_cast<char>(bits >> 2);
  } else if (count % 4 == 2) {
    result += static_cast<char>(bits >> 4);
  }
  return result;
}

/// What the rule sets add up, in versions 3 and 4.
std::vector<std::string> score_names() {
  std::vector<std::string> names = {"anomaly_score",
                                    "inbound_anomaly_score",
                                    "blocking_inbound_anomaly_score",
                                    "detection_inbound_anomaly_score",
                                    "sql_injection_score",
                                    "xss_score",
                                    "rfi_score",
                                    "lfi_score",
                                    "rce_score",
                                    "php_injection_score",
                                    "http_violation_score",
                                    "session_fixation_score"};
  for (const char* level : {"1", "2", "3", "4"}) {
    names.push_back(std::string("anomaly_score_pl") + level);
    names.push_back(std::string("inbound_anomaly_score_pl") + level);
  }
  return names;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sluice;
  if (argc < 3) {
    std::cerr << "usage: oracle_batch ours|reference FILE...\n";
    return 2;
  }
  const bool ours = std::string(argv[1]) == "ours";
  const std::vector<std::string> files(argv + 2, argv + argc);
  rules::test::LoadedRules loaded;
  std::unique_ptr<rules::test::Judge> judge;
  std::unique_ptr<oracle::Reference> reference;
  if (ours) {
    const char* cache = std::getenv("SLUICE_TEST_CACHE");
    compile::CompileOptions options;
    if (cache != nullptr) options.cache_folder = cache;
    options.scan = std::getenv("SLUICE_NO_SCAN") == nullptr;
    loaded = rules::test::load_files(files, options);
    for (const auto& each : loaded.errors) std::cerr << each << "\n";
    if (loaded.ruleset == nullptr) return 3;
    std::cerr << loaded.report.rules << " rules, " << loaded.report.folded << " folded, "
              << loaded.report.checks << " checks, " << loaded.report.patterns << " patterns, "
              << loaded.report.prefiltered << " prefiltered, " << loaded.report.without_scan
              << " without scan, " << loaded.report.databases << " databases of "
              << loaded.report.database_bytes << " bytes, " << loaded.report.elapsed_ms << " ms\n";
    judge = std::make_unique<rules::test::Judge>(*loaded.ruleset);
  } else {
    reference = oracle::Reference::load(files);
    if (reference == nullptr) return 3;
  }
  const std::vector<std::string> names = score_names();
  if (judge != nullptr) judge->tx_names = names;
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto input = nlohmann::json::parse(line);
    const std::string request = decode_base64(input["request_b64"].get<std::string>());
    nlohmann::json rules = nlohmann::json::array();
    std::vector<std::string> scores;
    nlohmann::json output = {{"id", input["id"]}, {"verdict", "pass"}};
    if (ours) {
      const auto judged = judge->run(request);
      for (std::size_t i = 0; i < judged.ids.size(); ++i) {
        rules.push_back({{"id", judged.ids[i]}, {"target", judged.targets[i]}});
      }
      output["inbound"] = judged.inbound;
      output["refused"] = judged.refused;
      output["steps"] = judged.steps;
      scores = judged.tx;
      for (const auto reason : judged.limits) output["limits"].push_back(abi::reason_name(reason));
    } else {
      const auto verdict = reference->run(request, names);
      for (const auto id : verdict.ids) rules.push_back({{"id", id}});
      scores = verdict.tx;
    }
    output["rules"] = rules;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (!scores[i].empty()) output["scores"][names[i]] = scores[i];
    }
    std::cout << output.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n"
              << std::flush;
  }
}
