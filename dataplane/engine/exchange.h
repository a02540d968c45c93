// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "dataplane/abi/limits.h"
#include "dataplane/engine/judge.h"
#include "dataplane/engine/transaction.h"
#include "dataplane/engine/worker_context.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/response_parser.h"
#include "dataplane/net/craft.h"
#include "dataplane/stream/segment_sink.h"

/// HTTP of one connection while there is any under way: both parsers, the transactions without a
/// final response, and the point from which on nothing may leave. A connection between requests has
/// none.
namespace sluice::engine {

/// What an idle connection keeps for the exchange after it.
struct Between {
  std::uint32_t transactions = 0;  ///< how many there were
  http::EmptyLine requests = http::EmptyLine::kRefused, responses = http::EmptyLine::kRefused;
};

/// What a parser says of more bytes, on the account of HTTP.
template <typename Parser>
http::Step feed(const WorkerContext& context, Parser& parser, base::Bytes bytes) {
  const StageSpan span(context.stages, abi::Stage::kHttp);
  return parser.feed(bytes);
}

/// What stands between the connection and its further bytes.
enum class ExchangeState : std::uint8_t {
  kHttp,
  kAwaitUpgrade,  ///< an allowed upgrade was asked for: the client's further bytes wait
  kOpaque,        ///< upgraded, or monitor has lost the thread: forwarded uninspected
  kBlocked,       ///< `bad()` is to be answered in the server's place, or both ends reset
  kJudging,       ///< the rules have stopped at the end of a slice: go_on() is to be called
};

class Exchange {
 public:
  std::uint32_t pool_index = 0;
  /// Of an ExchangeList. `flow`: whose exchange it is, by index into the flow table.
  struct Link {
    std::uint32_t flow = 0, before = 0, after = 0;
    bool is_listed = false;
  };
  Link work;                        ///< its rules have stopped at the end of a slice
  Link unread;                      ///< its request is not complete
  std::uint32_t unread_number = 0;  ///< Transaction::number of that request

  /// For the first bytes of a connection, or of one that was idle.
  void start(const net::ParsedPacket& packet, bool from_client, const Between& before);
  /// The connection has ended: gives back what transactions are left, with their records.
  void abandon(WorkerContext& context, const ConnectionInfo& connection);
  /// The connection is reset or answered: the same, `flags` (kEvent*) say what was done.
  void finish_bad(WorkerContext& context, const ConnectionInfo& connection, std::uint16_t flags);

  stream::Progress on_client_bytes(WorkerContext& context, const ConnectionInfo& connection,
                                   std::int64_t offset, base::Bytes chunk);
  stream::Progress on_server_bytes(WorkerContext& context, const ConnectionInfo& connection,
                                   std::int64_t offset, base::Bytes chunk);
  stream::Progress on_client_end(WorkerContext& context, const ConnectionInfo& connection,
                                 std::int64_t offset);
  stream::Progress on_server_end(WorkerContext& context, const ConnectionInfo& connection,
                                 std::int64_t offset);
  /// In state kJudging: another slice for the rules. What it says is of the client's bytes.
  stream::Progress go_on(WorkerContext& context, const ConnectionInfo& connection);
  /// What may leave of the client's bytes after something else than go_on() has ended kJudging.
  [[nodiscard]] stream::Progress client_verdict() const {
    return {0, client_allowed_, 0, state_ == ExchangeState::kBlocked, false};
  }
  /// Monitor: bytes passed unseen, so message borders are lost.
  void on_lost() { state_ = ExchangeState::kOpaque; }
  /// Server bytes have been forwarded up to `forwarded`: ends a response whose body was skipped.
  void on_forwarded(WorkerContext& context, const ConnectionInfo& connection,
                    std::int64_t forwarded);
  /// Time is up for the request under way (kHttpSlow and the like): true if it is blocked now.
  bool time_out(WorkerContext& context, const ConnectionInfo& connection, abi::Reason reason);

  /// What has kept a generation that is neither live nor staged for `pin_max`, or one that is to
  /// end (Engine::end_pins), gives it back. What is judged to its end goes on, its record is
  /// written now; the rest cannot be judged any more: blocked as http_slow, in monitor uninspected
  /// from here on. See state().
  void end_pins(WorkerContext& context, const ConnectionInfo& connection, base::Nanos pin_max);
  /// When the oldest transaction began; 0: there is none.
  [[nodiscard]] base::Nanos oldest_begun(const WorkerContext& context) const {
    return count_ == 0 ? 0 : front(context).begun;
  }

