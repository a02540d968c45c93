// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/report.h"

#include <cstdio>
#include <numeric>

#include <nlohmann/json.hpp>

namespace sluice::gen {
namespace {

using nlohmann::json;

constexpr double kFailedShareMax = 0.00001;  // RFC 9411 section 4.3.4: 0.001 %
constexpr double kBusyShareMax = 0.95, kOnCpuShareMin = 0.95, kStalledShareMax = 0.05;
constexpr double kRateReachedMin = 0.99;

std::string format(const char* pattern, double value) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

double micros(double nanos) { return nanos / 1000.0; }

json latency_json(const Histogram& histogram) {
  json out = {{"count", histogram.count()},
              {"min", micros(static_cast<double>(histogram.min()))},
              {"mean", micros(histogram.mean())},
              {"max", micros(static_cast<double>(histogram.max()))}};
  for (const auto& [name, share] : {std::pair{"p50", 0.5}, std::pair{"p90", 0.9},
                                    std::pair{"p99", 0.99}, std::pair{"p999", 0.999}}) {
    out[name] = micros(static_cast<double>(histogram.quantile(share)));
  }
  return out;
}

json outcomes_json(const ClientStats::Outcomes& outcomes) {
  static constexpr const char* kNames[kOutcomes] = {"served", "refused", "reset", "timeout",
                                                    "corrupt"};
  json out;
  for (std::size_t i = 0; i < kOutcomes; ++i) out[kNames[i]] = outcomes[i];
  out["all"] = std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0});
  return out;
}

json client_json(const Client& client) {
  const ClientStats& s = client.stats();
  json statuses = json::object();
  for (std::size_t i = 0; i < s.statuses.size(); ++i) {
    if (s.statuses[i] != 0) statuses[std::to_string(i)] = s.statuses[i];
  }
  return {{"requests_sent", s.requests},
          {"honest", outcomes_json(s.honest)},
          {"attacks", outcomes_json(s.attacks)},
          {"refused_statuses", statuses},
          {"refusals_with_event", s.refusals_with_event},
          {"connections",
           {{"tried", s.connections_tried},
            {"made", s.connections_made},
            {"failed", s.connections_failed},
            {"closed", s.connections_closed},
            {"aborted", s.connections_aborted},
            {"concurrent_max", s.established_max}}},
          {"response_bytes_verified", s.body_bytes},
          {"retransmitted", s.retransmitted},
          {"out_of_order", s.out_of_order},
          {"duplicates", s.duplicates},
          {"bad_checksums", s.bad_checksums},
          {"strays", s.strays},
          {"foreign", s.foreign}};
}

template <typename Counts>
json malformed_json(const Counts& counts) {
  json out;
  for (std::size_t i = 0; i < kMalformations; ++i) out[kMalformationNames[i]] = counts[i];
  return out;
}

json server_json(const Server& server) {
  const ServerStats& s = server.stats();
  return {{"connections", s.connections},
          {"requests", s.requests},
          {"attacks_complete", s.attacks},
          {"requests_cut", s.requests_cut},
          {"requests_corrupt", s.requests_corrupt},
          {"responses", s.responses},
          {"response_bytes", s.body_bytes},
          {"retransmitted", s.retransmitted},
          {"fast_retransmits", s.fast_retransmits},
          {"out_of_order", s.out_of_order},
          {"bad_checksums", s.bad_checksums},
          {"resets", s.resets},
          {"strays", s.strays},
          {"foreign", s.foreign},
          {"flood_syns", s.flood_syns},
          {"malformed", malformed_json(s.malformed)}};
}

json sustain_json(const Run& run) {
  if (run.samples().size() < 2) return json::object();
  const Sample& first = run.samples().front();
  const Sample& last = run.samples().back();
  const double seconds = static_cast<double>(last.at - first.at) / 1e9;
  const auto per_second = [&](std::uint64_t from, std::uint64_t to) {
    return static_cast<double>(to - from) / seconds;
  };
  json out = {{"seconds", seconds},
              {"transactions_per_second", per_second(first.served, last.served)},
              {"connections_per_second", per_second(first.connections, last.connections)},
              {"throughput_bits_per_second", 8 * per_second(first.body_bytes, last.body_bytes)},
              {"wire_bits_per_second", 8 * per_second(first.wire_bytes, last.wire_bytes)},
              {"packets_per_second", per_second(first.client_frames + first.server_frames,
                                                last.client_frames + last.server_frames)}};
  if (run.packets() != nullptr) {
    out["sent_per_second"] = per_second(first.packets_sent, last.packets_sent);
    out["received_per_second"] = per_second(first.packets_received, last.packets_received);
  }
  json series = json::array();
  std::uint64_t established = 0;
  for (std::size_t i = 0; i < run.samples().size(); ++i) {
    const Sample& now = run.samples()[i];
    established += now.established;
    if (i == 0 || now.at == run.samples()[i - 1].at) continue;
    const Sample& before = run.samples()[i - 1];
    const double step = static_cast<double>(now.at - before.at) / 1e9;
    series.push_back(
        {{"t", static_cast<double>(now.at - first.at) / 1e9},
         {"transactions_per_second", static_cast<double>(now.served - before.served) / step},
         {"bits_per_second", 8 * static_cast<double>(now.body_bytes - before.body_bytes) / step},
         {"concurrent", now.established}});
  }
  out["concurrent_mean"] =
      static_cast<double>(established) / static_cast<double>(run.samples().size());
  out["series"] = series;
  if (run.client() != nullptr) {
    out["honest"] = outcomes_json(run.client()->stats().measured_honest);
    out["attacks"] = outcomes_json(run.client()->stats().measured_attacks);
  }
  return out;
}

