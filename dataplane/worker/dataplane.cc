// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/dataplane.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/abi/store.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/notify.h"
#include "dataplane/config/settings.h"
#include "dataplane/io/eal.h"
#include "dataplane/limit/table.h"
#include "dataplane/rules/collections.h"
#include "dataplane/worker/engine_settings.h"
#include "dataplane/worker/generations.h"
#include "dataplane/worker/links.h"
#include "dataplane/worker/processor_time.h"
#include "dataplane/worker/shared_segments.h"
#include "dataplane/worker/steering.h"
#include "dataplane/worker/supervise.h"
#include "dataplane/worker/worker.h"

namespace sluice::worker {
namespace {

constexpr base::Nanos kMirrorInterval = 10 * base::kNanosPerMilli;
/// No poll for this long: the process ends itself, so that a supervisor starts it again.
constexpr base::Nanos kHopelessAfter = 10 * base::kNanosPerSecond;
constexpr long kTickNs = 1'000'000;
/// Clients counted at once, by all limits together; 16 bytes each.
constexpr std::size_t kLimitEntries = 1 << 20;
/// Of its sets, how many are counted at once, each kMirrorInterval: 64 KiB, all in less than 3 s.
constexpr std::size_t kLimitSetsAtOnce = 512;

int run_worker(void* worker) {
  static_cast<Worker*>(worker)->run();
  return 0;
}

/// The whole of one running dataplane; built step by step, taken down in reverse.
class Process {
 public:
  explicit Process(const Options& options) : options_(options) {}

  int run() {
    auto settings = config::load_settings(options_.config, options_.instance);
    if (!settings.ok()) return fail(settings.error().message, kExitConfiguration);
    settings_ = std::move(settings).value();
    block_signals();
    const StartPriority priority;
    cores_.emplace(settings_.cores, settings_.main_core);
    if (auto ready = prepare(); !ready.ok()) return fail(ready.error().message, kExitFailed);
    base::Status started = links_->start();
    priority.end();
    if (const std::string busy = cores_->busy_cores(); !busy.empty()) fail(busy, 0);
    if (started.ok()) start_workers();
    if (started.ok()) started = segments_->announce_running();
    if (started.ok()) {
      print_start();
      base::notify_systemd("READY=1");
      watch();
      base::notify_systemd("STOPPING=1");
    }
    stop();
    return started.ok() ? kExitDone : fail(started.error().message, kExitFailed);
  }