  [[nodiscard]] ExchangeState state() const { return state_; }
  /// No transaction, no part of one: the exchange may be given back.
  [[nodiscard]] bool idle() const {
    return count_ == 0 && state_ == ExchangeState::kHttp && !last_seen_;
  }
  /// The blocked transaction, in state kBlocked.
  [[nodiscard]] Transaction* bad() { return bad_; }
  /// Transactions before the bad one that still await their response.
  [[nodiscard]] std::size_t earlier() const { return bad_ == nullptr ? count_ : bad_place_; }
  /// A byte of the bad request's own response has been forwarded.
  [[nodiscard]] bool bad_answer_begun() const;
  [[nodiscard]] std::int64_t block_offset() const { return block_offset_; }
  [[nodiscard]] abi::Reason block_reason() const { return block_reason_; }
  [[nodiscard]] std::int64_t server_allowed() const { return server_allowed_; }
  /// The request under way, or nullptr between requests.
  [[nodiscard]] const Transaction* incomplete_request() const { return request_; }
  [[nodiscard]] bool in_request_head() const {
    return request_ != nullptr && !request_->request_head_done;
  }
  /// What the connection keeps when the exchange is given back.
  [[nodiscard]] Between between() const {
    return {transactions_, request_parser_.empty_line(), response_parser_.empty_line()};
  }
  /// Client bytes may be shown again: a response has ended, or an upgrade was answered.
  [[nodiscard]] bool take_resume() {
    const bool resume = resume_;
    resume_ = false;
    return resume;
  }
  /// A request has begun to wait since the last call: as many as there is room for have no
  /// response.
  [[nodiscard]] bool take_piled_up() { return std::exchange(piled_up_, false); }
  /// Towards the server; of the first segment seen since start().
  [[nodiscard]] const net::SegmentTemplate& to_server() const { return to_server_; }

 private:
  /// Reads requests out of a chunk until there is no more or something stands between. after_event:
  /// the parser may have an event without a byte. Returns the bytes that were taken.
  std::size_t read_requests(WorkerContext& context, Judge& judge, const ConnectionInfo& connection,
                            std::int64_t offset, base::Bytes chunk, bool after_event);
  stream::Progress client_progress(std::int64_t offset, std::size_t consumed,
                                   std::size_t chunk_bytes);
  stream::Progress client_end(std::int64_t offset) const;
  bool on_judged(WorkerContext& context, Judge& judge, http::Event event, bool bad);
  bool open_request(WorkerContext& context, const ConnectionInfo& connection, std::int64_t offset,
                    base::Bytes chunk);
  bool on_request_event(WorkerContext& context, Judge& judge, const http::Step& step);
  bool on_request_refused(WorkerContext& context, Judge& judge);
  void end_request(WorkerContext& context, Judge& judge);
  bool open_response(WorkerContext& context, const ConnectionInfo& connection, std::int64_t offset);
  [[nodiscard]] bool may_read_response() const;
  bool on_response_event(WorkerContext& context, Judge& judge, const http::Step& step,
                         std::int64_t end);
  bool on_response_head(WorkerContext& context, Judge& judge, std::int64_t end);
  bool on_response_refused(WorkerContext& context, Judge& judge);
  bool end_response(WorkerContext& context, Judge& judge);
  void end_skipping(WorkerContext& context, Judge& judge, std::int64_t end);
  void complete_front(WorkerContext& context, Judge& judge);
  stream::Progress server_progress(WorkerContext& context, std::size_t consumed,
                                   std::int64_t offset);
  void block(Transaction& transaction);
  void block_response(Transaction& transaction);
  void lose(WorkerContext& context, Judge& judge);
  [[nodiscard]] static bool is_early(const Transaction& transaction);
  [[nodiscard]] Transaction& front(const WorkerContext& context) const;
  [[nodiscard]] Transaction* add(WorkerContext& context);
  void drop_front(WorkerContext& context);
  [[nodiscard]] http::HeadLimits head_limits(const WorkerContext& context,
                                             const ConnectionInfo& connection) const;

  http::RequestParser request_parser_;
  http::ResponseParser response_parser_;
  net::SegmentTemplate to_server_;
  /// Indices into the pool, oldest first, from `first_` on, round the end.
  std::array<std::uint32_t, abi::kPipelinedMax> queue_ = {};
  std::uint32_t first_ = 0, count_ = 0;
  std::uint32_t transactions_ = 0;
  Transaction* request_ = nullptr;  ///< under way: the newest of the queue, or none
  Transaction* bad_ = nullptr;
  std::size_t bad_place_ = 0;
  std::int64_t block_offset_ = 0;
  std::int64_t judged_until_ = 0;  ///< kJudging: the client's bytes that were read
  http::Event judged_event_ = http::Event::kNeedMore;  ///< kJudging: what is judged
  bool judged_cut_ = false;  ///< kJudging: what there is of the request, by on_client_end()
  std::int64_t client_allowed_ = 0, server_allowed_ = 0;  ///< as last answered
  std::int64_t skip_from_ = 0, skip_until_ = 0;  ///< of the response body that nobody looks at
  std::int64_t hold_from_ = -1;  ///< response_hold_bytes: the response waits from here; -1: none
  ExchangeState state_ = ExchangeState::kHttp;
  bool response_open_ = false;  ///< the response parser is in a message
  bool skipping_ = false;
  bool resume_ = false;
  bool piled_up_ = false;        ///< a request waits for responses to those before it
  bool last_seen_ = false;       ///< the client said that no request follows
  bool server_blocked_ = false;  ///< by a response: nothing of it leaves any more
  bool starts_like_tls_ = false;
  abi::Reason block_reason_ = abi::Reason::kNone;
};

}  // namespace sluice::engine