struct Bottleneck {
  bool is = false;
  std::string why;
};

Bottleneck bottleneck(const Run& run) {
  const LoopAccount& account = run.account();
  if (account.wall == 0) return {};
  const double wall = static_cast<double>(account.wall);
  const double on_cpu = static_cast<double>(account.on_cpu) / wall;
  const double busy = static_cast<double>(account.busy) / wall;
  const double stalled =
      static_cast<double>(account.stalled_polls) / static_cast<double>(account.polls);
  if (on_cpu < kOnCpuShareMin) {
    return {true,
            format("the generator had its processor for only %.1f %% of the time", on_cpu * 100)};
  }
  if (busy > kBusyShareMax && stalled < kStalledShareMax) {
    return {true, format("the generator was busy for %.1f %% of the time and no port was behind",
                         busy * 100)};
  }
  return {};
}

json generator_json(const Run& run) {
  const LoopAccount& account = run.account();
  const double wall = std::max(1.0, static_cast<double>(account.wall));
  const double polls = std::max(1.0, static_cast<double>(account.polls));
  const Bottleneck limit = bottleneck(run);
  return {{"bottleneck", limit.is},
          {"bottleneck_why", limit.why},
          {"busy_share", static_cast<double>(account.busy) / wall},
          {"on_cpu_share", static_cast<double>(account.on_cpu) / wall},
          {"stalled_share", static_cast<double>(account.stalled_polls) / polls},
          {"polls", account.polls},
          {"frames_sent", run.to_server().sent() + run.to_client().sent()},
          {"frames_refused", run.to_server().refused() + run.to_client().refused()},
          {"frames_received", run.received(true) + run.received(false)}};
}

std::uint64_t sum(const ClientStats::Outcomes& outcomes) {
  return std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0});
}

void judge_attacks(const Options& options, const Run& run, json& reasons) {
  const ClientStats& stats = run.client()->stats();
  const std::uint64_t all = sum(stats.attacks);
  const auto served = stats.attacks[static_cast<std::size_t>(Outcome::kServed)];
  const std::uint64_t arrived = run.server() == nullptr ? 0 : run.server()->stats().attacks;
  if (options.attack_share > 0 && all == 0) reasons.push_back("no attack was sent");
  if (options.expect == AttackExpectation::kBlocked) {
    const auto blocked = stats.attacks[static_cast<std::size_t>(Outcome::kRefused)] +
                         stats.attacks[static_cast<std::size_t>(Outcome::kReset)];
    if (served + arrived != 0) {
      reasons.push_back(std::to_string(std::max(served, arrived)) + " of " + std::to_string(all) +
                        " attacks reached the server");
    } else if (blocked != all) {
      reasons.push_back(std::to_string(all - blocked) + " attacks had no answer");
    }
  } else if (options.expect == AttackExpectation::kServed && served != all) {
    reasons.push_back(std::to_string(all - served) + " attacks were not served");
  }
}

void judge_transactions(const Options& options, const Run& run, json& reasons) {
  const ClientStats& stats = run.client()->stats();
  const std::uint64_t attempted = sum(stats.measured_honest);
  const std::uint64_t failed = attempted - stats.measured_honest[0];
  if (attempted == 0 && options.attack_share < 1) reasons.push_back("no transaction was measured");
  if (attempted != 0) {
    const double share = static_cast<double>(failed) / static_cast<double>(attempted);
    if (share > kFailedShareMax) {
      reasons.push_back(
          format("%.4f %% of the transactions failed, more than 0.001 %%", share * 100));
    }
  }
  if (run.not_begun() != 0) {
    const double rate = static_cast<double>(run.due_in_sustain()) /
                        std::max(1e-9, static_cast<double>(run.account().wall) / 1e9);
    if (rate < kRateReachedMin * options.rate) {
      reasons.push_back("the offered rate was not reached: " + std::to_string(run.not_begun()) +
                        " transactions waited at the end");
    }
  }
  if (run.server() == nullptr) return;
  const ServerStats& server = run.server()->stats();
  if (server.requests < stats.served()) {
    reasons.push_back("more responses than requests arrived: " + std::to_string(stats.served()) +
                      " and " + std::to_string(server.requests));
  }
  if (server.requests_corrupt != 0) {
    reasons.push_back(std::to_string(server.requests_corrupt) +
                      " requests reached the server with other bytes");
  }
}

