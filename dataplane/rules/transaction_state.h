// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

#include "dataplane/abi/actions.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/abi/variables.h"
#include "dataplane/http/content_type.h"
#include "dataplane/http/head.h"
#include "dataplane/rules/candidates.h"
#include "dataplane/rules/memory_pool.h"
#include "dataplane/rules/transaction.h"
#include "dataplane/rules/tx_store.h"
#include "dataplane/rules/value_table.h"
#include "dataplane/rules/worker_scratch.h"

namespace sluice::rules {

/// A value that matched, for MATCHED_VAR(S) and for messages.
struct MatchedVariable {
  VariableId variable;  ///< of the target
  bool keyed;           ///< a member of a collection: the name is VARIABLE:key
  Item item;            ///< what it was before its transformations, if it is one of the values
  std::string_view key;
  Bytes value;  ///< transformed
};

/// What a `ctl:ruleRemove*` of this transaction says.
struct RuleRemoval {
  const abi::RuleAction* action;
  std::string_view text;  ///< tag or message
};

/// A body on its way: kept whole up to `limit`.
struct BodyBuffer {
  std::uint8_t* data = nullptr;
  std::size_t size = 0, capacity = 0;
  std::uint64_t total = 0;  ///< bytes that came, kept or not
  bool cut = false;         ///< more came than is kept
  [[nodiscard]] Bytes view() const { return {data, size}; }
};

/// The key that initcol gave a persistent collection.
struct CollectionKey {
  std::string_view text;
  const abi::RuleAction* late = nullptr;  ///< not made yet: its initcol
};
inline constexpr std::size_t kCollectionCount = 5;  ///< GLOBAL, IP, RESOURCE, SESSION, USER

class LongBody;
struct StoppedChain;

/// What is left of a call that stopped at the end of its slice; see Transaction::go_on().
enum class Stage : std::uint8_t {
  kDone,
  kLongBody,     ///< pieces of a long body, and its batches
  kLongBodyEnd,  ///< the same, then what is known at its end only
  kBody,         ///< pieces of a body that is kept whole
  kScan,
  kRules,
};

/// Everything of one transaction. Lies in its own region.
struct TransactionState {
  const Ruleset* ruleset = nullptr;
  WorkerScratch* worker = nullptr;
  TransactionInfo info;
  Region region;
  const http::RequestHead* request = nullptr;
  const http::ResponseHead* response = nullptr;

  ValueTable values;
  TxStore tx;
  Candidates candidates;
  std::uint64_t header_facts = 0;  ///< HeaderFacts of the headers so far
  BodyBuffer request_body, response_body;
  std::int32_t batches_inbound = 0;  ///< the largest inbound score in a batch of a long body
  LongBody* long_body = nullptr;     ///< reads the request body once it is too long to be kept
  /// REQUEST_BODY before a rule asks for it: where a parser has read the body, rule sets take the
  /// raw one out of their targets again, and scanning it would be the largest part of the work.
  std::uint16_t unscanned_body = kNoValue;

  // Where go_on() goes on.
  Stage stage = Stage::kDone;
  bool stops = false;               ///< this call may stop at the end of the slice
  std::uint32_t next_scan = 0;      ///< kScan: Item::code of the next value or name
  std::uint32_t next_position = 0;  ///< kRules: into the phase's list
  StoppedChain* stopped = nullptr;  ///< kRules: a chain that stops between two of its values
  LongWork* long_work = nullptr;    ///< a body or value that stops between two pieces or scans

  // Of the rule that is being evaluated.
  std::uint32_t matched_count = 0;  ///< since the last rule that did not match
  MatchedVariable* matched = nullptr;
  const abi::Rule* current_rule = nullptr;

