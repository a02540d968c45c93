// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/http/request_parser.h"
#include "perf/micro/request_classes.h"
#include "tests/oracle/reference.h"
#include "tests/unit/rules/ruleset_fixture.h"

/// Our engine against libmodsecurity in one run on one core: phases 1 and 2, HTTP parsing included
/// on both sides. Without --memo every value is scanned, whatever came before.
namespace {

using namespace sluice;
using Clock = std::chrono::steady_clock;

struct Options {
  std::vector<std::string> rules;
  std::string only;
  unsigned paranoia = 1;
  std::size_t count = 1000;
  int rounds = 5;
  std::uint64_t seed = 1;
  bool reference = true;
  bool memo = false;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("--rules", options.rules, "rule files (default: the CRS of the Debian package)");
  app.add_option("--pl", options.paranoia, "paranoia level of the CRS")->check(CLI::Range(1, 4));
  app.add_option("--count", options.count, "requests of each class")->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "of which the least time counts")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "of the requests");
  app.add_option("--class", options.only, "classes whose names begin so");
  app.add_flag("!--no-reference", options.reference, "without libmodsecurity");
  app.add_flag("--memo", options.memo, "our engine remembers the scans of values");
}

/// The package's rule set as an operator would include it, in a file of its own.
std::string crs_file(unsigned paranoia) {
  const std::string path = "/tmp/sluice-engine-bench-" + std::to_string(getpid()) + ".conf";
  std::ofstream file(path);
  file << "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n"
          "SecRule REQUEST_HEADERS:Content-Type \"^application/json\" "
          "\"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n"
          "Include /etc/modsecurity/crs/crs-setup.conf\n"
          "SecAction \"id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level="
       << paranoia << "\"\nInclude /usr/share/modsecurity-crs/rules/*.conf\n";
  return path;
}

/// Our engine as the dataplane drives it, without the wire.
class Ours {
 public:
  Ours(const rules::Ruleset& ruleset, bool memo)
      : ruleset_(ruleset),
        worker_(std::move(rules::WorkerState::create({.hash_seed = 7, .memo = memo}).value())),
        memory_(256 * 1024) {}

  std::size_t run(std::string_view request) {
    base::Arena arena(memory_);
    parser_.begin(arena, {});
    rules::TransactionInfo info;
    info.client = client_;
    info.server = server_;
    info.client_port = 40000;
    info.server_port = 80;
    info.wall_ns = 1'700'000'000'000'000'000;
    info.id = {1, 42};
    transaction_.begin(ruleset_, *worker_, info);
    base::Bytes rest = base::as_bytes(request);
    for (bool done = false; !done;) {
      const http::Step step = parser_.feed(rest);
      rest = rest.subspan(step.consumed);
      switch (step.event) {
        case http::Event::kHeadComplete:
          (void)transaction_.request_head(parser_.head());
          break;
        case http::Event::kBodyData:
          (void)transaction_.request_body(step.body);
          break;
        case http::Event::kMessageComplete:
        case http::Event::kUpgraded:
          done = true;
          break;
        case http::Event::kNeedMore:
        case http::Event::kUnparsed:
          done = rest.empty();
          break;
        case http::Event::kRefused:
          parser_.continue_leniently();
          break;
      }
    }
    (void)transaction_.request_end();
    const std::size_t matches = transaction_.matches().size();
    transaction_.release();
    parser_.reset();
    return matches;
  }
  [[nodiscard]] const rules::WorkerState::Counts& counts() const { return worker_->counts(); }

 private:
  const rules::Ruleset& ruleset_;
  std::unique_ptr<rules::WorkerState> worker_;
  std::vector<std::uint8_t> memory_;
  http::RequestParser parser_;
  rules::Transaction transaction_;
  base::IpAddress client_ = *base::IpAddress::parse("192.0.2.1");
  base::IpAddress server_ = *base::IpAddress::parse("192.0.2.80");
};

/// Nanoseconds of each request: the least of several rounds, so that what else runs on the machine
/// does not count.
std::vector<double> measure(const std::vector<std::string>& requests, int rounds,
                            const std::function<void(const std::string&)>& run) {
  std::vector<double> least(requests.size(), 1e18);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const Clock::time_point start = Clock::now();
      run(requests[i]);
      const std::chrono::duration<double, std::nano> taken = Clock::now() - start;
      least[i] = std::min(least[i], taken.count());
    }
  }
  return least;
}

