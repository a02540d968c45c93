// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// The simulator. Runs seeds, prints the oddities that occurred, shrinks what fails.
//   stream_sim [--seeds N] [--first N] [--case FILE]... [--seed N [--without NAME,...] [--trace]]
//              [--oddities-min N] [--failures-max N] [--keep FILE] [--monitor] [--wire] [--linux]
// --keep: appends what fails, shrunk, to a file of cases. --monitor (engine_sim): the engine in
// monitor mode, which lets every frame leave as it came and records what it would have blocked.
// --linux: the kernel's TCP is the server, and must deliver what the model of it delivers; with
// --wire nothing stands before it, so that it gets every oddity as it was sent.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/sim/make_appliance.h"
#include "tests/sim/wire.h"
#include "tests/sim/world.h"

namespace sluice::sim {
namespace {

constexpr int kSkipped = 77;

struct Options {
  std::uint64_t seeds = 100000, first = 1, oddities_min = 0, failures_max = 10;
  bool trace = false, one = false, monitor = false, wire = false, linux = false;
  std::string without, keep;
  std::vector<std::string> cases;
};

void leave_out(Plan& plan, const std::string& names) {
  std::stringstream stream(names);
  for (std::string name; std::getline(stream, name, ',');) {
    for (std::size_t i = 0; i < kOddityCount; ++i) {
      if (kOddityNames[i] == name) plan.oddities[i] = false;
    }
  }
}

/// Leaves out what is not needed for the failure, one oddity at a time.
Plan shrink(World& world, Plan plan, std::string& without) {
  for (std::size_t i = 0; i < kOddityCount; ++i) {
    if (!plan.oddities[i]) continue;
    Plan smaller = plan;
    smaller.oddities[i] = false;
    if (world.run(smaller).empty()) continue;
    plan = smaller;
    without += (without.empty() ? "" : ",") + std::string(kOddityNames[i]);
  }
  return plan;
}

void report(World& world, const Plan& plan, const std::string& problem, const std::string& keep) {
  std::string without;
  const Plan small = shrink(world, plan, without);
  std::printf("FAILED seed %llu: %s\n", static_cast<unsigned long long>(plan.seed),
              problem.c_str());
  std::printf("  smallest:");
  for (std::size_t i = 0; i < kOddityCount; ++i) {
    if (small.oddities[i]) std::printf(" %s", std::string(kOddityNames[i]).c_str());
  }
  std::printf("\n  again: --seed %llu%s%s --trace\n", static_cast<unsigned long long>(plan.seed),
              without.empty() ? "" : " --without ", without.c_str());
  if (keep.empty()) return;
  std::ofstream(keep, std::ios::app) << "# " << problem << "\nseed " << plan.seed
                                     << (without.empty() ? "" : " without ") << without << "\n";
}

/// A case is a line "seed NUMBER [without NAME,...]"; '#' starts a comment.
bool run_cases(World& world, const std::vector<std::string>& files) {
  bool good = true;
  for (const std::string& file : files) {
    std::ifstream in(file);
    if (!in) {
      std::printf("cannot read %s\n", file.c_str());
      good = false;
    }
    for (std::string line; std::getline(in, line);) {
      std::stringstream words(line);
      std::string word, without;
      std::uint64_t seed = 0;
      if (!(words >> word) || word != "seed" || !(words >> seed)) continue;
      if (words >> word) words >> without;
      Plan plan = draw_plan(seed);
      leave_out(plan, without);
      const std::string problem = world.run(plan);
      if (problem.empty()) continue;
      std::printf("FAILED case %s: %s\n", line.c_str(), problem.c_str());
      good = false;
    }
  }
  return good;
}

bool print_counts(const OddityCounts& counts, std::uint64_t least, const Appliance& appliance) {
  bool good = true;
  for (std::size_t i = 0; i < kOddityCount; ++i) {
    if (static_cast<Oddity>(i) == Oddity::kSmallPools && !appliance.has_small_pools()) continue;
    std::printf("  %-18s %10llu\n", std::string(kOddityNames[i]).c_str(),
                static_cast<unsigned long long>(counts[i]));
    if (counts[i] < least) {
      std::printf("  FAILED: fewer than %llu\n", static_cast<unsigned long long>(least));
      good = false;
    }
  }
  return good;
}

bool print_unsure(std::uint64_t unsure, std::uint64_t seeds) {
  std::printf("in %llu of them the kernel does what the model does not claim to know\n",
              static_cast<unsigned long long>(unsure));
  const bool good = unsure * 100 <= seeds;
  if (!good) std::printf("FAILED: more than 1 %%\n");
  return good;
}

int run(const Options& options) {
  OddityCounts counts{};
  const auto appliance = options.wire ? std::make_unique<Wire>() : make_appliance(options.monitor);
  if (appliance == nullptr) {
    std::fprintf(stderr, "this appliance has no monitor mode\n");
    return 2;
  }
  World world(*appliance, counts);
  std::unique_ptr<LinuxStack> kernel;
  if (options.linux) {
    std::string problem;
    kernel = LinuxStack::make(problem);
    if (kernel == nullptr) {
      std::printf("skipped: %s\n", problem.c_str());
      return kSkipped;
    }
    world.linux = kernel.get();
  }
  world.trace = options.trace;
  if (options.one) {
    Plan plan = draw_plan(options.first);
    leave_out(plan, options.without);
    const std::string problem = world.run(plan);
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(options.first),
                problem.empty() ? "good" : problem.c_str());
    return problem.empty() ? 0 : 1;
  }
  bool good = run_cases(world, options.cases);
  std::uint64_t failures = 0;
  for (std::uint64_t i = 0; i < options.seeds && failures < options.failures_max; ++i) {
    const Plan plan = draw_plan(options.first + i);
    const std::string problem = world.run(plan);
    if (problem.empty()) continue;
    ++failures;
    report(world, plan, problem, options.keep);
  }
  const OddityCounts drawn = counts;
  if (failures == 0) good = print_counts(drawn, options.oddities_min, *appliance) && good;
  std::printf("%llu seeds from %llu, %llu failed\n", static_cast<unsigned long long>(options.seeds),
              static_cast<unsigned long long>(options.first),
              static_cast<unsigned long long>(failures));
  if (options.linux) good = print_unsure(world.unsure, options.seeds) && good;
  return good && failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  sluice::sim::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto text = [&] { return i + 1 < argc ? argv[++i] : ""; };
    const auto number = [&] { return std::strtoull(text(), nullptr, 10); };
    if (argument == "--seeds") {
      options.seeds = number();
    } else if (argument == "--first") {
      options.first = number();
    } else if (argument == "--oddities-min") {
      options.oddities_min = number();
    } else if (argument == "--failures-max") {
      options.failures_max = number();
    } else if (argument == "--case") {
      options.cases.emplace_back(text());
    } else if (argument == "--without") {
      options.without = text();
    } else if (argument == "--keep") {
      options.keep = text();
    } else if (argument == "--monitor") {
      options.monitor = true;
    } else if (argument == "--wire") {
      options.wire = true;
    } else if (argument == "--linux") {
      options.linux = true;
    } else if (argument == "--trace") {
      options.trace = true;
    } else if (argument == "--seed") {
      options.one = true;
      options.first = number();
    } else {
      std::fprintf(stderr, "unknown argument %s\n", argument.c_str());
      return 2;
    }
  }
  return sluice::sim::run(options);
}
