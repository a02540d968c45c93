// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "controlplane/publish/dataplane_view.h"
#include "controlplane/telemetry/counters_view.h"
#include "controlplane/telemetry/differences.h"
#include "controlplane/telemetry/eve.h"
#include "controlplane/telemetry/eve_file.h"
#include "controlplane/telemetry/merger.h"
#include "controlplane/telemetry/rates.h"
#include "controlplane/telemetry/top.h"
#include "dataplane/base/ulid.h"

namespace sluice::telemetry {

struct CollectorOptions {
  std::string shm = "/dev/shm/sluice";
  std::string state = "/var/lib/sluice";  ///< remembers what was seen, to count gaps
  EveOptions eve;
  std::uint64_t stats_interval_s = 10;
  std::string version = "dev", commit;
  /// Image and rules.json of a generation; empty strings where it is not kept.
  std::function<std::pair<std::string, std::string>(std::uint64_t)> generation;
};

/// Carries records from the rings to eve.json and to `top`. step() is called by one thread about
/// every 10 ms; everything else may be called from any.
class Collector {
 public:
  explicit Collector(CollectorOptions options);
  ~Collector();

  /// Attaches, merges, writes; stats and windows when due. Returns how many records it carried.
  std::size_t step(std::uint64_t now_ns, std::uint64_t wall_ns);
  /// Writes what the rings still hold. At the end.
  void finish();

  void audit(const std::string& action, const std::string& result, const std::string& detail,
             const std::string& actor, std::uint64_t generation);
  void reopen() { reopen_ = true; }

  [[nodiscard]] std::string counters(bool cycles);
  [[nodiscard]] std::string prometheus();
  [[nodiscard]] std::string top(std::size_t count);
  /// Verdicts of the staged generation that differ: count and the newest requests, as JSON.
  [[nodiscard]] std::string staged_differences();
  /// Everything known about one event, as JSON; empty when nothing is.
  [[nodiscard]] std::string explain(const std::string& event_id);
  /// Of the attached dataplane, over the last seconds.
  [[nodiscard]] Rates rates();
  [[nodiscard]] DaemonCounters daemon_counters();
  /// Runs `visit` with the attached dataplane (null when none) while it cannot go away.
  void with_view(const std::function<void(const publish::DataplaneView*)>& visit);

 private:
  void reattach();
  void take(const Record& record);
  void count_gap();
  void remember_seen();
  const Catalogue& catalogue(std::uint64_t generation);
  DaemonCounters daemon_counters_locked();

  CollectorOptions options_;
  std::mutex mutex_;
  std::unique_ptr<publish::DataplaneView> view_;
  Merger merger_;
  EveFile eve_;
  Top top_;
  RateWindow rates_;
  std::map<std::uint64_t, Catalogue> catalogues_;
  base::UlidGenerator ids_;
  std::string line_;
  std::uint64_t next_attach_ns_ = 0, next_second_ns_ = 0, next_stats_ns_ = 0;
  StagedDifferences differences_;
  std::atomic<bool> reopen_{false};
};

}  // namespace sluice::telemetry
