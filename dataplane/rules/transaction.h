// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "dataplane/abi/verdict.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/result.h"
#include "dataplane/base/ulid.h"
#include "dataplane/rules/ruleset.h"

namespace sluice::http {
struct RequestHead;
struct ResponseHead;
}  // namespace sluice::http

namespace sluice::rules {

class CollectionTable;
class WorkerState;
struct TransactionState;
struct WorkerScratch;

/// What rules may know of a request beside its bytes.
struct TransactionInfo {
  base::IpAddress client, server;  ///< client: after client_address of the policy
  std::uint16_t client_port = 0, server_port = 0;
  std::uint64_t wall_ns = 0;       ///< CLOCK_REALTIME of its first byte
  std::uint64_t monotonic_ns = 0;  ///< of the worker's burst
  base::Ulid id{};                 ///< UNIQUE_ID: the event id
  /// By a generation beside the live one: its persistent collections are apart from those that
  /// count.
  bool staged = false;
  /// Switches of the policy (abi::strict_bit) that arguments and bodies are held against.
  std::uint64_t strict = 0;
};

inline constexpr std::uint16_t kNoOrigin = 0xffff;

/// One rule that matched, in the order of matching. Views live until release().
struct RuleMatch {
  std::uint32_t rule_index = 0;  ///< into Ruleset::rules(), the chain's first rule; rule_hits index
  std::uint32_t rule_id = 0;
  std::int32_t score = 0;       ///< added to the inbound or outbound score by this match
  std::uint8_t phase = 0;       ///< 1..5
  std::uint8_t severity = 255;  ///< 0..7, 255: none
  bool blocking = false;        ///< decided the verdict
  bool nolog = false;           ///< not to be reported
  /// The value of the request that matched last in its chain, for origin_of() and find_sent().
  std::uint16_t origin = kNoOrigin;
  /// Of a body that is not kept whole, of which nothing can be found any more: the bytes of it in
  /// which the value, or the piece of it that was judged, ended. 0, 0: of no such body.
  std::uint64_t body_from = 0, body_to = 0;
  std::string_view target;            ///< "ARGS:q": of the last value that matched
  base::Bytes value;                  ///< transformed, cut at kMatchValueBytesMax
  base::Bytes matched;                ///< the part of it that the operator found, where known
  base::Bytes source;                 ///< before its transformations, where they changed it; cut
  std::uint32_t value_total = 0;      ///< bytes before cutting
  std::string_view message, logdata;  ///< macros expanded
};

/// The name of a value of the request.
struct Origin {
  std::string_view collection, key;  ///< "REQUEST_HEADERS", "Authorization"; empty: not known
};

/// Bytes of the request as the client sent them, for a value that parsing has changed.
struct SentBytes {
  std::uint16_t origin;  ///< RuleMatch::origin
  base::Bytes bytes;     ///< in the request's head or body; empty: as parsed, or not known
};

/// Where to look after response bodies: see Transaction::wants_response_body().
enum class ResponseBodyNeed : std::uint8_t { kNone, kInspect };

/// One HTTP transaction before the rules: phases 1 to 5 in order. An object is a slot that is used
/// for one transaction after the other: begin() ... release(). All memory comes from the worker's
/// pools; nothing is allocated. A limit that is hit gives a blocking verdict with its reason
/// (rule_budget, transaction_memory, worker_memory, http_args, json_depth, ...).
///
/// Verdicts are those of the rules alone: kBlock where a disruptive action ran under SecRuleEngine
/// On, kMonitor under DetectionOnly; the caller applies the policy's modes. A verdict that is not
/// kPass stays the verdict of the transaction; later phases may still be run, to be recorded.
class Transaction {
 public:
  Transaction() = default;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() { release(); }

  /// Starts. `ruleset` and `worker` must stay until release(), and the ruleset must have been
  /// opened for at least as many workers as the worker's index says.
  void begin(const Ruleset& ruleset, WorkerState& worker, const TransactionInfo& info);
  [[nodiscard]] bool active() const { return state_ != nullptr; }

  // request_head(), request_body() and request_end() stop at the end of the worker's slice
  // (WorkerState::begin_slice): then working() says that the verdict is not known yet, and go_on()
  // must be called, slice after slice, before anything but finish() and release(). What is judged,
  // and in which order, is the same however often they stop.

  /// Phase 1. The views inside `head` must stay until release().
  abi::Verdict request_head(const http::RequestHead& head);
  /// Bytes of the body in order, without chunking; borrowed for the call.
  abi::Verdict request_body(base::Bytes bytes);
  /// The body is complete (also where there is none). Phase 2.
  abi::Verdict request_end();
  /// The last call has stopped before its end.
  [[nodiscard]] bool working() const;
  /// Goes on with it: at least one unit of work, and then to the end of the slice.
  abi::Verdict go_on();
  /// Phase 3. The views inside `head` must stay until release().
  abi::Verdict response_head(const http::ResponseHead& head);
  abi::Verdict response_body(base::Bytes bytes);
  /// Phase 4.
  abi::Verdict response_end();
  /// Phase 5: logging rules. They change no verdict. Of a call that has stopped the rest is given
  /// up.
  void finish();
  /// Gives the memory back. Views handed out end here.
  void release();