json judge(const Options& options, const Run& run) {
  json reasons = json::array();
  if (!run.links_up()) {
    reasons.push_back("a link stayed down");
    return reasons;
  }
  if (const PacketLoad* packets = run.packets(); packets != nullptr) {
    if (packets->received() == 0) reasons.push_back("no packet arrived");
    if (packets->received() < packets->sent()) {
      reasons.push_back(std::to_string(packets->sent() - packets->received()) + " of " +
                        std::to_string(packets->sent()) + " packets were lost");
    }
    return reasons;
  }
  if (run.client() == nullptr) return reasons;
  judge_transactions(options, run, reasons);
  judge_attacks(options, run, reasons);
  return reasons;
}

json offered_json(const Options& options) {
  return {{"mode", options.mode},
          {"rate", options.rate},
          {"loop", options.rate > 0 ? "open" : "closed"},
          {"connections", options.plan.connections},
          {"held", options.held},
          {"clients", options.plan.clients},
          {"keepalive", options.client.keepalive},
          {"objects", options.objects},
          {"profiles", options.profiles},
          {"attacks", options.attacks},
          {"attack_share", options.attack_share},
          {"syn_flood", options.noise.syns_per_second},
          {"malformed", options.noise.malformed_per_second},
          {"mtu", options.ports.mtu},
          {"frame_bytes", options.packets.frame_bytes}};
}

}  // namespace

Report make_report(const Options& options, const Run& run) {
  const json reasons = judge(options, run);
  json out = {{"command", options.command},
              {"offered", offered_json(options)},
              {"phases",
               {{"ramp_up", options.phases.ramp_up},
                {"sustain", options.phases.sustain},
                {"ramp_down", options.phases.ramp_down}}},
              {"sustain", sustain_json(run)},
              {"generator", generator_json(run)},
              {"valid", reasons.empty()},
              {"invalid_because", reasons}};
  if (const Client* client = run.client(); client != nullptr) {
    out["client"] = client_json(*client);
    const ClientLatency& latency = client->latency();
    out["latency_us"] = {{"connect", latency_json(latency.connect)},
                         {"first_byte_from_syn", latency_json(latency.first_byte_syn)},
                         {"first_byte", latency_json(latency.first_byte)},
                         {"last_byte", latency_json(latency.last_byte)}};
    out["latency_from"] = options.rate > 0 ? "the time the transaction was due"
                                           : "the time the request was sent (closed loop)";
  }
  if (run.server() != nullptr) out["server"] = server_json(*run.server());
  if (run.noise() != nullptr) {
    out["noise"] = {{"syns", run.noise()->syns()},
                    {"malformed", malformed_json(run.noise()->malformed())}};
  }
  if (const PacketLoad* packets = run.packets(); packets != nullptr) {
    out["packets"] = {{"sent", packets->sent()},
                      {"received", packets->received()},
                      {"reordered", packets->reordered()},
                      {"foreign", packets->foreign()}};
  }
  Report report{.json = out.dump(1), .valid = reasons.empty()};
  report.rate = out["sustain"].value(
      run.packets() != nullptr ? "received_per_second" : "transactions_per_second", 0.0);
  report.lossless = report.valid;
  if (run.client() != nullptr && run.client()->stats().retransmitted != 0) report.lossless = false;
  if (run.server() != nullptr && run.server()->stats().retransmitted != 0) report.lossless = false;
  return report;
}

Report SearchReport::whole() const {
  json steps = json::array();
  std::uint64_t requests = 0;
  const auto add_requests = [&](const Report& report) {
    const json full = json::parse(report.json);
    if (full.contains("client")) requests += full["client"]["requests_sent"].get<std::uint64_t>();
  };
  add_requests(closed);
  if (best >= 0) add_requests(at_80_percent);
  for (const Trial& trial : trials) {
    const json full = json::parse(trial.report.json);
    add_requests(trial.report);
    steps.push_back({{"rate", trial.rate},
                     {"reached", trial.report.rate},
                     {"lossless", trial.report.lossless},
                     {"invalid_because", full["invalid_because"]}});
  }
  json out = {{"closed_loop", json::parse(closed.json)},
              {"steps", steps},
              {"requests_sent", requests}};  // of all runs
  Report report;
  if (best >= 0) {
    const Trial& trial = trials[static_cast<std::size_t>(best)];
    out["lossless_rate"] = trial.report.rate;
    out["lossless"] = json::parse(trial.report.json);
    out["at_80_percent"] = json::parse(at_80_percent.json);
    report.valid = closed.valid && at_80_percent.valid;
    report.rate = trial.report.rate;
  }
  out["valid"] = report.valid;
  report.json = out.dump(1);
  return report;
}

}  // namespace sluice::gen
