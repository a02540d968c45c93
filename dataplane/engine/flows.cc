// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/flows.h"

#include <algorithm>
#include <array>
#include <utility>

#include "dataplane/engine/connection_sink.h"
#include "dataplane/engine/stage_clock.h"
#include "dataplane/net/craft.h"

namespace sluice::engine {

using abi::Action;
using abi::CounterId;
using abi::Reason;
using flow::Direction;

namespace {

constexpr Side side_towards(Direction direction) {
  return direction == Direction::kToServer ? Side::kInside : Side::kOutside;
}
constexpr Direction direction_of(const Packet& packet) {
  return packet.side == Side::kOutside ? Direction::kToServer : Direction::kToClient;
}

/// A RST at or behind the last byte that we have of the client. While a blocked request waits, what
/// is before it never leaves, so that the stream knows no such number: nobody is left to take the
/// reply.
bool is_clients_reset(const Connection& connection, const Packet& packet) {
  const stream::Half& client = connection.tcp.half(Direction::kToServer);
  const std::uint32_t next = client.isn + 1 + static_cast<std::uint32_t>(client.received);
  return packet.parsed.has_flag(net::kRst) &&
         static_cast<std::int32_t>(packet.parsed.sequence - next) >= 0;
}

}  // namespace

// -- the stream's sink --------------------------------------------------------------------------

stream::Progress ConnectionSink::on_bytes(Direction direction, std::int64_t offset,
                                          base::Bytes chunk) {
  const auto bytes = static_cast<std::uint32_t>(chunk.size());
  if (connection_.opaque) return {bytes, stream::kAllOffsets, stream::kAllOffsets, false};
  Exchange* exchange = flows_.exchange_for(connection_, packet_, packet_direction_);
  if (exchange == nullptr) {
    // No memory to parse with: fail closed. In monitor the connection is given up.
    if (!flows_.enforces(connection_.service)) {
      connection_.opaque = true;
      return {bytes, stream::kAllOffsets, stream::kAllOffsets, false};
    }
    return {0, offset, 0, true};
  }
  const bool to_server = direction == Direction::kToServer;
  const stream::Progress progress =
      to_server ? exchange->on_client_bytes(flows_.context_, info_, offset, chunk)
                : exchange->on_server_bytes(flows_.context_, info_, offset, chunk);
  const Engine::Observer& observer = flows_.context_.observer;
  if (observer.inspected != nullptr && exchange->state() != ExchangeState::kOpaque) {
    observer.inspected(observer.context, info_.flow_id, to_server ? 0 : 1,
                       static_cast<std::uint64_t>(offset), chunk.first(progress.consumed));
  }
  return progress;
}

stream::Progress ConnectionSink::on_end(Direction direction, std::int64_t offset) {
  Exchange* exchange = connection_.exchange;
  if (connection_.opaque || exchange == nullptr) return {0, stream::kAllOffsets, 0, false};
  return direction == Direction::kToServer
             ? exchange->on_client_end(flows_.context_, info_, offset)
             : exchange->on_server_end(flows_.context_, info_, offset);
}

void ConnectionSink::on_lost(Direction, std::int64_t, std::int64_t) {
  if (connection_.exchange != nullptr) connection_.exchange->on_lost();
}

void ConnectionSink::release(Direction direction, net::PacketRef packet,
                             std::uint32_t payload_bytes) {
  const auto link =
      static_cast<std::uint16_t>(flows_.memory_.table.key_of(connection_).link_and_vlan >> 24);
  flows_.count_held(packet, false);
  flows_.desk_.release(packet, payload_bytes, link, side_towards(direction));
}

void ConnectionSink::discard(Direction, net::PacketRef packet, Reason reason) {
  flows_.context_.counters.drop(reason);
  flows_.count_held(packet, false);
  flows_.desk_.free(packet);
}

// -- lookup -------------------------------------------------------------------------------------

void Flows::inspect(std::span<Packet* const> packets) {
  std::array<flow::FlowKey, abi::kBurstMax> keys;
  std::array<std::uint64_t, abi::kBurstMax> hashes;
  std::array<Connection*, abi::kBurstMax> found;
  const std::size_t count = packets.size();
  for (std::size_t i = 0; i < count; ++i) {
    const Packet& packet = *packets[i];
    keys[i] =
        flow::flow_key(packet.parsed, direction_of(packet), static_cast<std::uint8_t>(packet.link));
    hashes[i] = packet.flow_hash;
  }
  memory_.table.find_bulk({keys.data(), count}, {hashes.data(), count}, {found.data(), count});
  if (context_.stages != nullptr) context_.stages->stop(abi::Stage::kFlow);
  const std::uint32_t changes = changes_;
  for (std::size_t i = 0; i < count; ++i) {
    if (changes != changes_) found[i] = memory_.table.find(keys[i], hashes[i]);
    handle(*packets[i], keys[i], direction_of(*packets[i]), found[i]);
  }
}

void Flows::handle(Packet& packet, const flow::FlowKey& key, Direction direction,
                   Connection* connection) {
  if (connection != nullptr && connection->epoch != epoch_) {
    forget(*connection);
    connection = nullptr;
  }
  const bool syn = packet.parsed.has_flag(net::kSyn);
  if (syn || connection == nullptr || connection->tcp.reopening()) {
    if (handshake(packet, key, direction, connection)) return;
  }
  if (connection == nullptr) {
    midstream(packet, direction);
    return;
  }
  switch (connection->state) {
    case ConnectionState::kWaiting:
      if (direction == Direction::kToServer && is_clients_reset(*connection, packet)) {
        reset_both(*connection, info_of(*connection), connection->exchange->block_reason());
        drop(packet, direction, Reason::kBlockedFlow);
        return;
      }
      advance(packet, direction, *connection);
      return;
    case ConnectionState::kOpen:
      advance(packet, direction, *connection);
      return;
    case ConnectionState::kReplying:
    case ConnectionState::kReset:
      on_closed_segment(packet, direction, *connection);
      return;
  }
}

/// True: the packet is decided. Else `connection` may be a new one, which gets the segment.
bool Flows::handshake(Packet& packet, const flow::FlowKey& key, Direction direction,
                      Connection*& connection) {
  const bool enforce = enforces(packet.service);
  stream::Segment segment{packet.parsed, packet.frame, packet.ref, context_.now, enforce};
  const std::uint64_t displaced = memory_.handshakes.displaced();
  stream::HandshakeOutcome outcome =
      memory_.handshakes.on_segment(direction, key, packet.flow_hash, segment,
                                    connection == nullptr ? nullptr : &connection->tcp);
  if (memory_.handshakes.displaced() != displaced) {
    // Under no flow of its own: a flood of SYNs is one record a second, not one for each.
    drops_.add(context_, packet.parsed, packet.service, 0, true, Reason::kFlowEmbryonicFull,
               Action::kPass);
  }
  switch (outcome.fate) {
    case stream::HandshakeFate::kForward:
      if (outcome.reason != Reason::kNone) {
        note(packet, direction, outcome.reason, enforce ? Action::kPass : Action::kMonitor);
      }
      packet.frame_bytes = static_cast<std::uint32_t>(packet.parsed.frame.size());
      return true;
    case stream::HandshakeFate::kDrop:
      drop(packet, direction, outcome.reason);
      return true;
    case stream::HandshakeFate::kComplete:
      connection = open(packet, key, connection, outcome.handshake);
      if (connection != nullptr) return false;
      drop(packet, direction, Reason::kFlowFull);
      return true;
    case stream::HandshakeFate::kPass:
      return false;
  }
  return false;
}

Connection* Flows::open(Packet& packet, const flow::FlowKey& key, Connection* existing,
                        const stream::Handshake& handshake) {
  if (existing != nullptr) {
    end_tcp(*existing);
    const ConnectionInfo info = info_of(*existing);
    end_exchange(*existing, info);
    if (existing->state == ConnectionState::kReplying) memory_.replies.cancel(existing->reply);
    finished_.remove(*existing);
    reset_.remove(*existing);
    *existing = Connection();
  } else {
    existing = memory_.table.insert(key, packet.flow_hash);
    if (existing == nullptr) {
      Connection* oldest = expendable();
      if (oldest == nullptr) return nullptr;
      forget(*oldest);
      existing = memory_.table.insert(key, packet.flow_hash);
      if (existing == nullptr) return nullptr;
    }
    ++changes_;
  }
  existing->tcp.open(handshake, context_.now);
  existing->service = packet.service;
  existing->epoch = epoch_;
  context_.counters.count(CounterId::kFlowsCreated);
  schedule(*existing);
  return existing;
}

Connection* Flows::expendable() {
  if (Connection* finished = finished_.first()) return finished;
  // Where segments without a connection pass, what was reset must stay known.
  const bool passes = context_.live->policy().header().midstream == abi::Midstream::kPass;
  return passes ? nullptr : reset_.first();
}

void Flows::midstream(Packet& packet, Direction direction) {
  if (context_.live->policy().header().midstream == abi::Midstream::kPass) {
    note(packet, direction, Reason::kMidstream, Action::kPass);
    return;
  }
  drop(packet, direction, Reason::kTcpNoFlow);
  if (packet.fate != Fate::kDrop || packet.parsed.has_flag(net::kRst)) return;
  if (context_.now - midstream_second_ >= base::kNanosPerSecond) {
    midstream_second_ = context_.now;
    midstream_resets_ = 0;
  }
  if (midstream_resets_ + 2 > abi::kMidstreamResetsPerSecond) return;
  midstream_resets_ += 2;
  answer_reset(packet, direction, true);
  answer_reset(packet, direction, false);
}

// -- an established connection ------------------------------------------------------------------

void Flows::advance(Packet& packet, Direction direction, Connection& connection) {
  begin_slice();
  const bool enforce = enforces(connection.service);
  const ConnectionInfo info = info_of(connection, packet.flow_hash);
  ConnectionSink sink(*this, connection, info, &packet.parsed, direction);
  stream::Segment segment{packet.parsed, packet.frame, packet.ref, context_.now, enforce};
  const stream::Outcome outcome =
      connection.tcp.on_segment(memory_.streams, direction, segment, sink);
  if (outcome.out_of_order) context_.counters.count(CounterId::kOutOfOrder);
  if (outcome.retransmission) context_.counters.count(CounterId::kRetransmitted);
  packet.frame_bytes = static_cast<std::uint32_t>(packet.parsed.frame.size());
  switch (outcome.fate) {
    case stream::Fate::kForward:
      if (outcome.reason != Reason::kNone) {
        note(packet, direction, outcome.reason, enforce ? Action::kPass : Action::kMonitor);
      }
      break;
    case stream::Fate::kHold:
      packet.fate = Fate::kKept;
      context_.counters.count(CounterId::kHeldSegments);
      count_held(packet.ref, true);
      break;
    case stream::Fate::kDrop:
      drop(packet, direction, outcome.reason);
      break;
  }
  if (connection.exchange != nullptr && connection.exchange->take_piled_up()) {
    drops_.add(context_, info, true, Reason::kHttpPipeline, Action::kPass, 1);
  }
  if (outcome.more_work) list_work(connection);
  in_hand_ = packet.fate == Fate::kForward ? &packet : nullptr;
  if (outcome.block_connection) {
    reset_both(connection, info, outcome.reason);
  } else if (outcome.reset_taken) {
    end_by_reset(connection, info);
  } else {
    after(connection, info);
  }
  in_hand_ = nullptr;
}

/// What follows from the exchange's state after bytes or acknowledgements have moved.
void Flows::after(Connection& connection, const ConnectionInfo& info) {
  Exchange* exchange = connection.exchange;
  if (exchange == nullptr) {
    if (connection.tcp.half(Direction::kToServer).blocked && enforces(connection.service) &&
        !connection.opaque) {
      reset_both(connection, info, Reason::kWorkerMemory);
    } else if (connection.tcp.closing()) {
      schedule(connection);
    }
    return;
  }
  exchange->on_forwarded(context_, info, connection.tcp.half(Direction::kToClient).forwarded);
  list_unread(connection);
  if (exchange->take_resume()) resume(connection, info);
  switch (exchange->state()) {
    case ExchangeState::kOpaque:
      connection.opaque = true;
      end_exchange(connection, info);
      return;
    case ExchangeState::kBlocked:
      if (connection.tcp.waits()) {  // what was judged is given up
        ConnectionSink sink(*this, connection, info, nullptr, Direction::kToServer);
        if (connection.tcp.go_on(memory_.streams, Direction::kToServer, exchange->client_verdict(),
                                 enforces(connection.service), sink)) {
          list_work(connection);
        }
      }
      on_blocked(connection, info);
      return;
    case ExchangeState::kJudging:
      working_.add(*exchange, memory_.table.index_of(connection));
      schedule(connection);
      return;
    case ExchangeState::kHttp:
    case ExchangeState::kAwaitUpgrade:
      break;
  }
  if (connection.tcp.finished()) {
    end_exchange(connection, info);  // nothing can follow: what was cut short stays so
  } else if (exchange->idle() && !connection.more_work) {
    give_exchange(connection);
  } else if (exchange->incomplete_request() != nullptr) {
    schedule(connection);
  }
  if (connection.tcp.closing()) schedule(connection);
}

/// A response has ended: bytes that waited for it (pipelined too deep, behind an upgrade) go on.
void Flows::resume(Connection& connection, const ConnectionInfo& info) {
  const stream::Half& client = connection.tcp.half(Direction::kToServer);
  if (client.inspected >= client.received && client.held_count == 0) return;
  ConnectionSink sink(*this, connection, info, nullptr, Direction::kToServer);
  if (connection.tcp.poll(memory_.streams, enforces(connection.service), sink)) {
    list_work(connection);
  }
}

bool Flows::icmp_plausible(const Packet& packet) {
  net::IcmpQuote quote;
  if (!net::parse_icmp_error(packet.parsed, quote)) return true;
  // The quoted segment went to whoever sent the error's way: its direction is the opposite.
  const Direction direction = flow::opposite(direction_of(packet));
  const bool to_server = direction == Direction::kToServer;
  flow::FlowKey key;
  key.client = to_server ? quote.source : quote.destination;
  key.server = to_server ? quote.destination : quote.source;
  key.client_port = to_server ? quote.source_port : quote.destination_port;
  key.server_port = to_server ? quote.destination_port : quote.source_port;
  key.link_and_vlan = std::uint32_t{packet.link} << 24 | packet.parsed.vlan_key;
  Connection* connection = memory_.table.find(key, memory_.table.hash(key));
  return connection == nullptr ||
         connection->tcp.icmp_plausible(memory_.streams, direction, quote.sequence);
}

// -- pieces -------------------------------------------------------------------------------------

void Flows::note(Packet& packet, Direction direction, Reason reason, Action action) {
  packet.reason = reason;
  drops_.add(context_, packet.parsed, packet.service, packet.flow_hash,
             direction == Direction::kToServer, reason, action);
}

void Flows::drop(Packet& packet, Direction direction, Reason reason) {
  const bool enforce = enforces(packet.service);
  note(packet, direction, reason, enforce ? Action::kBlock : Action::kMonitor);
  if (!enforce) return;  // monitor drops nothing
  packet.fate = Fate::kDrop;
  context_.counters.drop(reason);
}

ConnectionInfo Flows::info_of(const Connection& connection, std::uint64_t flow_id) const {
  const flow::FlowKey& key = memory_.table.key_of(connection);
  ConnectionInfo info;
  info.client = key.client;
  info.server = key.server;
  info.client_port = key.client_port;
  info.server_port = key.server_port;
  info.vlan_key = key.link_and_vlan & 0xffffff;
  info.flow_id = flow_id;
  info.first_service = connection.service;
  return info;
}

const abi::PolicyService* Flows::service_of(const Connection& connection) const {
  if (context_.live == nullptr || connection.service >= context_.live->services().size()) {
    return nullptr;
  }
  return &context_.live->services()[connection.service];
}

Exchange* Flows::exchange_for(Connection& connection, const net::ParsedPacket* packet,
                              Direction direction) {
  if (connection.exchange != nullptr || packet == nullptr) return connection.exchange;
  Exchange* exchange = memory_.exchanges.take();
  if (exchange == nullptr) return nullptr;
  exchange->start(*packet, direction == Direction::kToServer, connection.between);
  connection.exchange = exchange;
  return exchange;
}

void Flows::give_exchange(Connection& connection) {
  working_.remove(*connection.exchange);
  unread_.remove(*connection.exchange);
  connection.tcp.stop_waiting();
  connection.between = connection.exchange->between();
  memory_.exchanges.give(*connection.exchange);
  connection.exchange = nullptr;
}

/// Writes the records of what was under way. What monitor has let pass is judged before.
void Flows::end_exchange(Connection& connection, const ConnectionInfo& info) {
  if (connection.exchange == nullptr) return;
  if (connection.exchange->state() == ExchangeState::kJudging && !enforces(connection.service)) {
    context_.rules_state->begin_slice(0);
    while (connection.exchange->state() == ExchangeState::kJudging) go_on(connection, info);
  }
  connection.exchange->abandon(context_, info);
  give_exchange(connection);
}

void Flows::forget(Connection& connection) {
  const ConnectionInfo info = info_of(connection);
  end_exchange(connection, info);
  if (connection.state == ConnectionState::kReplying) memory_.replies.cancel(connection.reply);
  end_tcp(connection);
  finished_.remove(connection);
  reset_.remove(connection);
  memory_.timers.cancel(memory_.table.index_of(connection));
  memory_.table.erase(connection);
  context_.counters.count(CounterId::kFlowsClosed);
  ++changes_;
}

void Flows::close_all() {
  const std::uint64_t slice = std::exchange(context_.slice_cycles, 0);
  while (judge_on()) {
  }
  context_.slice_cycles = slice;
  for (std::uint32_t index = 0; index < memory_.table.flows_max(); ++index) {
    if (Connection* connection = memory_.table.at(index)) forget(*connection);
  }
}

void Flows::list_work(Connection& connection) {
  if (connection.more_work) return;
  // A full list: the connection's next segment goes on instead.
  connection.more_work = work_.push(memory_.table.index_of(connection));
}

void Flows::count_held(net::PacketRef packet, bool begins) {
  const std::uint64_t bytes = desk_.frame(packet).size();
  held_bytes_ = begins ? held_bytes_ + bytes : held_bytes_ - std::min(held_bytes_, bytes);
}

void Flows::publish_gauges() {
  abi::WorkerCounters& counters = context_.counters;
  counters.flows.set(memory_.table.size());
  counters.flows_embryonic.set(memory_.handshakes.size());
  counters.held_segments.set(memory_.streams.held_total() - memory_.streams.held_free());
  counters.held_bytes.set(held_bytes_);
  counters.retained_bytes.set((memory_.streams.blocks_total() - memory_.streams.blocks_free()) *
                              stream::Pools::kBlockBytes);
  counters.transactions.set(context_.transactions->used());
}

}  // namespace sluice::engine
