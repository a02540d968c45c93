// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/exchange.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/check.h"

namespace sluice::engine {
namespace {

using abi::Reason;
using stream::kAllOffsets;
using stream::Progress;

constexpr std::uint16_t kForbidden = 403, kRequestTimeout = 408;
/// First byte of a TLS record that starts a handshake (RFC 8446 section 5.1).
constexpr std::uint8_t kTlsHandshake = 0x16;

Progress everything(std::size_t bytes) {
  return {static_cast<std::uint32_t>(bytes), kAllOffsets, kAllOffsets, false};
}

}  // namespace

void Exchange::start(const net::ParsedPacket& packet, bool from_client, const Between& before) {
  request_parser_.reset(before.requests);
  response_parser_.reset(before.responses);
  to_server_ = from_client ? net::template_of(packet) : net::reversed(net::template_of(packet));
  first_ = count_ = 0;
  transactions_ = before.transactions;
  request_ = bad_ = nullptr;
  bad_place_ = 0;
  block_offset_ = client_allowed_ = server_allowed_ = skip_until_ = 0;
  hold_from_ = -1;
  block_reason_ = Reason::kNone;
  state_ = ExchangeState::kHttp;
  response_open_ = skipping_ = resume_ = last_seen_ = server_blocked_ = judged_cut_ = piled_up_ =
      false;
}

Transaction& Exchange::front(const WorkerContext& context) const {
  return context.transactions->at(queue_[first_]);
}

Transaction* Exchange::add(WorkerContext& context) {
  Transaction* transaction = context.transactions->take();
  if (transaction == nullptr) return nullptr;
  queue_[(first_ + count_) % abi::kPipelinedMax] = transaction->pool_index;
  ++count_;
  return transaction;
}

void Exchange::drop_front(WorkerContext& context) {
  Transaction& transaction = front(context);
  transaction.release(context.worker);
  context.transactions->give(transaction);
  first_ = (first_ + 1) % abi::kPipelinedMax;
  --count_;
  if (bad_place_ != 0) --bad_place_;
}

http::HeadLimits Exchange::head_limits(const WorkerContext& context,
                                       const ConnectionInfo& connection) const {
  http::HeadLimits limits;
  if (context.live == nullptr || connection.first_service >= context.live->services().size()) {
    return limits;
  }
  const abi::PolicyService& service = context.live->services()[connection.first_service];
  const auto choose = [](std::uint32_t& limit, std::uint32_t configured) {
    if (configured != 0) limit = configured;
  };
  choose(limits.request_line_bytes_max, service.request_line_bytes_max);
  choose(limits.header_bytes_max, service.header_bytes_max);
  choose(limits.head_bytes_max, service.head_bytes_max);
  choose(limits.headers_max, service.headers_max);
  limits.allow_websocket = service.allow_websocket != 0;
  return limits;
}

// -- requests -----------------------------------------------------------------------------------

/// False: nothing can be parsed now; state() says whether to wait, to block or to give up.
bool Exchange::open_request(WorkerContext& context, const ConnectionInfo& connection,
                            std::int64_t offset, base::Bytes chunk) {
  if (count_ == abi::kPipelinedMax) {
    piled_up_ = true;
    return false;
  }
  Transaction* transaction = add(context);
  if (transaction == nullptr) {
    const bool blocks = context.mode_of(connection.first_service) == abi::Mode::kBlock;
    state_ = blocks ? ExchangeState::kBlocked : ExchangeState::kOpaque;
    block_reason_ = Reason::kWorkerMemory;
    block_offset_ = offset;
    return false;
  }
  transaction->start(++transactions_, offset, context.now, context.wall);
  if (transactions_ == 1) starts_like_tls_ = chunk[0] == kTlsHandshake;
  request_ = transaction;
  request_parser_.begin(transaction->arena, head_limits(context, connection));
  return true;
}

std::size_t Exchange::read_requests(WorkerContext& context, Judge& judge,
                                    const ConnectionInfo& connection, std::int64_t offset,
                                    base::Bytes chunk, bool after_event) {
  std::size_t consumed = 0;
  bool again = after_event;  // an event without bytes may follow an event
  while (state_ == ExchangeState::kHttp && (consumed < chunk.size() || again)) {
    if (request_ == nullptr) consumed += request_parser_.skip_empty_line(chunk.subspan(consumed));
    const base::Bytes rest = chunk.subspan(consumed);
    if (request_ == nullptr) {
      if (rest.empty()) break;  // an empty line alone takes no transaction
      if (!open_request(context, connection, offset + static_cast<std::int64_t>(consumed), rest)) {
        break;
      }
    }
    if (is_early(*request_) && !rest.empty()) {
      // The server may read what follows as the next request (evasion HF8).
      if (judge.refuse(*request_, Reason::kHttpEarlyResponse, std::uint16_t{0})) {
        block(*request_);
        break;
      }
    }
    const http::Step step = feed(context, request_parser_, rest);
    consumed += step.consumed;
    request_->request_bytes += step.consumed;
    request_->inspected_bytes += step.consumed;
    again = step.event != http::Event::kNeedMore && step.event != http::Event::kUnparsed;
    if (!on_request_event(context, judge, step)) break;
  }
  return consumed;
}

Progress Exchange::client_progress(std::int64_t offset, std::size_t consumed,
                                   std::size_t chunk_bytes) {
  const std::int64_t end = offset + static_cast<std::int64_t>(consumed);
  switch (state_) {
    case ExchangeState::kOpaque:
      return everything(chunk_bytes);
    case ExchangeState::kBlocked:
      client_allowed_ = std::max(client_allowed_, block_offset_);
      return {static_cast<std::uint32_t>(chunk_bytes), client_allowed_, 0, true};
    case ExchangeState::kJudging:
      judged_until_ = end;
      return {static_cast<std::uint32_t>(consumed), client_allowed_, 0, false, true};
    case ExchangeState::kHttp:
    case ExchangeState::kAwaitUpgrade:
      break;
  }
  client_allowed_ = std::max(client_allowed_, end);
  return {static_cast<std::uint32_t>(consumed), client_allowed_, 0, false};
}

Progress Exchange::on_client_bytes(WorkerContext& context, const ConnectionInfo& connection,
                                   std::int64_t offset, base::Bytes chunk) {
  Judge judge(context, connection);
  const std::size_t consumed = read_requests(context, judge, connection, offset, chunk, false);
  return client_progress(offset, consumed, chunk.size());
}

Progress Exchange::go_on(WorkerContext& context, const ConnectionInfo& connection) {
  SLUICE_CHECK(state_ == ExchangeState::kJudging && Judge::working(*request_));
  Judge judge(context, connection);
  const bool bad = judge.go_on(*request_);
  if (Judge::working(*request_)) return {0, client_allowed_, 0, false, true};
  state_ = ExchangeState::kHttp;
  if (std::exchange(judged_cut_, false)) {
    if (bad) block(*request_);
    return client_end(judged_until_);
  }
  if (on_judged(context, judge, judged_event_, bad)) {
    (void)read_requests(context, judge, connection, judged_until_, {}, true);
  }
  if (state_ != ExchangeState::kHttp) return client_progress(judged_until_, 0, 0);
  // Not client_allowed_ yet: what is shown next may be of the same request, and bad.
  return {0, judged_until_, 0, false};
}

/// False: stop feeding.
bool Exchange::on_request_event(WorkerContext& context, Judge& judge, const http::Step& step) {
  Transaction& transaction = *request_;
  bool bad = false;
  switch (step.event) {
    case http::Event::kNeedMore:
      return true;
    case http::Event::kHeadComplete:
      if (transaction.request_head_done) return true;  // judged by its lenient reading
      transaction.request = request_parser_.head();
      bad = judge.request_head(transaction);
      break;
    case http::Event::kBodyData:
      bad = judge.request_body(transaction, step.body);
      break;
    case http::Event::kMessageComplete:
      bad = judge.request_end(transaction);
      break;
    case http::Event::kUpgraded:
      return true;  // never of a request
    case http::Event::kRefused:
      return on_request_refused(context, judge);
    case http::Event::kUnparsed:
      if (!transaction.request_head_done && transaction.refusal != Reason::kNone) {
        (void)judge.refuse(transaction, transaction.refusal, request_parser_.lenient_head());
      }
      judge.see_rest(transaction);
      lose(context, judge);
      return false;
  }
  if (Judge::working(transaction)) {
    state_ = ExchangeState::kJudging;
    judged_event_ = step.event;
    return false;
  }
  return on_judged(context, judge, step.event, bad);
}

/// The verdict on what an event has brought is known. False: stop feeding.
bool Exchange::on_judged(WorkerContext& context, Judge& judge, http::Event event, bool bad) {
  Transaction& transaction = *request_;
  if (event == http::Event::kHeadComplete && transaction.refusal != Reason::kNone) {
    bad = judge.refuse(transaction, transaction.refusal, nullptr);
  }
  if (bad) {
    block(transaction);
    return false;
  }
  if (event == http::Event::kMessageComplete) end_request(context, judge);
  return state_ == ExchangeState::kHttp;
}

bool Exchange::on_request_refused(WorkerContext& context, Judge& judge) {
  Transaction& transaction = *request_;
  Reason reason = request_parser_.reason();
  transaction.refused = request_parser_.refused_head();
  if (transaction.number == 1 && starts_like_tls_ && !transaction.request_head_done) {
    reason = Reason::kTlsUninspected;
  }
  const bool blocks = judge.mode_so_far(transaction) == abi::Mode::kBlock;
  if (!blocks && !transaction.request_head_done) {
    // Monitor: the head may still be read to its end, leniently, and is judged then.
    transaction.refusal = reason;
  } else if (judge.refuse(transaction, reason, request_parser_.lenient_head())) {
    judge.see_rest(transaction);
    block(transaction);
    return false;
  }
  request_parser_.continue_leniently();
  (void)context;
  return true;
}

void Exchange::end_request(WorkerContext& context, Judge& judge) {
  Transaction& transaction = *request_;
  request_ = nullptr;
  if (transaction.request.close) last_seen_ = true;
  if (transaction.request.upgrade == http::Upgrade::kWebsocket && !transaction.response_done) {
    state_ = ExchangeState::kAwaitUpgrade;
  }
  // An early response has ended before: the transaction is the oldest, and complete now.
  if (transaction.response_done) complete_front(context, judge);
}

/// A final response has ended before the request has, and the server keeps the connection.
bool Exchange::is_early(const Transaction& transaction) {
  return transaction.response_done && !transaction.response.close;
}

void Exchange::block(Transaction& transaction) {
  state_ = ExchangeState::kBlocked;
  bad_ = &transaction;
  block_reason_ = transaction.live.verdict.reason;
  block_offset_ = transaction.request_begin;
  bad_place_ = 0;
  while (queue_[(first_ + bad_place_) % abi::kPipelinedMax] != transaction.pool_index) {
    ++bad_place_;
  }
}

/// Monitor alone: message borders are lost, what follows is forwarded uninspected.
void Exchange::lose(WorkerContext& context, Judge& judge) {
  state_ = ExchangeState::kOpaque;
  request_ = nullptr;
  while (count_ != 0) {
    judge.finish(front(context), 0);
    drop_front(context);
  }
}

Progress Exchange::on_client_end(WorkerContext& context, const ConnectionInfo& connection,
                                 std::int64_t offset) {
  if (state_ == ExchangeState::kHttp && request_ != nullptr) {
    Judge judge(context, connection);
    // Servers hand on what they have of a body that ends here: it is judged as it is. Of a head
    // some make a request, which was judged by nothing yet, and others none.
    const bool bad = request_->request_head_done
                         ? judge.request_cut(*request_)
                         : request_parser_.in_head() &&
                               judge.refuse(*request_, Reason::kHttpFraming, kForbidden);
    if (Judge::working(*request_)) {
      state_ = ExchangeState::kJudging;
      judged_cut_ = true;
      judged_until_ = offset;
      return {0, client_allowed_, 0, false, true};
    }
    if (bad) block(*request_);
  }
  return client_end(offset);
}

Progress Exchange::client_end(std::int64_t offset) const {
  if (state_ == ExchangeState::kBlocked) return {0, client_allowed_, 0, true};
  return {0, state_ == ExchangeState::kOpaque ? kAllOffsets : offset, 0, false};
}

bool Exchange::time_out(WorkerContext& context, const ConnectionInfo& connection, Reason reason) {
  if (request_ == nullptr || state_ != ExchangeState::kHttp) return false;
  Judge judge(context, connection);
  if (!judge.refuse(*request_, reason, kRequestTimeout)) return false;
  judge.see_rest(*request_);
  block(*request_);
  return true;
}

void Exchange::end_pins(WorkerContext& context, const ConnectionInfo& connection,
                        base::Nanos pin_max) {
  if (state_ == ExchangeState::kOpaque || state_ == ExchangeState::kBlocked) return;
  const auto ends = [&](const Judgement& judgement, base::Nanos begun) {
    return judgement.generation != nullptr && judgement.generation != context.live &&
           judgement.generation != context.staged &&
           (context.now >= begun + pin_max || judgement.generation->number() == context.ending);
  };
  Judge judge(context, connection);
  for (std::uint32_t i = 0; i < count_; ++i) {
    Transaction& transaction = context.transactions->at(queue_[(first_ + i) % abi::kPipelinedMax]);
    if (ends(transaction.staged, transaction.begun)) transaction.staged.release(context.worker);
    if (!ends(transaction.live, transaction.begun)) continue;
    if (transaction.request_done && transaction.response_head_done &&
        !transaction.judges_response_body && !Judge::working(transaction)) {
      judge.finish(transaction, 0);
      continue;
    }
    if (judge.refuse(transaction, Reason::kHttpSlow, kRequestTimeout)) {
      if (transaction.response_begin >= 0) {
        block_response(transaction);
      } else {
        block(transaction);
      }
    } else {
      lose(context, judge);
    }
    return;
  }
}

// -- ends ---------------------------------------------------------------------------------------

void Exchange::finish_bad(WorkerContext& context, const ConnectionInfo& connection,
                          std::uint16_t flags) {
  Judge judge(context, connection);
  while (count_ != 0) {
    Transaction& transaction = front(context);
    const bool said_nothing = transaction.number == 0 && &transaction != bad_;
    if (!said_nothing) {
      judge.finish(transaction, &transaction == bad_
                                    ? flags
                                    : static_cast<std::uint16_t>(flags & abi::kEventReset));
    }
    drop_front(context);
  }
  bad_ = request_ = nullptr;
}

void Exchange::abandon(WorkerContext& context, const ConnectionInfo& connection) {
  Judge judge(context, connection);
  while (count_ != 0) {
    Transaction& transaction = front(context);
    if (transaction.number != 0) {
      if (!transaction.request_head_done) judge.without_head(transaction);
      judge.finish(transaction, 0);
    }
    drop_front(context);
  }
  bad_ = request_ = nullptr;
}

}  // namespace sluice::engine
