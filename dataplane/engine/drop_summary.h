// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/clock.h"
#include "dataplane/engine/worker_context.h"
#include "dataplane/net/packet.h"

namespace sluice::engine {

/// Packets of protected services that were dropped, or forwarded all the same with something to say
/// of them, summed per flow and reason before they become records: a direct-mapped table, so that a
/// flood costs one record a second and place at most, or one for each packet of ever new flows,
/// which the ring bounds.
class DropSummary {
 public:
  static constexpr std::size_t kPlaces = 1024;
  static constexpr base::Nanos kIntervalNs = base::kNanosPerSecond;

  /// Counts one packet; writes the record of whoever had its place.
  void add(WorkerContext& context, const net::ParsedPacket& packet, std::uint16_t service,
           std::uint64_t flow_id, bool to_server, abi::Reason reason, abi::Action action);
  /// The same for what befalls a connection without a packet, of which there are `packets` then.
  /// Counts it as noted where it is no block.
  void add(WorkerContext& context, const ConnectionInfo& connection, bool to_server,
           abi::Reason reason, abi::Action action, std::uint32_t packets);
  /// Writes what is older than the interval, a few places in a call.
  void poll(WorkerContext& context);
  /// Writes everything: at the end.
  void flush(WorkerContext& context);

 private:
  struct Place {
    base::Nanos since = 0;
    abi::EventHeader header;
  };
  void write(WorkerContext& context, Place& place);

  std::array<Place, kPlaces> places_{};
  std::size_t cursor_ = 0;
  std::size_t used_ = 0;
};

}  // namespace sluice::engine
