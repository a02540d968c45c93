// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// Flows, the part that time drives.

#include <algorithm>

#include "dataplane/engine/connection_sink.h"
#include "dataplane/engine/flows.h"

namespace sluice::engine {

using abi::Reason;
using flow::Direction;

namespace {

// Where no policy says (evasion HF31).
constexpr std::uint32_t kHeadTimeoutMs = 10'000, kBodyTimeoutMs = 20'000,
                        kIdleTimeoutMs = 3'600'000;
constexpr base::Nanos kBodyCheckNs = base::kNanosPerSecond;
/// A transaction that has kept its generation for pin_max_s: whether that is still live.
constexpr base::Nanos kPinCheckNs = base::kNanosPerSecond;
constexpr std::uint32_t kPinMaxS = 600;

base::Nanos milliseconds(std::uint32_t configured, std::uint32_t otherwise) {
  return (configured != 0 ? configured : otherwise) * base::kNanosPerMilli;
}

}  // namespace

base::Nanos Flows::pin_max() const {
  return (context_.live == nullptr ? kPinMaxS : context_.live->policy().header().pin_max_s) *
         base::kNanosPerSecond;
}

/// When pins are looked at next. No transaction moves its connection's timer: this is soon enough
/// for one that begins now.
base::Nanos Flows::pin_check(const Connection& connection) const {
  const base::Nanos begun =
      connection.exchange == nullptr ? 0 : connection.exchange->oldest_begun(context_);
  return std::max((begun == 0 ? context_.now : begun) + pin_max(), context_.now + kPinCheckNs);
}

/// When an open connection needs to be looked at next, whatever happens meanwhile.
base::Nanos Flows::open_deadline(const Connection& connection) const {
  const abi::PolicyService* service = service_of(connection);
  const base::Nanos last = connection.tcp.last_seen();
  if (connection.tcp.closing()) {
    return std::min(
        last + (connection.tcp.finished() ? abi::kClosedTimeoutNs : abi::kResetTimeoutNs),
        pin_check(connection));
  }
  base::Nanos deadline =
      last + milliseconds(service == nullptr ? 0 : service->idle_timeout_ms, kIdleTimeoutMs);
  deadline = std::min(deadline, pin_check(connection));
  const Transaction* request =
      connection.exchange == nullptr ? nullptr : connection.exchange->incomplete_request();
  if (request == nullptr) return deadline;
  const base::Nanos slow =
      request->request_head_done
          ? milliseconds(service == nullptr ? 0 : service->body_timeout_ms, kBodyTimeoutMs)
          : milliseconds(service == nullptr ? 0 : service->head_timeout_ms, kHeadTimeoutMs);
  base::Nanos check = request->begun + slow;
  if (request->request_head_done && check <= context_.now) check = context_.now + kBodyCheckNs;
  return std::min(deadline, check);
}

void Flows::schedule(Connection& connection) {
  if (connection.state == ConnectionState::kOpen && connection.tcp.finished()) {
    finished_.add(connection);
  }
  if (connection.state == ConnectionState::kReset) reset_.add(connection);
  const base::Nanos deadline =
      connection.state == ConnectionState::kOpen ? open_deadline(connection) : connection.deadline;
  memory_.timers.schedule(memory_.table.index_of(connection), deadline);
}

void Flows::on_timer(std::uint32_t id) {
  Connection* connection = memory_.table.at(id);
  if (connection == nullptr) return;
  switch (connection->state) {
    case ConnectionState::kOpen:
      on_open_timer(*connection);
      return;
    case ConnectionState::kWaiting:
      if (context_.now < connection->deadline) break;
      reset_both(*connection, info_of(*connection), Reason::kReplyWait);
      return;
    case ConnectionState::kReplying:
      return;  // the reply table has its own clock
    case ConnectionState::kReset:
      if (context_.now < connection->deadline) break;
      forget(*connection);
      return;
  }
  schedule(*connection);
}

void Flows::on_open_timer(Connection& connection) {
  const abi::PolicyService* service = service_of(connection);
  const base::Nanos last = connection.tcp.last_seen();
  Exchange* exchange = connection.exchange;
  if (exchange != nullptr && end_old_pins(connection, info_of(connection))) {
    if (connection.state == ConnectionState::kOpen) schedule(connection);
    return;
  }
  if (connection.tcp.closing()) {
    if (context_.now >= open_deadline(connection)) {
      forget(connection);
      return;
    }
    schedule(connection);
    return;
  }
  const base::Nanos idle =
      milliseconds(service == nullptr ? 0 : service->idle_timeout_ms, kIdleTimeoutMs);
  if (context_.now >= last + idle) {
    // Later segments find no connection, which midstream decides. Nothing can be sent: a connection
    // between two requests keeps no addresses of its frames.
    drops_.add(context_, info_of(connection), true, Reason::kFlowIdle, abi::Action::kPass, 0);
    forget(connection);
    return;
  }
  const Transaction* request = exchange == nullptr ? nullptr : exchange->incomplete_request();
  // The time that the rules take is not the client's.
  const bool judging = exchange != nullptr && exchange->state() == ExchangeState::kJudging;
  if (request != nullptr && !connection.opaque && !judging) {
    const base::Nanos age = context_.now - request->begun;
    bool slow = false;
    if (!request->request_head_done) {
      slow = age >= milliseconds(service == nullptr ? 0 : service->head_timeout_ms, kHeadTimeoutMs);
    } else if (age >=
               milliseconds(service == nullptr ? 0 : service->body_timeout_ms, kBodyTimeoutMs)) {
      // A server that does not take the bytes is not the client's fault.
      const stream::Half& client = connection.tcp.half(Direction::kToServer);
      const std::uint64_t rate_min = service == nullptr ? 0 : service->body_rate_min;
      slow = client.acknowledged >= client.forwarded &&
             request->request_body_bytes < rate_min * (age / base::kNanosPerSecond);
    }
    if (slow) {
      const ConnectionInfo info = info_of(connection);
      if (exchange->time_out(context_, info, Reason::kHttpSlow)) {
        after(connection, info);
        return;
      }
      // Monitor: said once; the connection goes on, and is looked at when it is idle.
      memory_.timers.schedule(memory_.table.index_of(connection),
                              std::min(last + idle, pin_check(connection)));
      return;
    }
  }
  schedule(connection);
}

/// Gives generations back (Exchange::end_pins). True: that ended what the exchange did.
bool Flows::end_old_pins(Connection& connection, const ConnectionInfo& info) {
  Exchange& exchange = *connection.exchange;
  exchange.end_pins(context_, info, pin_max());
  if (exchange.state() != ExchangeState::kBlocked && exchange.state() != ExchangeState::kOpaque) {
    return false;
  }
  after(connection, info);
  return true;
}

/// Some of the connections that look_for_pins() is about. True: there may be more.
bool Flows::look_for_some_pins() {
  const auto all = static_cast<std::uint32_t>(memory_.table.flows_max());
  if (pins_next_ >= all) return false;
  const std::uint32_t end = std::min<std::uint32_t>(all, pins_next_ + abi::kBurstMax);
  for (; pins_next_ < end; ++pins_next_) {
    Connection* connection = memory_.table.at(pins_next_);
    if (connection == nullptr || connection->exchange == nullptr ||
        connection->state != ConnectionState::kOpen) {
      continue;
    }
    if (end_old_pins(*connection, info_of(*connection)) &&
        connection->state == ConnectionState::kOpen) {
      schedule(*connection);
    }
  }
  return true;
}

/// Goes on with bytes behind filled gaps. True: there was something.
bool Flows::work_off() {
  const std::size_t count = work_.size();
  if (count == 0) return false;
  base::StaticVector<std::uint32_t, abi::kTimersPerPoll> now_due = work_;
  work_.clear();
  for (const std::uint32_t index : now_due) {
    Connection* connection = memory_.table.at(index);
    if (connection == nullptr || !connection->more_work) continue;
    connection->more_work = false;
    if (connection->state != ConnectionState::kOpen &&
        connection->state != ConnectionState::kWaiting) {
      continue;
    }
    begin_slice();
    const ConnectionInfo info = info_of(*connection);
    ConnectionSink sink(*this, *connection, info, nullptr, Direction::kToServer);
    if (connection->tcp.poll(memory_.streams, enforces(connection->service), sink)) {
      list_work(*connection);
    }
    after(*connection, info);
  }
  return true;
}

/// A slice for the exchange whose rules have stopped longest ago. False: there is none.
bool Flows::judge_on() {
  Exchange* exchange = working_.take();
  if (exchange == nullptr) return false;
  Connection* connection = memory_.table.at(exchange->work.flow);
  SLUICE_CHECK(connection != nullptr && connection->exchange == exchange);
  if (connection->epoch != epoch_) {
    forget(*connection);
    return true;
  }
  begin_slice();
  const ConnectionInfo info = info_of(*connection);
  go_on(*connection, info);
  after(*connection, info);
  return true;
}

/// What is left of a slice, for what a connection's exchange is at.
void Flows::go_on(Connection& connection, const ConnectionInfo& info) {
  const stream::Progress progress = connection.exchange->go_on(context_, info);
  if (progress.waits) return;
  ConnectionSink sink(*this, connection, info, nullptr, Direction::kToServer);
  if (connection.tcp.go_on(memory_.streams, Direction::kToServer, progress,
                           enforces(connection.service), sink)) {
    list_work(connection);
  }
}

/// Keeps the exchange in the list of those whose request is not complete, or out of it.
void Flows::list_unread(Connection& connection) {
  Exchange& exchange = *connection.exchange;
  const Transaction* request = exchange.incomplete_request();
  if (request == nullptr || request->number != exchange.unread_number) unread_.remove(exchange);
  if (request == nullptr) return;
  exchange.unread_number = request->number;
  unread_.add(exchange, memory_.table.index_of(connection));
}

/// Where nearly all transactions are taken, those whose requests have been incomplete longest make
/// room, as slow ones do at their time: a few thousand heads cut short would else keep everybody
/// out (evasion HF31). Bounded by abi::kTimersPerPoll. How many it ended.
std::size_t Flows::make_room() {
  const Pool<Transaction>& transactions = *context_.transactions;
  const std::size_t crowded = transactions.size() - transactions.size() / abi::kCrowdedPart;
  std::size_t ended = 0;
  while (transactions.used() > crowded && ended < abi::kTimersPerPoll) {
    Exchange* exchange = unread_.front();
    if (exchange == nullptr) break;
    const Transaction* request = exchange->incomplete_request();
    if (request != nullptr && context_.now < request->begun + abi::kCrowdedNs) break;
    unread_.remove(*exchange);
    ++ended;
    Connection* connection = memory_.table.at(exchange->unread.flow);
    SLUICE_CHECK(connection != nullptr && connection->exchange == exchange);
    if (connection->epoch != epoch_) {
      forget(*connection);
      continue;
    }
    if (connection->opaque || connection->state != ConnectionState::kOpen ||
        !enforces(connection->service)) {
      continue;
    }
    const ConnectionInfo info = info_of(*connection);
    if (exchange->time_out(context_, info, Reason::kHttpSlow)) after(*connection, info);
  }
  return ended;
}

std::size_t Flows::poll() {
  std::size_t handled = work_off() ? 1 : 0;
  handled += make_room();
  if (judge_on()) ++handled;
  if (look_for_some_pins()) ++handled;
  memory_.timers.advance(context_.now, abi::kTimersPerPoll, [&](std::uint32_t id) {
    ++handled;
    on_timer(id);
  });
  for (std::uint64_t owner = memory_.replies.poll(context_.now); owner != 0;
       owner = memory_.replies.poll(context_.now)) {
    ++handled;
    Connection* connection = memory_.table.at(static_cast<std::uint32_t>(owner - 1));
    if (connection == nullptr || connection->state != ConnectionState::kReplying) continue;
    connection->state = ConnectionState::kReset;
    connection->reply = kNoReplySlot;
    connection->deadline = context_.now + abi::kResetTimeoutNs;
    schedule(*connection);
  }
  drops_.poll(context_);
  return handled;
}

base::Nanos Flows::next_timer() const {
  base::Nanos next = context_.now + base::kNanosPerSecond;
  if (!work_.empty() || !working_.empty() || pins_next_ < memory_.table.flows_max()) {
    return context_.now;
  }
  next = std::min(next, memory_.replies.next_timer());
  return memory_.timers.size() == 0 ? next
                                    : std::min(next, context_.now + 10 * base::kNanosPerMilli);
}

}  // namespace sluice::engine
