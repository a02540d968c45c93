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
};

Report make_report(const Options& options, const Run& run);

}  // namespace sluice::gen
