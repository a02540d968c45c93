// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/engine/flows.h"

namespace sluice::engine {

/// What a connection's stream talks to: bytes go to its exchange, held packets back to their port.
/// Lives for one call of the stream.
class ConnectionSink {
 public:
  /// packet: the segment in hand, or null (timers, replies).
  ConnectionSink(Flows& flows, Connection& connection, const ConnectionInfo& info,
                 const net::ParsedPacket* packet, flow::Direction packet_direction)
      : flows_(flows),
        connection_(connection),
        info_(info),
        packet_(packet),
        packet_direction_(packet_direction) {}

  stream::Progress on_bytes(flow::Direction direction, std::int64_t offset, base::Bytes chunk);
  stream::Progress on_end(flow::Direction direction, std::int64_t offset);
  void on_lost(flow::Direction direction, std::int64_t begin, std::int64_t end);
  void release(flow::Direction direction, net::PacketRef packet, std::uint32_t payload_bytes);
  void discard(flow::Direction direction, net::PacketRef packet, abi::Reason reason);

 private:
  Flows& flows_;
  Connection& connection_;
  const ConnectionInfo& info_;
  const net::ParsedPacket* packet_;
  flow::Direction packet_direction_;
};
static_assert(stream::SegmentSink<ConnectionSink>);

}  // namespace sluice::engine
