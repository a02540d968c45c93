// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>

#include "dataplane/abi/counters.h"
#include "dataplane/abi/verdict.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/ulid.h"
#include "dataplane/engine/engine.h"
#include "dataplane/engine/events.h"
#include "dataplane/engine/generation.h"
#include "dataplane/engine/pool.h"
#include "dataplane/engine/transaction.h"
#include "dataplane/limit/table.h"
#include "dataplane/rules/transaction.h"

namespace sluice::engine {

/// Which connection a transaction belongs to, as records and rules name it.
struct ConnectionInfo {
  base::IpAddress client, server;
  std::uint16_t client_port = 0, server_port = 0;
  std::uint32_t vlan_key = 0;
  std::uint64_t flow_id = 0;
  std::uint16_t first_service = kNoService;  ///< of the server's address and port
};

/// What everything on one worker shares: the present generation and modes, the time of the burst,
/// and where records, counts and ids come from. Written by Engine alone.
struct WorkerContext {
  WorkerContext(std::uint16_t worker_index, const EngineEnvironment& environment,
                const EventOptions& options)
      : worker(worker_index),
        counters(*environment.counters),
        stages(environment.stages),
        limits(environment.limits),
        events(options, environment.verdict_ring, environment.http_ring),
        event_options(options),
        ids(environment.event_id_seed) {}

  std::uint16_t worker;
  abi::WorkerCounters& counters;
  StageClock* stages;
  limit::Table* limits;
  EventWriter events;
  const EventOptions& event_options;
  base::UlidGenerator ids;
  rules::WorkerState* rules_state = nullptr;
  Pool<Transaction>* transactions = nullptr;
  Engine::Observer observer;

  Generation* live = nullptr;
  Generation* staged = nullptr;
  std::uint64_t slice_cycles = 0;  ///< of the rules: slice_cycles()
  std::uint64_t ending = 0;        ///< Engine::end_pins(); 0: none
  /// Of each service, by the switches and the policy: the weakest of the global mode and its own.
  std::array<abi::Mode, abi::kServicesMax> modes = {};
  std::array<abi::Mode, abi::kServicesMax> staged_modes = {};
  /// The strongest of the services at one address and port: what the stream does.
  std::array<abi::Mode, abi::kServicesMax> stream_modes = {};
  base::Nanos now = 0;
  base::Nanos wall = 0;

  [[nodiscard]] abi::Mode mode_of(std::uint16_t service) const {
    return service == kNoService ? abi::Mode::kBlock : modes[service];
  }
};

}  // namespace sluice::engine
