// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/drop_summary.h"

#include <cstring>

namespace sluice::engine {
namespace {

constexpr std::size_t kPlacesPerPoll = 8;

}  // namespace

void DropSummary::add(WorkerContext& context, const net::ParsedPacket& packet,
                      std::uint16_t service, std::uint64_t flow_id, bool to_server,
                      abi::Reason reason, abi::Action action) {
  // As in all records, the source is the client.
  ConnectionInfo connection;
  connection.client = to_server ? packet.source : packet.destination;
  connection.server = to_server ? packet.destination : packet.source;
  connection.client_port = to_server ? packet.source_port : packet.destination_port;
  connection.server_port = to_server ? packet.destination_port : packet.source_port;
  connection.vlan_key = packet.vlan_key;
  connection.flow_id = flow_id;
  connection.first_service = service;
  add(context, connection, to_server, reason, action, 1);
}

void DropSummary::add(WorkerContext& context, const ConnectionInfo& connection, bool to_server,
                      abi::Reason reason, abi::Action action, std::uint32_t packets) {
  if (action != abi::Action::kBlock) context.counters.note(reason);
  const std::uint64_t flow_id = connection.flow_id;
  const auto reason_number = static_cast<std::uint64_t>(reason);
  const std::size_t index =
      ((flow_id ^ (flow_id >> 32)) + reason_number * 0x9e3779b97f4a7c15ULL) % kPlaces;
  Place& place = places_[index];
  abi::EventHeader& header = place.header;
  const bool same = place.since != 0 && header.flow_id == flow_id && header.reason == reason &&
                    header.action == action;
  if (same) {
    header.packet_count += packets;
    return;
  }
  if (place.since != 0) write(context, place);
  ++used_;
  place.since = context.now == 0 ? 1 : context.now;
  header = abi::EventHeader{};
  header.flow_id = flow_id;
  header.reason = reason;
  header.action = action;
  header.packet_count = packets;
  header.service_index = connection.first_service;
  header.worker = context.worker;
  header.limit_id = 0xffffffff;
  header.direction = to_server ? 0 : 1;
  header.generation = context.live == nullptr ? 0 : context.live->number();
  set_vlan(connection.vlan_key, header);
  std::memcpy(header.source, connection.client.bytes, sizeof header.source);
  std::memcpy(header.destination, connection.server.bytes, sizeof header.destination);
  header.source_port = connection.client_port;
  header.destination_port = connection.server_port;
}

void DropSummary::write(WorkerContext& context, Place& place) {
  const base::Ulid id = context.ids.next(context.wall / base::kNanosPerMilli);
  place.header.event_id[0] = id.high;
  place.header.event_id[1] = id.low;
  place.header.time_ns = context.wall;
  place.header.monotonic_ns = context.now;
  place.since = 0;
  --used_;
  context.events.drop(place.header);
}

void DropSummary::poll(WorkerContext& context) {
  for (std::size_t i = 0; used_ != 0 && i < kPlacesPerPoll; ++i) {
    Place& place = places_[cursor_];
    cursor_ = (cursor_ + 1) % kPlaces;
    if (place.since != 0 && context.now >= place.since + kIntervalNs) write(context, place);
  }
}

void DropSummary::flush(WorkerContext& context) {
  for (Place& place : places_) {
    if (place.since != 0) write(context, place);
  }
}

}  // namespace sluice::engine
