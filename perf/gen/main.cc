// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>

#include "perf/gen/options.h"
#include "perf/gen/report.h"
#include "perf/gen/run.h"

namespace sluice::gen {
namespace {

volatile int stop_requested = 0;

void on_signal(int) { stop_requested = 1; }

int fail(const std::string& message) {
  std::fprintf(stderr, "sluice-gen: %s\n", message.c_str());
  return 3;
}

base::Result<std::vector<RequestTemplate>> load_all(const std::vector<std::string>& paths) {
  std::vector<RequestTemplate> all;
  for (const std::string& path : paths) {
    auto requests = load_requests(path);
    if (!requests.ok()) return requests.error();
    for (RequestTemplate& request : requests.value()) all.push_back(std::move(request));
  }
  return all;
}

int write_report(const Options& options, const Report& report) {
  if (options.output.empty()) {
    std::puts(report.json.c_str());
  } else {
    std::ofstream file(options.output);
    file << report.json << '\n';
    if (!file.flush()) return fail("cannot write " + options.output);
  }
  return report.valid ? 0 : 1;
}

/// Runs of one process use other ports each, so that none meets what the one before left behind.
Report run_once(Options options, const Ports& ports, const Script& script, double rate) {
  static std::uint32_t runs = 0;
  options.plan.first_opening = runs++ * 4099;
  options.rate = options.packets.rate = rate;
  options.client.closed_loop = rate == 0;
  Run run(options, ports, script);
  run.execute(stop_requested);
  return make_report(options, run);
}

/// Bisects between 0.3 and 1.1 of what the closed loop reaches.
Report search(const Options& options, const Ports& ports, const Script& script) {
  SearchReport found;
  found.closed = run_once(options, ports, script, 0);
  double low = 0.3 * found.closed.rate, high = 1.1 * found.closed.rate;
  for (std::uint32_t i = 0; i < options.search_steps && stop_requested == 0 && high > 0; ++i) {
    const double rate = i == 0 ? 0.9 * found.closed.rate : (low + high) / 2;
    found.trials.push_back({rate, run_once(options, ports, script, rate)});
    if (found.trials.back().report.lossless) {
      low = rate;
      found.best = static_cast<int>(found.trials.size()) - 1;
    } else {
      high = rate;
    }
  }
  if (found.best >= 0) found.at_80_percent = run_once(options, ports, script, 0.8 * low);
  return found.whole();
}

int run_generator(const Options& options) {
  auto honest = load_all(options.profiles);
  if (!honest.ok()) return fail(honest.error().message);
  auto attacks = load_all(options.attacks);
  if (!attacks.ok()) return fail(attacks.error().message);
  auto objects = make_objects(options.objects, options.client.mss);
  if (!objects.ok()) return fail(objects.error().message);
  const Script script(std::move(honest).value(), std::move(attacks).value(), options.attack_share,
                      std::move(objects).value());
  auto ports = start_ports("sluice-gen", options.ports);
  if (!ports.ok()) return fail(ports.error().message);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  return write_report(options, options.search_steps != 0
                                   ? search(options, ports.value(), script)
                                   : run_once(options, ports.value(), script, options.rate));
}

}  // namespace
}  // namespace sluice::gen

int main(int argc, char** argv) {
  const sluice::gen::Parsed parsed = sluice::gen::parse_command_line(argc, argv);
  if (parsed.exit_status >= 0) return parsed.exit_status;
  return sluice::gen::run_generator(parsed.options);
}
