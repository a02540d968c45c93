// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/collector.h"

#include <sys/random.h>

#include <cstdio>

#include "controlplane/publish/file_io.h"
#include "controlplane/telemetry/json_writer.h"
#include "dataplane/abi/counters.h"
#include "dataplane/base/clock.h"

namespace sluice::telemetry {
namespace {

/// The lock is let go between steps, and the rings' room is given back.
constexpr std::size_t kRecordsPerStep = 2'000;
constexpr std::size_t kCataloguesMax = 4;
constexpr const char* kDifferencesFile = "/differences.json";

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = base::wall_now();
  return seed;
}

std::uint64_t requests_of(const publish::DataplaneView& view) {
  std::uint64_t sum = 0;
  for (const auto& worker : view.workers()) {
    sum += worker.counters->values[static_cast<std::size_t>(abi::CounterId::kRequests)].get();
  }
  return sum;
}

CounterSums sums_of(const publish::DataplaneView& view) {
  CounterSums sums;
  sums.requests = requests_of(view);
  for (const auto& worker : view.workers()) {
    const auto value = [&](abi::CounterId id) {
      return worker.counters->values[static_cast<std::size_t>(id)].get();
    };
    sums.rx_packets += value(abi::CounterId::kRxPackets);
    sums.rx_bytes += value(abi::CounterId::kRxBytes);
    for (const abi::Counter& drop : worker.counters->drops) sums.drops += drop.get();
  }
  return sums;
}

}  // namespace

Collector::Collector(CollectorOptions options)
    : options_(std::move(options)), eve_(options_.eve), ids_(random_seed()) {
  differences_.load(options_.state + kDifferencesFile);
}

Collector::~Collector() = default;

void Collector::reattach() {
  auto attached = publish::DataplaneView::attach(options_.shm);
  if (!attached.ok()) return;
  view_ = std::move(attached).value();
  merger_.attach(*view_);
  count_gap();
  differences_.attach(view_->segment().start_wall_ns, requests_of(*view_));
  rates_.reset();
}

void Collector::count_gap() {
  // Records that did not fit while nobody read: the rings' own count against what we saw last.
  std::uint64_t dropped = 0, seen_start = 0, seen_dropped = 0;
  for (const auto& worker : view_->workers()) {
    for (const abi::RingHeader* ring : worker.rings) dropped += ring->dropped.load();
  }
  const auto text = publish::read_file(options_.state + "/events_seen");
  unsigned long long start = 0, count = 0;
  if (text.ok() && std::sscanf(text.value().c_str(), "%llu %llu", &start, &count) == 2) {
    seen_start = start;
    seen_dropped = count;
  }
  const std::uint64_t before = seen_start == view_->segment().start_wall_ns ? seen_dropped : 0;
  if (dropped <= before) return;
  AuditEvent event;
  event.wall_ns = base::wall_now();
  event.action = "events.gap";
  event.result = "lost";
  event.detail = std::to_string(dropped - before) + " records did not fit while sluiced was away";
  event.actor = "sluiced";
  event.generation = view_->live();
  const base::UlidText id = base::to_text(ids_.next(event.wall_ns / base::kNanosPerMilli));
  event.event_id.assign(id.data(), id.size());
  line_.clear();
  write_audit(event, line_);
  eve_.append(line_);
}

void Collector::remember_seen() {
  if (!view_) return;
  std::uint64_t dropped = 0;
  for (const auto& worker : view_->workers()) {
    for (const abi::RingHeader* ring : worker.rings) dropped += ring->dropped.load();
  }
  static_cast<void>(publish::write_file(
      options_.state + "/events_seen",
      std::to_string(view_->segment().start_wall_ns) + " " + std::to_string(dropped) + "\n"));
}

const Catalogue& Collector::catalogue(std::uint64_t generation) {
  static const Catalogue kNone;
  if (generation == 0) return kNone;
  const auto at = catalogues_.find(generation);
  if (at != catalogues_.end()) return at->second;
  while (catalogues_.size() >= kCataloguesMax) catalogues_.erase(catalogues_.begin());
  std::pair<std::string, std::string> kept;
  if (options_.generation) kept = options_.generation(generation);
  return catalogues_.emplace(generation, make_catalogue(kept.first, kept.second)).first->second;
}

void Collector::take(const Record& record) {
  const Catalogue& names = catalogue(record.header.generation);
  top_.add(record, std::string(names.service(record.header.service_index)));
  line_.clear();
  write_eve(record, names, line_);
  if ((record.header.flags & abi::kEventStagedDiffers) != 0) {
    differences_.note(record, line_.substr(0, line_.size() - 1));
  }
  eve_.append(line_);
}

