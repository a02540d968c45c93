// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/worker/options.h"

namespace sluice::worker {

/// Runs the dataplane in this process until TERM or INT: configuration, EAL, ports, workers, and
/// the main thread's watch. Returns an exit status.
int run_dataplane(const Options& options);

}  // namespace sluice::worker
