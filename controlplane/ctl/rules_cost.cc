// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controlplane/ctl/capture_reader.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/judge_request.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"
#include "dataplane/base/clock.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

constexpr std::size_t kFlowsMax = 65536, kTransactionsMax = 2048;

struct Measured {
  std::vector<rules::RuleCost> costs;
  std::uint64_t requests = 0, ns = 0;  ///< ns: of the whole engine
};

/// A capture begins with the magic of pcap (in either order of bytes, micro or nano) or pcapng.
bool is_capture(const std::string& path) {
  unsigned char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(magic), sizeof magic);
  const std::uint32_t word = static_cast<std::uint32_t>(magic[0]) << 24 |
                             static_cast<std::uint32_t>(magic[1]) << 16 |
                             static_cast<std::uint32_t>(magic[2]) << 8 | magic[3];
  return word == 0x0a0d0d0a || word == 0xa1b2c3d4 || word == 0xd4c3b2a1 || word == 0xa1b23c4d ||
         word == 0x4d3cb2a1;
}

int measure_capture(const Context& context, const publish::BuildResult& built, Measured& into) {
  auto opened = CaptureReader::open(context.files[0]);
  if (!opened.ok()) return complain(context, kUsage, opened.error().message);
  OfflineEngine::Options options;
  options.flows_max = kFlowsMax;
  options.transactions_max = kTransactionsMax;
  auto made = OfflineEngine::create(built.image, options);
  if (!made.ok()) return complain(context, kInvalid, made.error().message);
  OfflineEngine& engine = *made.value();
  engine.on_transaction([&](const engine::TransactionRecord&) { ++into.requests; });
  const auto& costs = engine.measure_rules();
  ReplayTotals totals;
  const base::Nanos before = base::monotonic_now();
  const auto done = replay_capture(opened.value(), engine, !context.policy.empty(), totals);
  engine.close_all();
  into.ns = base::monotonic_now() - before;
  into.costs = costs;
  return done.ok() ? kDone : complain(context, kInvalid, done.error().message);
}

int measure_lines(const Context& context, const publish::BuildResult& built, Measured& into) {
  std::ifstream input(context.files[0], std::ios::binary);
  if (!input) return complain(context, kUsage, context.files[0] + ": cannot be read");
  auto made = RequestJudge::create(built, false);
  if (!made.ok()) return complain(context, kInvalid, made.error().message);
  const auto& costs = made.value()->engine().measure_rules();
  std::string line;
  for (std::size_t number = 1; std::getline(input, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const json asked = json::parse(line, nullptr, false);
    std::string request, response;
    if (!asked.is_object() || !decode_base64(asked.value("request_b64", ""), request) ||
        !decode_base64(asked.value("response_b64", ""), response) || request.empty()) {
      return complain(context, kUsage,
                      context.files[0] + ":" + std::to_string(number) +
                          ":1: wants {\"request_b64\": ...}, as check --batch");
    }
    const base::Nanos before = base::monotonic_now();
    const auto judged = made.value()->judge(request, response, asked.value("client", ""));
    into.ns += base::monotonic_now() - before;
    if (!judged.ok()) return complain(context, kUsage, judged.error().message);
    ++into.requests;
  }
  into.costs = costs;
  return kDone;
}

/// One entry for each rule that was evaluated, the dearest first.
json rows_of(const Measured& measured, const std::string& rules_json) {
  json rows = json::array();
  for (const json& rule : json::parse(rules_json)) {
    const auto index = rule.value("index", std::size_t{0});
    if (index >= measured.costs.size() || measured.costs[index].evaluations == 0) continue;
    const rules::RuleCost& cost = measured.costs[index];
    rows.push_back({{"id", rule["id"]},
                    {"phase", rule["phase"]},
                    {"msg", rule["msg"]},
                    {"file", rule["file"]},
                    {"line", rule["line"]},
                    {"evaluations", cost.evaluations},
                    {"matches", cost.matches},
                    {"ns", cost.ns},
                    {"ns_per_request", cost.ns / std::max<std::uint64_t>(measured.requests, 1)}});
  }
  std::sort(rows.begin(), rows.end(), [](const json& a, const json& b) {
    return a["ns"].get<std::uint64_t>() > b["ns"].get<std::uint64_t>();
  });
  return rows;
}

void show(const json& answer) {
  Table table({"rule", "phase", "evaluated", "matched", "ns/request", "share", ""});
  const double whole = std::max(1.0, answer["ns"].get<double>());
  for (const json& row : answer["rules"]) {
    char share[16];
    std::snprintf(share, sizeof share, "%.1f", 100.0 * row["ns"].get<double>() / whole);
    table.row({row["id"].dump(), row["phase"].dump(),
               grouped(row["evaluations"].get<std::uint64_t>()),
               grouped(row["matches"].get<std::uint64_t>()),
               grouped(row["ns_per_request"].get<std::uint64_t>()), std::string(share) + " %",
               printable(row["msg"].get<std::string>(), 50)});
  }
  std::printf(
      "%s\n%s requests, %s ns each: %s in the rules above, the rest in streams, HTTP and the "
      "scans that all rules share\n",
      table.text().c_str(), grouped(answer["requests"].get<std::uint64_t>()).c_str(),
      grouped(answer["ns_per_request"].get<std::uint64_t>()).c_str(),
      grouped(answer["rules_ns_per_request"].get<std::uint64_t>()).c_str());
}

}  // namespace

int run_rules_cost(const Context& context) {
  publish::BuildResult built;
  if (const int exit = build_offline(context, built); exit != kDone) return exit;
  Measured measured;
  const int exit = is_capture(context.files[0]) ? measure_capture(context, built, measured)
                                                : measure_lines(context, built, measured);
  if (exit != kDone) return exit;
  const std::uint64_t requests = std::max<std::uint64_t>(measured.requests, 1);
  std::uint64_t rules_ns = 0;
  for (const rules::RuleCost& cost : measured.costs) rules_ns += cost.ns;
  const json answer = {{"requests", measured.requests},
                       {"ns", measured.ns},
                       {"ns_per_request", measured.ns / requests},
                       {"rules_ns_per_request", rules_ns / requests},
                       {"rules", rows_of(measured, built.rules_json)}};
  if (context.json) {
    print_json(answer);
  } else {
    show(answer);
  }
  return kDone;
}

}  // namespace sluice::ctl
