// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/abi/counters.h"
#include "dataplane/engine/generation.h"

namespace sluice::engine {

/// Counters of rules, services and limits are kept by their index in the live image. Another image
/// has other rules; services and limits that it has at the same index go on counting, the others
/// begin anew, so that no count is read under another's name. Either may be null. O(capacities).
void begin_counters(const Generation* before, const Generation* now, abi::WorkerCounters& counters);

}  // namespace sluice::engine
