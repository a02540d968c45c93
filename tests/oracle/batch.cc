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
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto input = nlohmann::json::parse(line);
    const std::string request = decode_base64(input["request_b64"].get<std::string>());
    nlohmann::json rules = nlohmann::json::array();
    nlohmann::json output = {{"id", input["id"]}, {"verdict", "pass"}};
    if (ours) {
      const auto judged = judge->run(request);
      for (std::size_t i = 0; i < judged.ids.size(); ++i) {
        rules.push_back({{"id", judged.ids[i]}, {"target", judged.targets[i]}});
      }
      output["inbound"] = judged.inbound;
      output["refused"] = judged.refused;
      for (const auto reason : judged.limits) output["limits"].push_back(abi::reason_name(reason));
    } else {
      for (const auto id : reference->run(request).ids) rules.push_back({{"id", id}});
    }
    output["rules"] = rules;
    std::cout << output.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n"
              << std::flush;
  }
}