  abi::Verdict verdict;
  abi::EngineMode engine = abi::EngineMode::kOn;
  http::BodyProcessor processor = http::BodyProcessor::kNone;
  bool force_request_body = false;  ///< ctl:forceRequestBodyVariable
  bool body_error = false;          ///< the processor could not read the body
  std::uint16_t status = 200;
  std::uint8_t phase = 0;
  std::uint8_t allow_phases = 0;  ///< bit n: rules of phase n are passed over
  std::uint8_t highest_severity = 255;
  bool request_body_access = true, response_body_access = false;
  bool exact = true;
  bool ended_request = false, ended_response = false;
  bool finished = false;

  RuleMatch* matches = nullptr;
  std::uint32_t match_count = 0, match_capacity = 0;
  std::array<RuleRemoval, abi::kRuleRemovalsMax>* removals = nullptr;
  std::uint32_t removal_count = 0;
  std::array<abi::Reason, 8> limits{};
  std::uint8_t limit_count = 0;
  std::uint64_t steps_left = abi::kRuleStepsBase, steps_spent = 0;
  SqliWork sqli;                ///< of libinjection
  base::Hash128 sqli_beyond{};  ///< the last value that was beyond its limit: it is so once more
  std::uint64_t inspected_bytes = 0;
  std::uint64_t strict_failures = 0;                              ///< of info.strict: strict_body.h
  std::uint64_t request_body_limit = 0, response_body_limit = 0;  ///< bytes; 0: none
  std::array<CollectionKey, kCollectionCount> collection_keys;
  bool ran_deferred = false;  ///< the rules that keys of collections wait for
  /// A part of a long body, whose values begin at batch_first. The rules run once more for the rest
  /// of the request, so only chains that match a value of the batch change persistent collections.
  bool is_batch = false;
  std::uint32_t batch_first = 0;
  bool persists = true;  ///< whether the chain that is being evaluated may

  [[nodiscard]] std::string_view text(abi::StringRef ref) const { return ruleset->text(ref); }
  [[nodiscard]] const abi::RulesetHeader& header() const { return ruleset->header(); }

  /// A limit was hit: the verdict becomes a block with that reason, unless there is one already.
  void fail(abi::Reason reason);
  /// No memory for something: names what was full and fails.
  void fail_memory() {
    fail(region.bound_hit() ? abi::Reason::kTransactionMemory : abi::Reason::kWorkerMemory);
  }
  /// Bytes that came to be judged bring the steps for them.
  void grant(std::size_t bytes) { steps_left += bytes * abi::kRuleStepsPerByte; }
  /// Takes `steps` from the budget; false, once, and kRuleBudget when it is used up.
  bool spend(std::uint64_t steps) {
    if (steps_left >= steps) {
      steps_left -= steps;
      steps_spent += steps;
      return true;
    }
    steps_left = 0;
    fail(abi::Reason::kRuleBudget);
    return false;
  }
  [[nodiscard]] bool failed() const { return limit_count > 0; }
  /// Between two units of work: whether the rest waits for the next slice.
  [[nodiscard]] bool slice_over() const { return stops && worker->slice.is_over(steps_spent); }
  /// The same behind a unit that may have taken long without a step.
  [[nodiscard]] bool slice_over_now() const {
    if (stops) worker->slice.look_soon();
    return slice_over();
  }
  /// The place of a long body or value goes back, and what of it is not done stays so.
  void give_up_work() {
    if (long_work == nullptr) return;
    long_work->arena.reset();
    long_work->is_taken = false;
    long_work = nullptr;
  }
  /// Bytes from which on a body or a value stops within itself, where slices are not the smallest.
  [[nodiscard]] std::size_t least_to_stop(std::size_t bytes) const {
    if (!stops || !worker->slice.is_limited()) return std::numeric_limits<std::size_t>::max();
    return worker->slice.ends_with_each_unit() ? 0 : bytes;
  }
  /// A copy that lives as long as the transaction; fails and gives an empty text when full.
  std::string_view keep(std::string_view text);
  Bytes keep(Bytes bytes) { return base::as_bytes(keep(base::as_text(bytes))); }
};

}  // namespace sluice::rules
