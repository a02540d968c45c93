// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

#include "perf/gen/options.h"
#include "perf/gen/run.h"

namespace sluice::gen {

/// The result of a run: JSON, and whether the run is valid. RFC 9411 sections 4.3 and 6.
struct Report {
  std::string json;
  bool valid = false;
  bool lossless = false;  ///< valid, and no segment or packet had to be sent twice
  double rate = 0;        ///< transactions (or packets received) a second in the sustain phase
};

Report make_report(const Options& options, const Run& run);

/// The reports of a search in one: the closed loop, every trial, the best one and that at 80 %.
struct SearchReport {
  struct Trial {
    double rate = 0;
    Report report;
  };
  Report closed, at_80_percent;
  std::vector<Trial> trials;
  int best = -1;  ///< of `trials`; -1: none was lossless

  [[nodiscard]] Report whole() const;
};

}  // namespace sluice::gen
