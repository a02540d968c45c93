// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/base/clock.h"
#include "dataplane/engine/exchange.h"
#include "dataplane/engine/reply.h"
#include "dataplane/stream/tcp_connection.h"

namespace sluice::engine {

enum class ConnectionState : std::uint8_t {
  kOpen,
  kWaiting,   ///< a request is blocked; its reply waits for the responses before it
  kReplying,  ///< the reply table speaks for the server; the server was reset
  kReset,     ///< we reset both ends, or one the other: what still comes is answered by RST, or
              ///< dropped
};

/// The EndedList that a connection is in.
enum class Ended : std::uint8_t {
  kNo,
  kFinished,  ///< both ends have finished: nothing of it is left to inspect
  kReset,     ///< ConnectionState::kReset
};

/// One connection of a protected service: the flow table's value. What HTTP needs while something
/// is under way is in `exchange`; an idle connection is this and nothing more.
struct Connection {
  stream::Connection tcp;
  Exchange* exchange = nullptr;
  Between between;  ///< of the last exchange
  /// kWaiting: when the wait ends. kReset: when the connection is forgotten.
  base::Nanos deadline = 0;
  base::Nanos reset_second = 0;  ///< resets are counted since
  std::uint32_t epoch = 0;       ///< bypass and mode off forget connections by raising the engine's
  ReplySlot reply = kNoReplySlot;
  std::uint16_t service = kNoService;
  ConnectionState state = ConnectionState::kOpen;
  std::uint8_t resets = 0;
  bool opaque = false;     ///< upgraded: forwarded, sequence-tracked, uninspected
  bool more_work = false;  ///< listed for poll(): bytes behind a filled gap wait
  Ended ended = Ended::kNo;
  std::uint32_t ended_before = 0, ended_after = 0;  ///< EndedList: indices of neighbours
};
static_assert(sizeof(Connection) + sizeof(flow::FlowKey) + 8 <= 448,
              "an idle inspected flow costs at most 512 bytes with its index and timer");

}  // namespace sluice::engine