struct Figures {
  double mean = 0, median = 0, worst = 0;
  std::size_t worst_index = 0;
};
Figures figures(const std::vector<double>& nanos) {
  Figures result;
  for (const double each : nanos) result.mean += each / static_cast<double>(nanos.size());
  result.worst_index =
      static_cast<std::size_t>(std::max_element(nanos.begin(), nanos.end()) - nanos.begin());
  result.worst = nanos[result.worst_index];
  std::vector<double> sorted = nanos;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                   sorted.end());
  result.median = sorted[sorted.size() / 2];
  return result;
}

void run_class(const perf::RequestClass& each, Ours& ours, oracle::Reference* reference,
               const Options& options) {
  std::size_t matched = 0;
  const std::uint64_t scans = ours.counts().scans, confirms = ours.counts().regex_confirms;
  // With the memo the first half is its past and the second, requests that differ, is measured
  // once.
  const auto middle = each.requests.begin() + static_cast<std::ptrdiff_t>(each.requests.size() / 2);
  const std::vector<std::string> past(each.requests.begin(), middle);
  const std::vector<std::string> present(middle, each.requests.end());
  const std::vector<std::string>& warmed = options.memo ? past : each.requests;
  for (const std::string& request : warmed) matched += ours.run(request) > 0 ? 1 : 0;
  const double count = static_cast<double>(warmed.size());
  const double scans_each = static_cast<double>(ours.counts().scans - scans) / count;
  const double confirms_each = static_cast<double>(ours.counts().regex_confirms - confirms) / count;
  const std::uint64_t hits = ours.counts().memo_hits, misses = ours.counts().memo_misses;
  const std::vector<std::string>& measured = options.memo ? present : each.requests;
  const Figures mine =
      figures(measure(measured, options.memo ? 1 : options.rounds,
                      [&](const std::string& request) { (void)ours.run(request); }));
  const double found = static_cast<double>(ours.counts().memo_hits - hits);
  const double looked_up = found + static_cast<double>(ours.counts().memo_misses - misses);
  double theirs = 0;
  if (reference != nullptr) {
    std::vector<std::string> part(
        each.requests.begin(),
        each.requests.begin() +
            static_cast<std::ptrdiff_t>(std::min<std::size_t>(each.requests.size(), 1000)));
    theirs = figures(measure(part, 1, [&](const std::string& request) {
               (void)reference->run(request);
             })).mean;
  }
  std::printf("%-36s %8.2f %8.2f %8.2f %6.2fx %9.1f %7.1fx %6.1f %6.1f %5.1f%%\n",
              each.name.c_str(), mine.mean / 1e3, mine.median / 1e3, mine.worst / 1e3,
              mine.worst / mine.median, theirs / 1e3, theirs / mine.mean, scans_each, confirms_each,
              100 * static_cast<double>(matched) / count);
  if (looked_up > 0)
    std::printf("%36s %.1f %% of values known to the memo\n", "", 100 * found / looked_up);
  if (std::getenv("SLUICE_BENCH_SHOW_WORST") != nullptr) {
    std::printf("%s\n", measured[mine.worst_index].c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Our rule engine against libmodsecurity: time for a request, by class.");
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(sched_getcpu(), &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
  std::string crs;
  std::vector<std::string> files = options.rules;
  if (files.empty()) files.push_back(crs = crs_file(options.paranoia));
  compile::CompileOptions compile_options;
  if (const char* cache = std::getenv("SLUICE_TEST_CACHE"); cache != nullptr) {
    compile_options.cache_folder = cache;
  }
  const rules::test::LoadedRules loaded = rules::test::load_files(files, compile_options);
  std::unique_ptr<oracle::Reference> reference;
  if (options.reference) reference = oracle::Reference::load(files);
  if (!crs.empty()) std::remove(crs.c_str());
  for (const std::string& error : loaded.errors) std::fprintf(stderr, "%s\n", error.c_str());
  if (loaded.ruleset == nullptr || (options.reference && reference == nullptr)) return 3;
  std::printf("%zu rules (%zu folded), %zu patterns, compiled in %lu ms, image %zu kB; seed %lu\n",
              loaded.report.rules, loaded.report.folded, loaded.report.patterns,
              static_cast<unsigned long>(loaded.report.elapsed_ms), loaded.image.size() / 1024,
              static_cast<unsigned long>(options.seed));
  std::printf("%-36s %8s %8s %8s %7s %9s %8s %6s %6s %6s\n", "us per request", "mean", "median",
              "worst", "w/med", "modsec", "ratio", "scans", "pcre", "match");
  Ours ours(*loaded.ruleset, options.memo);
  for (const perf::RequestClass& each : perf::make_request_classes(options.seed, options.count)) {
    if (!each.name.starts_with(options.only)) continue;
    run_class(each, ours, reference.get(), options);
  }
}
