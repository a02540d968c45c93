// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/base/static_vector.h"
#include "dataplane/engine/connection.h"
#include "dataplane/engine/drop_summary.h"
#include "dataplane/engine/ended_list.h"
#include "dataplane/engine/packet_desk.h"
#include "dataplane/engine/pool.h"
#include "dataplane/engine/reply.h"
#include "dataplane/engine/worker_context.h"
#include "dataplane/engine/working_list.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/timer_wheel.h"
#include "dataplane/stream/handshake.h"
#include "dataplane/stream/pools.h"

/// The connections of one worker: looks segments up, gives them to their stream, and does what the
/// exchange decides: forward, hold, drop, answer in the server's place, reset.
namespace sluice::engine {

/// The pools and tables of one worker, made by Engine::create().
struct FlowMemory {
  flow::FlowTable<Connection>& table;
  flow::TimerWheel& timers;
  stream::HandshakeTable& handshakes;
  stream::Pools& streams;
  Pool<Exchange>& exchanges;
  ReplyTable& replies;
};

class Flows {
 public:
  Flows(WorkerContext& context, const FlowMemory& memory, PacketDesk& desk, SegmentSender& sender,
        DropSummary& drops)
      : context_(context),
        memory_(memory),
        desk_(desk),
        sender_(sender),
        drops_(drops),
        working_(memory.exchanges),
        unread_(memory.exchanges),
        finished_(memory.table, Ended::kFinished),
        reset_(memory.table, Ended::kReset) {}
  Flows(const Flows&) = delete;
  Flows& operator=(const Flows&) = delete;

  /// Judges sound TCP segments of protected services, in order. At most abi::kBurstMax.
  void inspect(std::span<Packet* const> packets);
  /// False: an ICMP error about a segment that its sender has not sent, or long ago.
  [[nodiscard]] bool icmp_plausible(const Packet& packet);

  /// Timers, replies and work left over; bounded. Returns how many it handled.
  std::size_t poll();
  [[nodiscard]] base::Nanos next_timer() const;
  [[nodiscard]] bool judging() const { return !working_.empty(); }
  /// Connections known until now are forgotten when they are met: frames have passed unseen.
  void forget_all() { ++epoch_; }
  /// From the first connection on, poll() asks each for what Engine::end_pins() ends.
  void look_for_pins() { pins_next_ = 0; }
  /// Forgets every connection now.
  void close_all();
  void publish_gauges();

 private:
  friend class ConnectionSink;

  // flows.cc
  void handle(Packet& packet, const flow::FlowKey& key, flow::Direction direction,
              Connection* connection);
  bool handshake(Packet& packet, const flow::FlowKey& key, flow::Direction direction,
                 Connection*& connection);
  Connection* open(Packet& packet, const flow::FlowKey& key, Connection* existing,
                   const stream::Handshake& handshake);
  /// A connection that may be forgotten for a new one; nullptr: there is none.
  [[nodiscard]] Connection* expendable();
  void midstream(Packet& packet, flow::Direction direction);
  void advance(Packet& packet, flow::Direction direction, Connection& connection);
  void after(Connection& connection, const ConnectionInfo& info);
  void resume(Connection& connection, const ConnectionInfo& info);
  void drop(Packet& packet, flow::Direction direction, abi::Reason reason);
  void note(Packet& packet, flow::Direction direction, abi::Reason reason, abi::Action action);
  [[nodiscard]] bool enforces(std::uint16_t service) const {
    return service != kNoService && context_.stream_modes[service] == abi::Mode::kBlock;
  }
  [[nodiscard]] ConnectionInfo info_of(const Connection& connection, std::uint64_t flow_id) const;
  [[nodiscard]] ConnectionInfo info_of(const Connection& connection) const {
    return info_of(connection, memory_.table.hash(memory_.table.key_of(connection)));
  }
  [[nodiscard]] const abi::PolicyService* service_of(const Connection& connection) const;
  Exchange* exchange_for(Connection& connection, const net::ParsedPacket* packet,
                         flow::Direction direction);
  void give_exchange(Connection& connection);
  void end_exchange(Connection& connection, const ConnectionInfo& info);
  void forget(Connection& connection);
  void list_work(Connection& connection);
  /// A packet begins or ends to wait for its verdict.
  void count_held(net::PacketRef packet, bool begins);

  // flow_timers.cc
  void schedule(Connection& connection);
  void on_timer(std::uint32_t id);
  void on_open_timer(Connection& connection);
  [[nodiscard]] base::Nanos open_deadline(const Connection& connection) const;
  [[nodiscard]] base::Nanos pin_max() const;
  [[nodiscard]] base::Nanos pin_check(const Connection& connection) const;
  bool end_old_pins(Connection& connection, const ConnectionInfo& info);
  bool work_off();
  bool judge_on();
  void list_unread(Connection& connection);
  std::size_t make_room();
  void go_on(Connection& connection, const ConnectionInfo& info);
  void begin_slice() { context_.rules_state->begin_slice(context_.slice_cycles); }
  bool look_for_some_pins();

  // blocking.cc
  void on_blocked(Connection& connection, const ConnectionInfo& info);
  void try_reply(Connection& connection, const ConnectionInfo& info);
  void reply(Connection& connection, const ConnectionInfo& info);
  void reset_both(Connection& connection, const ConnectionInfo& info, abi::Reason reason);
  void end_by_reset(Connection& connection, const ConnectionInfo& info);
  void send_ahead(Side out);
  void send_reset(const Connection& connection, const net::SegmentTemplate& direction_template,
                  flow::Direction towards);
  void end_tcp(Connection& connection);
  void on_closed_segment(Packet& packet, flow::Direction direction, Connection& connection);
  void answer_reset(Packet& packet, flow::Direction direction, bool to_sender);
  [[nodiscard]] bool may_reset(Connection& connection);

  WorkerContext& context_;
  FlowMemory memory_;
  PacketDesk& desk_;
  SegmentSender& sender_;
  DropSummary& drops_;
  /// Connections with bytes left to work off, by index.
  base::StaticVector<std::uint32_t, abi::kTimersPerPoll> work_;
  WorkingList working_;  ///< exchanges whose rules have stopped
  UnreadList unread_;    ///< exchanges whose request is not complete
  EndedList finished_, reset_;
  std::uint64_t held_bytes_ = 0;  ///< of the frames of held packets
  Packet* in_hand_ = nullptr;     ///< the segment that is judged, if it leaves when that is done
  std::uint32_t changes_ = 0;     ///< of the table: connections found before may be gone
  std::uint32_t epoch_ = 0;
  std::uint32_t pins_next_ = UINT32_MAX;  ///< look_for_some_pins() goes on here
  base::Nanos midstream_second_ = 0;
  std::size_t midstream_resets_ = 0;
};

}  // namespace sluice::engine