  /// The verdict so far.
  [[nodiscard]] abi::Verdict verdict() const;
  /// After response_head(): whether response_body() needs to be called at all.
  [[nodiscard]] ResponseBodyNeed wants_response_body() const;
  /// After request_end(): of TransactionInfo::strict, what the arguments failed, and the body where
  /// the rules have it read (SecRequestBodyAccess and a body processor).
  [[nodiscard]] std::uint64_t strict_failures() const;
  /// True if phases 1 and 2 have rules that look at the request body.
  [[nodiscard]] bool wants_request_body() const;
  [[nodiscard]] std::span<const RuleMatch> matches() const;
  /// What a match's value came from: targets such as TX:1 and MATCHED_VAR do not say it.
  [[nodiscard]] Origin origin_of(const RuleMatch& match) const;
  /// Finds what the client sent for each of `wanted`: the part of the query, form or JSON before it
  /// was unescaped, the target before the path was. Of a body with a Content-Encoding that is what
  /// it decodes to. Not known: long bodies that are not kept whole, XML, names of JSON members.
  /// O(head + body + values * wanted).
  void find_sent(std::span<SentBytes> wanted) const;
  [[nodiscard]] std::int32_t score_inbound() const;
  [[nodiscard]] std::int32_t score_outbound() const;
  /// False if a value was judged in windows, in part, or not at all.
  [[nodiscard]] bool exact() const;
  /// Body bytes that rules have seen.
  [[nodiscard]] std::uint64_t inspected_bytes() const;
  /// Steps of the budget that were taken so far (docs/limits.md).
  [[nodiscard]] std::uint64_t steps() const;
  /// Limits that were hit, by reason, in the order of hitting.
  [[nodiscard]] std::span<const abi::Reason> limits() const;
  /// Value of a TX variable now, empty if unset (tests, `rules test`).
  [[nodiscard]] std::string_view tx(std::string_view key) const;

 private:
  TransactionState* state_ = nullptr;
};

/// What one rule has cost, chain and all: transformations, confirmations and actions of its own.
/// The scans that all rules share are in none.
struct RuleCost {
  std::uint64_t ns = 0, evaluations = 0, matches = 0;
};

/// What one worker needs to judge whatever the ruleset: pools for transactions, scratch for
/// transformations and PCRE2, memo. Made before the worker starts. (Hyperscan's scratch is part of
/// a Ruleset, one per worker, because it depends on the databases.)
class WorkerState {
 public:
  struct Options {
    std::uint32_t index = 0;                    ///< of the worker, 0..kWorkersMax - 1
    std::size_t transaction_bytes = 64u << 20;  ///< pool of all transactions in flight
    std::size_t scratch_bytes = 16u << 20;      ///< transformed values of one phase
    std::uint64_t hash_seed = 0;                ///< 0: from the kernel
    bool memo = true;                           ///< false: every value is scanned, for benchmarks
    /// Persistent collections; outlives the state. Null: they stay empty.
    const CollectionTable* collections = nullptr;
    bool resident = false;  ///< all of it touched now, so that none is later

    /// Of memory that are mapped for it.
    [[nodiscard]] std::size_t bytes() const {
      return transaction_bytes + scratch_bytes + abi::kLongWorks * abi::kLongWorkArenaBytes;
    }
  };
  static base::Result<std::unique_ptr<WorkerState>> create(const Options& options);
  WorkerState(const WorkerState&) = delete;
  WorkerState& operator=(const WorkerState&) = delete;
  ~WorkerState();

  /// From now on calls of transactions stop (Transaction::working()) once together they have taken
  /// `cycles` of the TSC; 0: they never do, 1: each does one unit of work. O(1): the clock starts
  /// with the first of them.
  void begin_slice(std::uint64_t cycles);

  /// Since the start.
  struct Counts {
    std::uint64_t scans = 0, scan_bytes = 0;
    std::uint64_t regex_confirms = 0, memo_hits = 0, memo_misses = 0;
    std::uint64_t injection_looks = 0;  ///< values that libinjection read
    std::uint64_t collection_updates = 0, collection_evictions = 0, collections_full = 0;
  };
  [[nodiscard]] const Counts& counts() const;
  [[nodiscard]] std::size_t pool_bytes_used() const;
  /// Counts from now on by index of the rule (Ruleset::rules()); `costs` outlives this. Not for the
  /// wire: two clock readings for each rule evaluated. Empty: no longer.
  void set_rule_costs(std::span<RuleCost> costs);

 private:
  friend class Transaction;
  WorkerState() = default;
  std::unique_ptr<WorkerScratch> scratch_;
};

}  // namespace sluice::rules
