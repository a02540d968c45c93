// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string_view>

#include "dataplane/abi/verdict.h"
#include "dataplane/base/bytes.h"
#include "dataplane/engine/transaction.h"
#include "dataplane/engine/worker_context.h"
#include "dataplane/http/head.h"

/// From what HTTP, limits and rules say to one verdict: the first thing that blocks decides, under
/// the weakest mode that applies. Enforcement contract 4, 6 and 7.
namespace sluice::engine {

/// Judges the transactions of one connection. Every function returns true when the transaction is
/// to be blocked: in monitor never. request_head(), request_body(), request_end() and request_cut()
/// may stop at the end of the rules' slice: then working() is true, they have returned false, and
/// go_on() brings the verdict. What else ends the transaction meanwhile gives the rest up.
class Judge {
 public:
  Judge(WorkerContext& context, const ConnectionInfo& connection)
      : context_(context), connection_(connection) {}

  /// The head is in transaction.request: service, client address, limits, phase 1.
  bool request_head(Transaction& transaction);
  bool request_body(Transaction& transaction, base::Bytes bytes);
  /// Phase 2.
  bool request_end(Transaction& transaction);
  /// The client has ended in the middle of the body: phase 2 over what there is of it.
  bool request_cut(Transaction& transaction);
  /// The verdict of the last of these calls is not known yet.
  [[nodiscard]] static bool working(const Transaction& transaction) {
    return transaction.judging != Judging::kNothing;
  }
  /// Goes on with it for a slice.
  bool go_on(Transaction& transaction);
  /// The head is in transaction.response: phase 3.
  bool response_head(Transaction& transaction);
  bool response_body(Transaction& transaction, base::Bytes bytes);
  /// Phase 4.
  bool response_end(Transaction& transaction);

  /// The parser refused, or a bound was hit. `head`: a lenient reading, or null; where phase 1 has
  /// not run, it runs over that for the record.
  bool refuse(Transaction& transaction, abi::Reason reason, const http::RequestHead* head);
  /// Names a transaction whose head was never read.
  void without_head(Transaction& transaction);
  /// The mode that applies, as far as the service is known.
  [[nodiscard]] abi::Mode mode_so_far(const Transaction& transaction) const {
    return transaction.request_head_done ? transaction.live.mode
                                         : context_.mode_of(connection_.first_service);
  }
  /// Nothing of the request follows: phase 2 over what is there, for the record alone.
  void see_rest(Transaction& transaction);
  /// A verdict without rules: time, order of messages.
  bool refuse(Transaction& transaction, abi::Reason reason, std::uint16_t status);

  /// Phase 5, counts, the record; the pins are given back. Once: later calls do nothing. `flags`:
  /// kEventReplied and its like.
  void finish(Transaction& transaction, std::uint16_t flags);

 private:
  void choose_service(Transaction& transaction);
  void begin_rules(Transaction& transaction, Judgement& judgement, Generation* generation,
                   abi::Mode mode);
  bool begin_judging(Transaction& transaction, Judging judging);
  bool conclude(Transaction& transaction);
  void conclude_head(Transaction& transaction);
  void run_to_the_end(Transaction& transaction);
  void check_limits(Transaction& transaction);
  void check_strict(Transaction& transaction);
  void check_strict_body(Transaction& transaction);
  void take(Judgement& judgement, const abi::Verdict& verdict);
  void set(Judgement& judgement, abi::Reason reason, std::uint16_t status);
  bool decide(Transaction& transaction);
  void fill_header(const Transaction& transaction, std::uint16_t flags, abi::EventHeader& header);
  void count(const Transaction& transaction);

  WorkerContext& context_;
  const ConnectionInfo& connection_;
};

}  // namespace sluice::engine
