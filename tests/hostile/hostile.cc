// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// Hostile load on one engine in one process, timed segment by segment: every request within the
// bounds of docs/limits.md ("Time"), no memory but what was allocated at start, and tables full of
// attackers as quick as empty ones.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "dataplane/abi/counters.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/reasons.h"
#include "tests/hostile/cpu_time.h"
#include "tests/hostile/requests.h"
#include "tests/hostile/tables.h"
#include "tests/unit/engine/engine_rig.h"

namespace sluice::hostile {
namespace {

constexpr double kRequestUs = 200, kBodyByteUs = 0.060, kStretchUs = 200;
/// Where a limit has ended the request by its name, the time until then is bounded too: the budget
/// of the rules grows with the body.
constexpr double kLimitedUs = 25'000, kLimitedByteUs = 1;
constexpr std::size_t kSegmentBytes = 1400;

struct Options {
  std::string rules = "own", only;
  int rounds = 3;
  base::Nanos slice_ns = abi::kSliceNs;
  double slack = 1;
};

struct Spent {
  double total_us = 0, stretch_us = 0;
  std::uint64_t scans = 0, confirms = 0;  ///< of Hyperscan, of PCRE2
  abi::Reason reason = abi::Reason::kNone;
};

std::string rules_text(const std::string& which) {
  if (which == "own") {
    return "Include " SLUICE_SOURCE "/signatures/*.conf\nSecRuleEngine DetectionOnly\n";
  }
  return "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n"
         "SecRule REQUEST_HEADERS:Content-Type \"^application/json\" "
         "\"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
         "SecRule REQUEST_HEADERS:Content-Type \"^text/xml\" "
         "\"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n"
         "Include /etc/modsecurity/crs/crs-setup.conf\n"
         "Include /usr/share/modsecurity-crs/rules/*.conf\n";
}

/// One request in segments over a connection of its own; the server acknowledges each.
Spent send(test::EngineRig& rig, const std::string& text, unsigned port) {
  test::Dialog dialog(rig, port);
  dialog.handshake();
  Spent spent;
  const std::uint64_t scans = rig.count(abi::CounterId::kScans);
  const std::uint64_t confirms = rig.count(abi::CounterId::kRegexConfirms);
  for (std::size_t at = 0; at < text.size(); at += kSegmentBytes) {
    const std::string_view piece = std::string_view(text).substr(at, kSegmentBytes);
    const test::Frame frame = dialog.client_frame(at, piece);
    const auto timed = [&](auto&& call) {
      const double begin = cpu_us();
      call();
      const double us = cpu_us() - begin;
      spent.total_us += us;
      spent.stretch_us = std::max(spent.stretch_us, us);
    };
    engine::Packet packet;
    timed([&] { packet = rig.push(engine::Side::kOutside, frame); });
    while (rig.engine->judging()) timed([&] { rig.poll(); });
    if (packet.fate != engine::Fate::kDrop && rig.kept() == 0) {
      dialog.server_acked = at + piece.size();
    }
    (void)rig.push(engine::Side::kInside, dialog.server_frame(0, {}, net::kAck));
  }
  rig.close_all();
  for (const test::RigRecord& record : rig.records(abi::RecordType::kAlert)) {
    if (record.header.action == abi::Action::kBlock) spent.reason = record.header.reason;
  }
  rig.advance_ms(3000);
  spent.scans = rig.count(abi::CounterId::kScans) - scans;
  spent.confirms = rig.count(abi::CounterId::kRegexConfirms) - confirms;
  rig.to_server.clear();
  rig.to_client.clear();
  return spent;
}

/// The requests that are asked for.
std::vector<Request> wanted_requests(const Options& options, int round) {
  std::vector<Request> wanted;
  for (Request& request : make_requests(std::to_string(1000 + round))) {
    if (request.name.find(options.only) != std::string::npos) wanted.push_back(std::move(request));
  }
  return wanted;
}

/// The least of several rounds, each with values of its own. All requests are made before the first
/// is sent, so that a profile shows the engine.
std::vector<Spent> measure(test::EngineRig& rig, const Options& options) {
  std::vector<std::vector<Request>> rounds;
  for (int i = 0; i < options.rounds; ++i) rounds.push_back(wanted_requests(options, i));
  std::vector<Spent> least;
  unsigned port = 2000;
  for (const std::vector<Request>& round : rounds) {
    std::size_t at = 0;
    for (const Request& request : round) {
      port = port % 60000 + 1024;
      const Spent spent = send(rig, request.text, port);
      if (at == least.size()) least.push_back(spent);
      least[at].total_us = std::min(least[at].total_us, spent.total_us);
      least[at].stretch_us = std::min(least[at].stretch_us, spent.stretch_us);
      ++at;
    }
  }
  return least;
}

bool check_requests(const Options& options) {
  test::RigOptions rig_options;
  rig_options.rules = rules_text(options.rules);
  rig_options.config.slice_ns = options.slice_ns;
  test::EngineRig rig(rig_options);
  bool good = true;
  const std::vector<Spent> measured = measure(rig, options);
  std::size_t at = 0;
  std::size_t beyond = 0, limited = 0;
  std::printf("%-48s %9s %10s %10s %6s %9s %7s %7s  %s\n", (options.rules + " rules").c_str(),
              "body", "us", "bound us", "of it", "stretch", "scans", "pcre2", "limit");
  for (const Request& request : wanted_requests(options, 0)) {
    const Spent& spent = measured[at++];
    const bool by_limit = spent.reason != abi::Reason::kNone;
    const double bound =
        by_limit ? std::max(kLimitedUs, kLimitedByteUs * static_cast<double>(request.body_bytes))
                 : kRequestUs + kBodyByteUs * static_cast<double>(request.body_bytes);
    const bool within = spent.total_us <= bound * (by_limit ? 1 : options.slack);
    limited += by_limit ? 1 : 0;
    beyond += spent.total_us <= bound ? 0 : 1;
    std::printf("%-48s %9zu %10.0f %10.0f %5.0f%% %9.0f %7llu %7llu  %s%s\n", request.name.c_str(),
                request.body_bytes, spent.total_us, bound, 100 * spent.total_us / bound,
                spent.stretch_us, static_cast<unsigned long long>(spent.scans),
                static_cast<unsigned long long>(spent.confirms),
                by_limit ? std::string(abi::reason_name(spent.reason)).c_str() : "",
                spent.total_us <= bound ? ""
                : within                ? "  over"
                                        : "  FAILED");
    good = good && within;
  }
  std::printf("%s rules: %zu ended by a named limit, %zu beyond the bound\n", options.rules.c_str(),
              limited, beyond);
  std::printf("%s requests_%s\n", good ? "PASS" : "FAIL", options.rules.c_str());
  return good;
}

}  // namespace
}  // namespace sluice::hostile

int main(int argc, char** argv) {
  sluice::hostile::Options options;
  CLI::App app("Hostile requests and full tables through one engine, timed.");
  app.add_option("--rules", options.rules, "own signatures or the CRS")
      ->check(CLI::IsMember({"own", "crs"}));
  app.add_option("--only", options.only, "requests with this text in their names, and no tables");
  app.add_option("--rounds", options.rounds, "of which the least time counts")
      ->check(CLI::PositiveNumber);
  app.add_option("--slice", options.slice_ns, "ns at a stretch; 0: without slices");
  app.add_option("--slack", options.slack, "factor on the bounds")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  bool good = sluice::hostile::check_requests(options);
  if (options.only.empty()) good = sluice::hostile::check_tables(options.slack) && good;
  return good ? 0 : 1;
}
