// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// The server's side of an exchange: responses, each paired with its request.

#include <algorithm>

#include "dataplane/engine/exchange.h"

namespace sluice::engine {

using abi::Reason;
using stream::kAllOffsets;
using stream::Progress;

namespace {

constexpr std::uint16_t kBadGateway = 502;

}  // namespace

/// False: state() says why not.
bool Exchange::open_response(WorkerContext& context, const ConnectionInfo& connection,
                             std::int64_t offset) {
  if (count_ == 0) {
    // Nobody has asked: servers say so when they close an idle connection (408).
    Transaction* transaction = add(context);
    if (transaction == nullptr) {
      const bool blocks = context.mode_of(connection.first_service) == abi::Mode::kBlock;
      state_ = blocks ? ExchangeState::kBlocked : ExchangeState::kOpaque;
      block_reason_ = Reason::kWorkerMemory;
      server_blocked_ = blocks;
      return false;
    }
    transaction->start(0, client_allowed_, context.now, context.wall);
    transaction->request_done = true;
  }
  Transaction& transaction = front(context);
  transaction.response_begin = offset;
  const bool upgrade =
      transaction.request_done && transaction.request.upgrade == http::Upgrade::kWebsocket;
  response_parser_.begin(transaction.arena, head_limits(context, connection),
                         {transaction.request.method == "HEAD", upgrade});
  response_open_ = true;
  return true;
}

Progress Exchange::on_server_bytes(WorkerContext& context, const ConnectionInfo& connection,
                                   std::int64_t offset, base::Bytes chunk) {
  if (skipping_) {
    on_forwarded(context, connection, std::min(offset, skip_until_));
    if (skipping_ && state_ != ExchangeState::kOpaque) {
      const auto left = static_cast<std::uint64_t>(skip_until_ - offset);
      return {static_cast<std::uint32_t>(std::min<std::uint64_t>(left, chunk.size())), skip_until_,
              skip_until_, false};
    }
  }
  Judge judge(context, connection);
  std::size_t consumed = 0;
  bool again = false;
  while (may_read_response() && (consumed < chunk.size() || again)) {
    if (!response_open_) consumed += response_parser_.skip_empty_line(chunk.subspan(consumed));
    const base::Bytes rest = chunk.subspan(consumed);
    const std::int64_t at = offset + static_cast<std::int64_t>(consumed);
    if (!response_open_) {
      if (rest.empty()) break;
      if (!open_response(context, connection, at)) break;
    }
    const http::Step step = feed(context, response_parser_, rest);
    consumed += step.consumed;
    front(context).response_bytes += step.consumed;
    again = step.event != http::Event::kNeedMore && step.event != http::Event::kUnparsed;
    if (!on_response_event(context, judge, step, at + static_cast<std::int64_t>(step.consumed))) {
      break;
    }
  }
  if (state_ == ExchangeState::kOpaque)
    return {static_cast<std::uint32_t>(chunk.size()), kAllOffsets, kAllOffsets, false};
  const bool of_the_bad = state_ == ExchangeState::kBlocked && !skipping_;
  if (server_blocked_ || (of_the_bad && consumed < chunk.size())) {
    if (bad_ != nullptr && bad_place_ == 0 && bad_->response_begin > server_allowed_) {
      server_allowed_ = bad_->response_begin;
    } else if (!server_blocked_) {
      server_allowed_ = std::max(server_allowed_, offset + static_cast<std::int64_t>(consumed));
    }
    return {static_cast<std::uint32_t>(chunk.size()), server_allowed_, 0, true};
  }
  return server_progress(context, consumed, offset);
}

Progress Exchange::server_progress(WorkerContext& context, std::size_t consumed,
                                   std::int64_t offset) {
  const std::int64_t end = offset + static_cast<std::int64_t>(consumed);
  const auto taken = static_cast<std::uint32_t>(consumed);
  if (skipping_) {
    server_allowed_ = skip_until_;
    return {taken, skip_until_, skip_until_, false};
  }
  if (hold_from_ >= 0 && count_ != 0) {
    const Transaction& transaction = front(context);
    const abi::PolicyService& service =
        transaction.live.generation->services()[transaction.service];
    if (end - hold_from_ < service.response_hold_bytes) {
      server_allowed_ = std::max(server_allowed_, hold_from_);
      return {taken, server_allowed_, 0, false};
    }
  }
  hold_from_ = -1;
  server_allowed_ = std::max(server_allowed_, end);
  return {taken, server_allowed_, 0, false};
}

/// While blocked, the responses to the requests before the bad one are still wanted.
bool Exchange::may_read_response() const {
  if (server_blocked_ || skipping_) return false;
  return state_ == ExchangeState::kHttp || state_ == ExchangeState::kAwaitUpgrade ||
         (state_ == ExchangeState::kBlocked && bad_ != nullptr && bad_place_ != 0);
}

bool Exchange::on_response_event(WorkerContext& context, Judge& judge, const http::Step& step,
                                 std::int64_t end) {
  Transaction& transaction = front(context);
  switch (step.event) {
    case http::Event::kNeedMore:
    case http::Event::kUnparsed:
      return true;
    case http::Event::kHeadComplete:
      return on_response_head(context, judge, end);
    case http::Event::kBodyData:
      if (!judge.response_body(transaction, step.body)) return true;
      block_response(transaction);
      return false;
    case http::Event::kMessageComplete:
      response_open_ = false;
      if (transaction.response.interim()) {
        transaction.response_begin = -1;
        return true;
      }
      return end_response(context, judge);
    case http::Event::kUpgraded:
      if (!end_response(context, judge)) return false;
      lose(context, judge);
      return false;
    case http::Event::kRefused:
      return on_response_refused(context, judge);
  }
  return true;
}

bool Exchange::on_response_head(WorkerContext& context, Judge& judge, std::int64_t end) {
  Transaction& transaction = front(context);
  transaction.response = response_parser_.head();
  if (transaction.response.interim()) return true;
  transaction.response_begun = context.now;
  const bool unasked = transaction.number == 0 || transaction.response_done;
  if (unasked) return transaction.response.close ? true : on_response_refused(context, judge);
  if (judge.response_head(transaction)) {
    block_response(transaction);
    return false;
  }
  if (transaction.judges_response_body) {
    if (transaction.service != kNoService &&
        transaction.live.generation->services()[transaction.service].response_hold_bytes != 0) {
      hold_from_ = transaction.response_begin;
    }
    return true;
  }
  // Nobody looks at the body: it passes without being shown (forwarding cost).
  switch (transaction.response.framing) {
    case http::BodyFraming::kLength:
      skip_until_ = end + static_cast<std::int64_t>(transaction.response.content_length);
      skipping_ = true;
      break;
    case http::BodyFraming::kUntilClose:
      skip_until_ = kAllOffsets;
      skipping_ = true;
      break;
    case http::BodyFraming::kNone:
    case http::BodyFraming::kChunked:
      break;
  }
  skip_from_ = end;
  if (skipping_) response_parser_.skip_body();
  return !skipping_;
}

void Exchange::on_forwarded(WorkerContext& context, const ConnectionInfo& connection,
                            std::int64_t forwarded) {
  if (!skipping_ || forwarded < skip_until_ || state_ == ExchangeState::kJudging) return;
  Judge judge(context, connection);
  end_skipping(context, judge, skip_until_);
}

void Exchange::end_skipping(WorkerContext& context, Judge& judge, std::int64_t end) {
  skipping_ = response_open_ = false;
  Transaction& transaction = front(context);
  const auto bytes = static_cast<std::uint64_t>(end - skip_from_);
  transaction.response_bytes += bytes;
  transaction.response_body_bytes += bytes;
  server_allowed_ = std::max(server_allowed_, end);
  (void)end_response(context, judge);
}

/// Blocks a transaction by its response: nothing of the rest leaves.
void Exchange::block_response(Transaction& transaction) {
  block(transaction);
  server_blocked_ = true;
}

bool Exchange::bad_answer_begun() const {
  return bad_ != nullptr && bad_->response_begin >= 0 && server_allowed_ > bad_->response_begin;
}

bool Exchange::on_response_refused(WorkerContext& context, Judge& judge) {
  Transaction& transaction = front(context);
  if (judge.refuse(transaction, Reason::kHttpResponse, kBadGateway)) {
    block_response(transaction);
    return false;
  }
  lose(context, judge);
  return false;
}

/// The final response has ended.
bool Exchange::end_response(WorkerContext& context, Judge& judge) {
  Transaction& transaction = front(context);
  response_open_ = false;
  hold_from_ = -1;
  if (judge.response_end(transaction)) {
    block_response(transaction);
    return false;
  }
  resume_ = true;
  if (state_ == ExchangeState::kAwaitUpgrade) state_ = ExchangeState::kHttp;
  if (transaction.request_done) complete_front(context, judge);
  return true;
}

void Exchange::complete_front(WorkerContext& context, Judge& judge) {
  Transaction& transaction = front(context);
  if (transaction.number != 0) judge.finish(transaction, 0);
  drop_front(context);
  resume_ = true;
}

Progress Exchange::on_server_end(WorkerContext& context, const ConnectionInfo& connection,
                                 std::int64_t offset) {
  if (server_blocked_) return {0, server_allowed_, 0, true};
  Judge judge(context, connection);
  if (skipping_) {
    end_skipping(context, judge, offset);
  } else if (response_open_ && state_ != ExchangeState::kOpaque) {
    const http::Step step = response_parser_.finish();
    if (step.event == http::Event::kMessageComplete) (void)end_response(context, judge);
  }
  if (server_blocked_) return {0, server_allowed_, 0, true};
  return {0, kAllOffsets, 0, false};
}

}  // namespace sluice::engine
