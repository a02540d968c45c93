// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/config/settings.h"
#include "dataplane/engine/engine.h"

namespace sluice::worker {

/// The sizes of one worker's engine: its part of flows_max (with a quarter more where there are
/// several workers, since flows never spread evenly), and what goes with that many flows.
engine::EngineConfig engine_config(const config::Settings& settings, std::uint16_t worker);

}  // namespace sluice::worker