 private:
  void block_signals() {
    sigemptyset(&signals_);
    for (const int signal : {SIGTERM, SIGINT}) sigaddset(&signals_, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }

  base::Status prepare() {
    if (auto made = make_folders(settings_.paths.run); !made.ok()) return made;
    auto lock = lock_pid_file(settings_.paths.run + "/" + abi::kDataplanePidFile);
    if (!lock.ok()) return lock.error();
    auto eal = io::start_eal(eal_settings());
    if (!eal.ok()) return eal.error();
    if (!eal.value().note.empty()) fail(eal.value().note, 0);
    huge_pages_ = eal.value().huge_pages;
    auto links = Links::open(settings_);
    if (!links.ok()) return links.error();
    links_ = std::move(links).value();
    auto segments = SharedSegments::create(settings_);
    if (!segments.ok()) return segments.error();
    segments_ = std::move(segments).value();
    segments_->dataplane().tsc_hz = rte_get_tsc_hz();
    if (auto limits = attach_limits(); !limits.ok()) return limits;
    if (auto collections = attach_collections(); !collections.ok()) return collections;
    generations_.emplace(shared_, segments_->control(), segments_->dataplane(), settings_);
    if (const std::string notes = generations_->open(); !notes.empty()) fail(notes, 0);
    return make_workers();
  }

  /// The table of client limits: kept over restarts, made anew when it is of another size.
  base::Status attach_limits() {
    const std::size_t bytes = limit::Table::bytes_for(kLimitEntries);
    if (auto kept = attach_kept(abi::kLimitsFile, bytes, limits_region_); !kept.ok()) return kept;
    if (!limit::Table::valid(limits_region_.bytes())) {
      std::memset(limits_region_.bytes().data(), 0, bytes);
      limit::Table::format(limits_region_.bytes(), kLimitEntries);
    }
    limits_ = limit::Table(limits_region_.bytes());
    base::random_hash_key(hash_key_);
    return base::ok_status();
  }

  /// Persistent collections of the rules: the same.
  base::Status attach_collections() {
    const std::size_t slots = rules::CollectionTable::slots_for(settings_.collections_mb << 20);
    const std::size_t bytes = rules::CollectionTable::bytes_for(slots);
    if (auto kept = attach_kept(abi::kCollectionsFile, bytes, collections_region_); !kept.ok()) {
      return kept;
    }
    if (!rules::CollectionTable::valid(collections_region_.bytes())) {
      std::memset(collections_region_.bytes().data(), 0, bytes);
      rules::CollectionTable::format(collections_region_.bytes(), slots);
    }
    collections_ = rules::CollectionTable(collections_region_.bytes());
    return base::ok_status();
  }

  /// A shared file that outlives the process; one of another size makes room for a new one.
  base::Status attach_kept(const char* file, std::size_t bytes, Region& into) const {
    const std::string path = settings_.paths.shm + "/" + file;
    auto region = Region::shared_file(path, bytes);
    if (!region.ok()) {
      ::unlink(path.c_str());
      region = Region::shared_file(path, bytes);
    }
    if (!region.ok()) return region.error();
    into = std::move(region).value();
    return base::ok_status();
  }

  io::EalSettings eal_settings() const {
    io::EalSettings eal;
    eal.program = "sluice-dataplane";
    eal.file_prefix = "sluice-" + options_.instance;
    eal.runtime_folder = settings_.paths.run;
    eal.main_core = settings_.main_core;
    eal.cores = settings_.cores;
    eal.memory_mb = eal_memory_mb(settings_);
    for (const config::Link& link : settings_.links) {
      for (const std::string* device : {&link.outside, &link.inside}) {
        if (io::is_pci_address(*device)) eal.pci.push_back(*device);
      }
    }
    switch (settings_.huge_pages) {
      case config::HugePageUse::kAuto:
        eal.huge_pages = io::HugePages::kAuto;
        break;
      case config::HugePageUse::kOn:
        eal.huge_pages = io::HugePages::kOn;
        break;
      case config::HugePageUse::kOff:
        eal.huge_pages = io::HugePages::kOff;
        break;
    }
    return eal;
  }

  static std::span<std::uint8_t> allocate_pool(void* context, std::size_t bytes,
                                               const char* /*name*/) {
    auto& process = *static_cast<Process*>(context);
    auto region = Region::anonymous(bytes, process.huge_pages_);
    if (!region.ok()) return {};
    process.pools_.push_back(std::move(region).value());
    return process.pools_.back().bytes().first(bytes);
  }

  engine::EngineEnvironment environment(std::size_t worker) {
    engine::EngineEnvironment environment;
    environment.hash_key = &hash_key_;
    environment.counters = &segments_->counters(worker);
    environment.limits = &limits_;
    environment.collections = &collections_;
    environment.verdict_ring = segments_->verdict_ring(worker);
    environment.http_ring = segments_->http_ring(worker);
    environment.event_id_seed = hash_key_.words[worker % std::size(hash_key_.words)] + worker;
    environment.memory_context = this;
    environment.allocate_pool = allocate_pool;
    return environment;
  }

  base::Status make_workers() {
    const auto count = static_cast<std::uint16_t>(settings_.cores.size());
    if (count > 1) {
      auto steering = Steering::create(count);
      if (!steering.ok()) return steering.error();
      steering_ = std::move(steering).value();
    }
    views_.resize(count);
    for (std::uint16_t i = 0; i < count; ++i) {
      views_[i] = links_->view(i);
      WorkerSetup setup;
      setup.index = i;
      setup.worker_count = count;
      setup.links = views_[i];
      setup.idle = settings_.idle;
      setup.shared = &shared_;
      setup.steering = steering_ ? &*steering_ : nullptr;
      setup.crafted_pool = links_->crafted_pool();
      setup.counters = &segments_->counters(i);
      workers_.push_back(std::make_unique<Worker>(setup));
      if (auto opened = workers_[i]->open_engine(engine_config(settings_, i), environment(i));
          !opened.ok()) {
        return opened;
      }
    }
    return base::ok_status();
  }

  void start_workers() {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      rte_eal_remote_launch(run_worker, workers_[i].get(), static_cast<unsigned>(i + 1));
    }
  }