std::size_t Collector::step(std::uint64_t now_ns, std::uint64_t wall_ns) {
  const std::lock_guard lock(mutex_);
  if (reopen_.exchange(false)) eve_.reopen();
  const Merger::Sink sink = [this](const Record& record) { take(record); };
  if (now_ns >= next_attach_ns_) {
    next_attach_ns_ = now_ns + 50 * base::kNanosPerMilli;
    if (view_ && view_->replaced()) {
      while (merger_.drain(now_ns, kRecordsPerStep, true, sink) > 0) eve_.flush(wall_ns);
      merger_.detach();
      view_.reset();
    }
    if (!view_) reattach();
  }
  if (view_) differences_.judged(view_->staged(), requests_of(*view_));
  const std::size_t count = merger_.drain(now_ns, kRecordsPerStep, false, sink);
  if (now_ns >= next_stats_ns_) {
    if (next_stats_ns_ != 0) {
      line_.clear();
      write_stats(view_.get(), daemon_counters_locked(), wall_ns, line_);
      eve_.append(line_);
      differences_.save(options_.state + kDifferencesFile);
    }
    next_stats_ns_ = now_ns + options_.stats_interval_s * base::kNanosPerSecond;
  }
  if (now_ns >= next_second_ns_) {
    next_second_ns_ = now_ns + base::kNanosPerSecond;
    remember_seen();
    if (view_) rates_.sample(now_ns, sums_of(*view_));
    top_.tick(now_ns);
  }
  eve_.flush(wall_ns);
  merger_.release();
  return count;
}

void Collector::finish() {
  const std::lock_guard lock(mutex_);
  const Merger::Sink sink = [this](const Record& record) { take(record); };
  // A busy dataplane goes on writing: what is left waits in the rings for the next start.
  constexpr int kSteps = 10;
  for (int i = 0;
       i < kSteps && merger_.drain(base::monotonic_now(), kRecordsPerStep, true, sink) > 0; ++i) {
    eve_.flush(base::wall_now());
    merger_.release();
  }
  eve_.flush(base::wall_now());
  merger_.release();
  remember_seen();
  differences_.save(options_.state + kDifferencesFile);
}

void Collector::audit(const std::string& action, const std::string& result,
                      const std::string& detail, const std::string& actor,
                      std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  AuditEvent event;
  event.wall_ns = base::wall_now();
  event.action = action;
  event.result = result;
  event.detail = detail;
  event.actor = actor;
  event.generation = generation;
  const base::UlidText id = base::to_text(ids_.next(event.wall_ns / base::kNanosPerMilli));
  event.event_id.assign(id.data(), id.size());
  std::string line;
  write_audit(event, line);
  eve_.append(line);
}

DaemonCounters Collector::daemon_counters_locked() {
  DaemonCounters daemon;
  daemon.records_written = eve_.written();
  daemon.records_lost = eve_.lost();
  daemon.records_damaged = merger_.damaged();
  daemon.version = options_.version;
  daemon.commit = options_.commit;
  // A dataplane that has stopped enforces none, as `status` says.
  if (view_ && view_->health() != publish::DataplaneView::Health::kStopped) {
    daemon.generation_live = view_->live();
    daemon.generation_staged = view_->staged();
  }
  return daemon;
}

Rates Collector::rates() {
  const std::lock_guard lock(mutex_);
  return rates_.rates();
}

DaemonCounters Collector::daemon_counters() {
  const std::lock_guard lock(mutex_);
  return daemon_counters_locked();
}

std::string Collector::counters(bool cycles) {
  const std::lock_guard lock(mutex_);
  return counters_json(view_.get(), daemon_counters_locked(), catalogue(view_ ? view_->live() : 0),
                       cycles);
}

std::string Collector::prometheus() {
  const std::lock_guard lock(mutex_);
  return prometheus_text(view_.get(), daemon_counters_locked(),
                         catalogue(view_ ? view_->live() : 0));
}

std::string Collector::top(std::size_t count) {
  const std::lock_guard lock(mutex_);
  return top_.json(count);
}

std::string Collector::staged_differences() {
  const std::lock_guard lock(mutex_);
  return differences_.json();
}

void Collector::with_view(const std::function<void(const publish::DataplaneView*)>& visit) {
  const std::lock_guard lock(mutex_);
  visit(view_.get());
}

}  // namespace sluice::telemetry
