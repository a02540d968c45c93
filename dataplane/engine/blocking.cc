// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// Flows, the part that answers in the server's place and resets. Enforcement contract 5.

#include <algorithm>
#include <array>

#include "dataplane/engine/connection_sink.h"
#include "dataplane/engine/flows.h"
#include "dataplane/net/craft.h"

namespace sluice::engine {

using abi::CounterId;
using abi::Reason;
using flow::Direction;

namespace {

constexpr std::uint32_t kReplyWaitMs = 5'000, kLingerMs = 2'000;  // where no policy says

}  // namespace

void Flows::on_blocked(Connection& connection, const ConnectionInfo& info) {
  Exchange& exchange = *connection.exchange;
  if (exchange.bad() == nullptr) {
    reset_both(connection, info, exchange.block_reason());
    return;
  }
  if (connection.state == ConnectionState::kOpen) {
    // Blocked by its response, the client's side is to end as well.
    ConnectionSink sink(*this, connection, info, nullptr, Direction::kToServer);
    connection.tcp.block_at(memory_.streams, Direction::kToServer, exchange.block_offset(), sink);
    const abi::PolicyService* service = service_of(connection);
    const std::uint32_t wait_ms =
        service != nullptr && service->reply_wait_ms != 0 ? service->reply_wait_ms : kReplyWaitMs;
    connection.state = ConnectionState::kWaiting;
    connection.deadline = context_.now + wait_ms * base::kNanosPerMilli;
  }
  try_reply(connection, info);
}

void Flows::try_reply(Connection& connection, const ConnectionInfo& info) {
  Exchange& exchange = *connection.exchange;
  const stream::Half& client = connection.tcp.half(Direction::kToServer);
  const stream::Half& server = connection.tcp.half(Direction::kToClient);
  if (client.forwarded < exchange.bad()->request_begin) {
    // Good bytes fill a gap behind which bad ones have left: they may not follow.
    reset_both(connection, info, Reason::kReplyForwarded);
  } else if (exchange.bad_answer_begun()) {
    reset_both(connection, info, Reason::kResponseBegun);
  } else if (exchange.earlier() != 0 || server.acknowledged < server.forwarded) {
    schedule(connection);
  } else if (exchange.to_server().link_bytes == 0) {
    reset_both(connection, info, Reason::kReplySlots);
  } else {
    reply(connection, info);
  }
}

void Flows::reply(Connection& connection, const ConnectionInfo& info) {
  Exchange& exchange = *connection.exchange;
  Transaction& bad = *exchange.bad();
  const stream::Half& client = connection.tcp.half(Direction::kToServer);
  const stream::Half& server = connection.tcp.half(Direction::kToClient);
  const abi::PolicyService* service = service_of(connection);

  ReplyContent content;
  content.status = bad.live.verdict.status;
  content.retry_after_s = bad.live.verdict.retry_after_s;
  content.event_id = bad.id;
  content.without_body = bad.request.method == "HEAD";
  std::array<std::uint8_t, abi::kReplyBytesMax> text;
  const std::size_t text_bytes = compose_reply(text, content);

  ReplyStart start;
  start.to_client = net::reversed(exchange.to_server());
  start.link = static_cast<std::uint16_t>(memory_.table.key_of(connection).link_and_vlan >> 24);
  start.client_side = Side::kOutside;
  start.sequence = connection.tcp.next_sequence(Direction::kToClient);
  start.acknowledgment = connection.tcp.sequence_of(Direction::kToServer, client.received);
  start.window = static_cast<std::uint16_t>(
      std::min<std::uint32_t>(server.window_bytes >> server.window_scale, 0xffff));
  start.mss = client.mss;
  start.timestamps = connection.tcp.timestamps();
  start.timestamp_value = server.timestamp;
  start.timestamp_echo = client.timestamp;
  const std::uint32_t linger_ms =
      service != nullptr && service->linger_ms != 0 ? service->linger_ms : kLingerMs;
  start.linger_ns = linger_ms * base::kNanosPerMilli;
  start.owner = std::uint64_t{memory_.table.index_of(connection)} + 1;

  const ReplySlot slot = memory_.replies.start(start, {text.data(), text_bytes}, context_.now);
  if (slot == kNoReplySlot) {
    reset_both(connection, info, Reason::kReplySlots);
    return;
  }
  context_.counters.count(CounterId::kReplies);
  std::uint16_t flags = abi::kEventReplied;
  if (client.forwarded > bad.request_begin) {
    flags |= abi::kEventPartial;
    context_.counters.count(CounterId::kPartialForwards);
  }
  send_reset(connection, exchange.to_server(), Direction::kToServer);
  exchange.finish_bad(context_, info, flags);
  give_exchange(connection);
  end_tcp(connection);
  connection.reply = slot;
  connection.state = ConnectionState::kReplying;
  memory_.timers.cancel(memory_.table.index_of(connection));
}

/// Both ends get RST: nothing is left to answer, or nobody to do it.
void Flows::reset_both(Connection& connection, const ConnectionInfo& info, Reason reason) {
  context_.counters.drop(reason);
  context_.counters.count(CounterId::kResets);
  if (Exchange* exchange = connection.exchange; exchange != nullptr) {
    std::uint16_t flags = abi::kEventReset;
    const Transaction* bad = exchange->bad();
    if (bad != nullptr &&
        connection.tcp.half(Direction::kToServer).forwarded > bad->request_begin) {
      flags |= abi::kEventPartial;
      context_.counters.count(CounterId::kPartialForwards);
    }
    if (exchange->to_server().link_bytes != 0) {
      send_reset(connection, exchange->to_server(), Direction::kToServer);
      send_reset(connection, net::reversed(exchange->to_server()), Direction::kToClient);
    }
    exchange->finish_bad(context_, info, flags);
    give_exchange(connection);
  }
  end_tcp(connection);
  connection.state = ConnectionState::kReset;
  connection.deadline = context_.now + abi::kResetTimeoutNs;
  schedule(connection);
}

/// One end has reset the connection where the other takes it, or has taken it. Nothing more is let
/// through, so that nothing of a generation needs to be kept: the RST may be lost on its way (to be
/// answered for, as after one of ours), and a client may have sent it for show (evasion TS1).
/// Monitor goes on inspecting what comes, as from a new message on.
void Flows::end_by_reset(Connection& connection, const ConnectionInfo& info) {
  Exchange* exchange = connection.exchange;
  if (exchange != nullptr && exchange->state() == ExchangeState::kBlocked) {
    reset_both(connection, info, exchange->block_reason());
    return;
  }
  end_exchange(connection, info);
  if (enforces(connection.service)) {
    connection.deadline =
        context_.now + (connection.tcp.finished() ? abi::kClosedTimeoutNs : abi::kResetTimeoutNs);
    end_tcp(connection);
    connection.state = ConnectionState::kReset;
  }
  schedule(connection);
}

/// A reset names the number behind the segment in hand, and a receiver may take it for the end of
/// all: the segment leaves first. Joined datagrams are their caller's, who knows whether they leave
/// in their fragments.
void Flows::send_ahead(Side out) {
  if (in_hand_ == nullptr || other(in_hand_->side) != out || PacketDesk::is_joined(in_hand_->ref)) {
    return;
  }
  desk_.transmit(in_hand_->ref, in_hand_->frame_bytes, true, in_hand_->link, out);
  in_hand_->fate = Fate::kKept;
  in_hand_ = nullptr;
}

void Flows::send_reset(const Connection& connection, const net::SegmentTemplate& direction_template,
                       Direction towards) {
  const Side out = towards == Direction::kToServer ? Side::kInside : Side::kOutside;
  send_ahead(out);
  net::SegmentFields fields;
  fields.sequence = connection.tcp.next_sequence(towards);
  fields.acknowledgment = connection.tcp.next_sequence(flow::opposite(towards));
  fields.flags = net::kRst | net::kAck;
  fields.timestamp = connection.tcp.timestamps();
  fields.timestamp_value = connection.tcp.half(towards).timestamp;
  fields.timestamp_echo = connection.tcp.half(flow::opposite(towards)).timestamp;
  const auto link =
      static_cast<std::uint16_t>(memory_.table.key_of(connection).link_and_vlan >> 24);
  (void)sender_.send(direction_template, fields, link, out);
}

/// Gives the stream's memory back; what it held is freed. A new SYN may take the tuple over.
void Flows::end_tcp(Connection& connection) {
  const ConnectionInfo info = info_of(connection);
  ConnectionSink sink(*this, connection, info, nullptr, Direction::kToServer);
  connection.tcp.close(memory_.streams, Reason::kBlockedFlow, sink);
  connection.tcp.mark_reset();
}

bool Flows::may_reset(Connection& connection) {
  if (context_.now - connection.reset_second >= base::kNanosPerSecond) {
    connection.reset_second = context_.now;
    connection.resets = 0;
  }
  if (connection.resets >= abi::kResetsPerSecond) return false;
  ++connection.resets;
  return true;
}

/// A segment of a connection that we have ended: the client's goes to the reply, and whoever has
/// not understood the reset gets another, at the sequence that its acknowledgement names (a
/// challenge acknowledgement, RFC 5961 section 3).
void Flows::on_closed_segment(Packet& packet, Direction direction, Connection& connection) {
  packet.fate = Fate::kDrop;
  packet.reason = Reason::kBlockedFlow;
  context_.counters.drop(Reason::kBlockedFlow);
  if (connection.state == ConnectionState::kReplying && direction == Direction::kToServer) {
    if (memory_.replies.on_client(connection.reply, packet.parsed, context_.now)) {
      connection.state = ConnectionState::kReset;
      connection.reply = kNoReplySlot;
      connection.deadline = context_.now + abi::kResetTimeoutNs;
      schedule(connection);
    }
    return;
  }
  if (packet.parsed.has_flag(net::kRst) || !may_reset(connection)) return;
  answer_reset(packet, direction, true);
}

/// RST for a segment without a connection (RFC 9293 section 3.10.7.1), to its sender or its
/// receiver.
void Flows::answer_reset(Packet& packet, Direction direction, bool to_sender) {
  const net::ParsedPacket& parsed = packet.parsed;
  if (parsed.llc) return;
  const net::SegmentTemplate forward = net::template_of(parsed);
  net::SegmentFields fields;
  if (!to_sender) {
    fields.sequence = parsed.sequence;
    fields.acknowledgment = parsed.acknowledgment;
    fields.flags = net::kRst | net::kAck;
  } else if (parsed.has_flag(net::kAck)) {
    fields.sequence = parsed.acknowledgment;
    fields.flags = net::kRst;
  } else {
    fields.acknowledgment = parsed.sequence + parsed.sequence_length();
    fields.flags = net::kRst | net::kAck;
  }
  const Direction towards = to_sender ? flow::opposite(direction) : direction;
  (void)sender_.send(to_sender ? net::reversed(forward) : forward, fields, packet.link,
                     towards == Direction::kToServer ? Side::kInside : Side::kOutside);
}

}  // namespace sluice::engine
