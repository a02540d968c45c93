// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>

#include "tests/sim/appliance.h"

namespace sluice::sim {

/// The appliance that this program was linked with: stream_appliance.cc is net, flow and stream as
/// they stand in the engine, with a judge that blocks a request that holds kBadWord;
/// engine_appliance.cc is the whole engine with rules that do the same. monitor: null if it has no
/// such mode.
std::unique_ptr<Appliance> make_appliance(bool monitor);

}  // namespace sluice::sim