  void print_start() const {
    std::fprintf(stderr,
                 "sluice-dataplane %s (%s): instance %s, %zu workers, %zu links, %s\n"
                 "  packet buffers: %u of %u bytes, %.1f MiB\n",
                 SLUICE_VERSION, SLUICE_COMMIT, options_.instance.c_str(), workers_.size(),
                 settings_.links.size(), huge_pages_ ? "huge pages" : "ordinary pages",
                 links_->buffers(), links_->buffer_bytes(),
                 static_cast<double>(links_->buffers()) * links_->buffer_bytes() / (1 << 20));
    std::fprintf(stderr, "  limits: %zu entries, %.1f MiB shared\n", limits_.capacity(),
                 static_cast<double>(limits_region_.bytes().size()) / (1 << 20));
    std::fprintf(stderr, "  collections: %zu pages, %.1f MiB shared\n", collections_.slot_count(),
                 static_cast<double>(collections_region_.bytes().size()) / (1 << 20));
    std::size_t total = 0;
    for (const engine::PoolSize& pool : workers_.front()->engine().pools()) {
      std::fprintf(stderr, "  %s: %zu for each worker, %zu bytes\n", pool.name, pool.items,
                   pool.bytes);
      total += pool.bytes;
    }
    std::fprintf(stderr, "  engines: %.1f MiB for %zu workers; generation %llu\n",
                 static_cast<double>(total * workers_.size()) / (1 << 20), workers_.size(),
                 static_cast<unsigned long long>(generations_->live()));
  }

  /// The main thread: announcements, switches, link state, health.
  void watch() {
    const std::uint64_t watchdog_ns = base::watchdog_interval_ns();
    base::Nanos next_mirror = 0, next_watchdog = 0;
    for (;;) {
      const base::Nanos now = base::monotonic_now();
      segments_->dataplane().heartbeat_ns.store(now, std::memory_order_relaxed);
      generations_->tick();
      const bool healthy = check_workers(now);
      if (now >= next_mirror) {
        links_->mirror(now, segments_->dataplane(), shared_);
        links_->count_buffers(segments_->dataplane());
        count_limits(now);
        next_mirror = now + kMirrorInterval;
      }
      if (watchdog_ns != 0 && healthy && now >= next_watchdog) {
        base::notify_systemd("WATCHDOG=1");
        next_watchdog = now + watchdog_ns;
      }
      if (const std::string waiting = cores_->waiting_workers(now, shared_); !waiting.empty()) {
        fail(waiting, 0);
      }
      const timespec wait{0, kTickNs};
      if (::sigtimedwait(&signals_, nullptr, &wait) > 0) return;
    }
  }

  /// Looks at some sets of the table of limits, and says how many entries live after the last.
  void count_limits(base::Nanos now) {
    limits_live_ += limits_.live_entries(now, limits_next_, kLimitSetsAtOnce);
    limits_next_ += kLimitSetsAtOnce;
    if (limits_next_ < limits_.set_count()) return;
    abi::DataplaneSegment& segment = segments_->dataplane();
    segment.limit_entries.store(limits_.capacity(), std::memory_order_relaxed);
    segment.limit_entries_live.store(limits_live_, std::memory_order_relaxed);
    limits_next_ = limits_live_ = 0;
  }

  /// Marks workers that do not poll. False: at least one is stalled.
  bool check_workers(base::Nanos now) {
    bool healthy = true;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const base::Nanos last = segments_->counters(i).heartbeat_ns.get();
      if (last == 0 || last > now) continue;
      const bool stalled = now - last > abi::kWorkerStalledNs;
      shared_.workers[i].stalled.store(stalled, std::memory_order_relaxed);
      healthy = healthy && !stalled;
      if (now - last > kHopelessAfter) {
        fail("worker " + std::to_string(i) + " has not polled for 10 s: ending", 0);
        std::abort();
      }
    }
    return healthy;
  }

  void stop() {
    segments_->mark_stopping();
    shared_.stop.store(true, std::memory_order_relaxed);
    rte_eal_mp_wait_lcore();
    links_->close();
    io::stop_eal();
  }

  Options options_;
  config::Settings settings_;
  sigset_t signals_ = {};
  bool huge_pages_ = false;
  SharedState shared_;
  std::optional<CoreWatch> cores_;
  std::optional<SharedSegments> segments_;
  std::optional<Links> links_;
  std::optional<Steering> steering_;
  Region limits_region_;
  limit::Table limits_;
  std::size_t limits_next_ = 0, limits_live_ = 0;  ///< of count_limits()
  Region collections_region_;
  rules::CollectionTable collections_;
  base::HashKey hash_key_ = {};
  std::vector<Region> pools_;  ///< of all engines
  std::optional<Generations> generations_;
  std::vector<std::vector<WorkerLink>> views_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

int run_dataplane(const Options& options) {
  const auto process = std::make_unique<Process>(options);
  return process->run();
}

}  // namespace sluice::worker
