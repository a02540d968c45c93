// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>

#include "controlplane/publish/dataplane_view.h"
#include "controlplane/telemetry/eve.h"

namespace sluice::telemetry {

/// What sluiced counts itself.
struct DaemonCounters {
  std::uint64_t records_written = 0, records_lost = 0, records_damaged = 0;
  std::uint64_t generation_live = 0, generation_staged = 0;
  std::string version, commit;
};

/// `counters --json`: by worker and reason, zeros left out of the by-reason maps. cycles: the
/// account of each stage too.
std::string counters_json(const publish::DataplaneView* view, const DaemonCounters& daemon,
                          const Catalogue& catalogue, bool cycles);

/// The metrics of interface.md in the Prometheus text format 0.0.4. `view` may be null.
std::string prometheus_text(const publish::DataplaneView* view, const DaemonCounters& daemon,
                            const Catalogue& catalogue);

/// One `stats` record: the sums over all workers.
void write_stats(const publish::DataplaneView* view, const DaemonCounters& daemon,
                 std::uint64_t wall_ns, std::string& out);

}  // namespace sluice::telemetry
