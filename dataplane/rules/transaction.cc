// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/transaction.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#include "dataplane/rules/evaluator.h"
#include "dataplane/rules/long_body.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/request_parts.h"
#include "dataplane/rules/scanner.h"
#include "dataplane/rules/score_slots.h"
#include "dataplane/rules/sent_bytes.h"
#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

void TransactionState::fail(abi::Reason reason) {
  for (std::uint8_t i = 0; i < limit_count; ++i) {
    if (limits[i] == reason) return;
  }
  if (limit_count < limits.size()) limits[limit_count++] = reason;
  exact = false;
  const abi::Action action =
      engine == abi::EngineMode::kOn ? abi::Action::kBlock : abi::Action::kMonitor;
  if (action > verdict.action) verdict = {action, reason, 403, phase, 0, 0};
}

std::string_view TransactionState::keep(std::string_view text) {
  if (text.empty()) return {};
  auto* to = static_cast<char*>(region.allocate(text.size(), 1));
  if (to == nullptr) {
    fail_memory();
    return {};
  }
  std::memcpy(to, text.data(), text.size());
  return {to, text.size()};
}

namespace {

/// Ends one call into the transaction: nothing in the worker's arena lives longer.
class ArenaScope {
 public:
  /// stops: the call may leave the rest to go_on() at the end of the slice.
  explicit ArenaScope(TransactionState& state, bool stops = false) : state_(state) {
    state.worker->arena.reset();
    state.worker->slice.start();
    state.stops = stops;
  }
  ~ArenaScope() {
    state_.worker->arena.reset();
    state_.matched_count = 0;
  }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  TransactionState& state_;
};

/// The values that the call has added are to be scanned, then the rules of its phase run.
void begin_phase(TransactionState& state, std::uint8_t phase) {
  state.phase = phase;
  state.stage = Stage::kScan;
  state.next_scan = 2 * state.values.size();
  state.next_position = 0;
}

/// Works off what the call has to do, or as much of it as the slice allows.
void run_stages(TransactionState& state) {
  if (state.stage == Stage::kLongBody || state.stage == Stage::kLongBodyEnd) {
    if (!go_on_long_body(state)) return;
    state.stage = state.stage == Stage::kLongBody ? Stage::kDone : Stage::kScan;
  }
  if (state.stage == Stage::kBody) {
    if (!state.failed() && !add_request_body(state)) return;
    state.stage = Stage::kScan;
    if (state.slice_over_now()) return;
  }
  if (state.stage == Stage::kScan) {
    if (!scan_values(state)) return;
    state.stage = state.failed() ? Stage::kDone : Stage::kRules;
    if (state.stage == Stage::kRules && state.slice_over()) return;
  }
  if (state.stage == Stage::kRules) {
    if (!run_phase(state, state.phase)) return;
    state.stage = Stage::kDone;
  }
}

/// Body bytes that are kept: what the rules say, at most what a transaction may keep.
std::uint64_t kept_bytes(std::uint64_t limit, abi::LimitAction action) {
  constexpr std::uint64_t kMost = abi::kBodyBytesKept - 4096;
  return limit != 0 && action == abi::LimitAction::kProcessPartial ? std::min(limit, kMost) : kMost;
}

/// More text nodes, each a value, than a transaction should hold: read in batches, like a long
/// body. (What is compressed was not read yet; there the number of values is bounded as
/// everywhere.)
bool has_many_xml_texts(const TransactionState& state) {
  if (state.processor != http::BodyProcessor::kXml || !state.ruleset->reads_xml_texts() ||
      state.request->find(http::FieldId::kContentEncoding) != nullptr) {
    return false;
  }
  const base::Bytes body = state.request_body.view();
  return std::count(body.begin(), body.end(), '<') > abi::kXmlTextsMax;
}

}  // namespace

void Transaction::begin(const Ruleset& ruleset, WorkerState& worker, const TransactionInfo& info) {
  release();
  Region region;
  region.begin(worker.scratch_->pool, abi::kTransactionBytesMax);
  void* memory = region.allocate(sizeof(TransactionState), alignof(TransactionState));
  if (memory == nullptr) return;  // verdict() says kWorkerMemory
  state_ = new (memory) TransactionState;
  TransactionState& state = *state_;
  state.region = region;
  state.ruleset = &ruleset;
  state.worker = worker.scratch_.get();
  ++state.worker->transactions;
  state.info = info;
  state.values.begin();
  state.engine = ruleset.settings().engine;
  state.request_body_limit = ruleset.settings().request_body_limit;
  state.response_body_limit = ruleset.settings().response_body_limit;
  state.request_body_access = ruleset.settings().request_body_access != 0;
  state.response_body_access = ruleset.settings().response_body_access != 0;
  if (!state.tx.begin(ruleset, state.region) ||
      !state.candidates.begin(ruleset.header().check_count, state.region)) {
    state.fail_memory();
  }
}

abi::Verdict Transaction::verdict() const {
  if (state_ != nullptr) return state_->verdict;
  return {abi::Action::kBlock, abi::Reason::kWorkerMemory, 503, 0, 0, 0};
}

abi::Verdict Transaction::request_head(const http::RequestHead& head) {
  if (state_ == nullptr) return verdict();
  TransactionState& state = *state_;
  const ArenaScope scope(state, true);
  state.request = &head;
  state.inspected_bytes += head.raw.size();
  state.grant(head.raw.size());
  begin_phase(state, 1);
  add_request_head(state, head);
  run_stages(state);
  return state.verdict;
}

abi::Verdict Transaction::request_body(base::Bytes bytes) {
  if (state_ == nullptr) return verdict();
  TransactionState& state = *state_;
  if (!state.request_body_access || state.failed()) return state.verdict;
  state.grant(bytes.size());
  const abi::RulesetSettings& settings = state.header().settings;
  const bool rejects = settings.request_limit_action == abi::LimitAction::kReject;
  if (rejects && state.request_body_limit != 0 &&
      state.request_body.total + bytes.size() > state.request_body_limit) {
    state.fail(abi::Reason::kBodyTooLarge);
    return state.verdict;
  }
  const std::uint64_t limit = kept_bytes(state.request_body_limit, settings.request_limit_action);
  const bool partial = state.request_body_limit != 0 &&
                       settings.request_limit_action == abi::LimitAction::kProcessPartial;
  if (state.long_body != nullptr || (!partial && state.request_body.size + bytes.size() > limit)) {
    const ArenaScope scope(state, true);
    state.exact = false;
    state.stage = Stage::kLongBody;
    if (state.long_body == nullptr) {
      start_long_body(state, bytes);
    } else {
      feed_long_body(state, bytes);
    }
    run_stages(state);
    return state.verdict;
  }
  if (!append_body(state, state.request_body, bytes, limit)) state.exact = false;
  return state.verdict;
}

abi::Verdict Transaction::request_end() {
  if (state_ == nullptr) return verdict();
  TransactionState& state = *state_;
  if (state.request == nullptr || state.ended_request) return state.verdict;
  state.ended_request = true;
  const ArenaScope scope(state, true);
  begin_phase(state, 2);
  if (state.long_body == nullptr && !state.failed() && has_many_xml_texts(state)) {
    state.exact = false;
    start_long_body(state, {});
  }
  if (state.long_body != nullptr) {
    state.inspected_bytes += state.request_body.total;
    state.stage = Stage::kLongBodyEnd;
  } else {
    state.inspected_bytes += state.request_body.size;
    state.stage = Stage::kBody;
  }
  run_stages(state);
  return state.verdict;
}

bool Transaction::working() const { return state_ != nullptr && state_->stage != Stage::kDone; }

abi::Verdict Transaction::go_on() {
  if (!working()) return verdict();
  const ArenaScope scope(*state_, true);
  run_stages(*state_);
  return state_->verdict;
}

abi::Verdict Transaction::response_head(const http::ResponseHead& head) {
  if (state_ == nullptr) return verdict();
  TransactionState& state = *state_;
  const ArenaScope scope(state);
  state.response = &head;
  begin_phase(state, 3);
  add_response_head(state, head);
  run_stages(state);
  return state.verdict;
}

abi::Verdict Transaction::response_body(base::Bytes bytes) {
  if (state_ == nullptr) return verdict();
  TransactionState& state = *state_;
  const abi::RulesetSettings& settings = state.header().settings;
  const std::uint64_t limit = kept_bytes(state.response_body_limit, settings.response_limit_action);
  state.grant(bytes.size());
  if (!append_body(state, state.response_body, bytes, limit)) state.exact = false;
  return state.verdict;
}

abi::Verdict Transaction::response_end() {
  if (state_ == nullptr) return verdict();
  TransactionState& state = *state_;
  if (state.response == nullptr || state.ended_response) return state.verdict;
  state.ended_response = true;
  const ArenaScope scope(state);
  begin_phase(state, 4);
  add_response_body(state);
  run_stages(state);
  return state.verdict;
}

void Transaction::finish() {
  if (state_ == nullptr || state_->finished || state_->request == nullptr) return;
  state_->finished = true;
  const ArenaScope scope(*state_);
  if (working()) {
    state_->exact = false;
    give_up_stopped(*state_);
  }
  begin_phase(*state_, 5);
  (void)run_phase(*state_, 5);
  state_->stage = Stage::kDone;
}

void Transaction::release() {
  if (state_ == nullptr) return;
  Region region = state_->region;
  state_->give_up_work();
  if (state_->long_body != nullptr) drop_long_body(*state_);
  state_ = nullptr;
  region.release();
}

ResponseBodyNeed Transaction::wants_response_body() const {
  if (state_ == nullptr || state_->response == nullptr) return ResponseBodyNeed::kNone;
  const TransactionState& state = *state_;
  // All that add_response_body() sets.
  const bool used = is_used(state, VariableId::kResponseBody) ||
                    is_used(state, VariableId::kResponseContentLength) ||
                    is_used(state, VariableId::kOutboundDataError);
  if (!state.response_body_access || state.engine == abi::EngineMode::kOff || !used) {
    return ResponseBodyNeed::kNone;
  }
  const http::Field* type = state.response->find(http::FieldId::kContentType);
  const std::string_view name =
      type == nullptr ? std::string_view() : type->value.substr(0, type->value.find(';'));
  for (const abi::StringRef& listed :
       state.ruleset->array<abi::StringRef>(state.header().settings.response_mime_types)) {
    if (abi::equal_ignoring_case(state.text(listed), name)) return ResponseBodyNeed::kInspect;
  }
  return ResponseBodyNeed::kNone;
}

bool Transaction::wants_request_body() const {
  return state_ != nullptr && state_->request_body_access;
}

std::span<const RuleMatch> Transaction::matches() const {
  if (state_ == nullptr) return {};
  return {state_->matches, state_->match_count};
}

Origin Transaction::origin_of(const RuleMatch& match) const {
  if (state_ == nullptr || match.origin == kNoOrigin) return {};
  const Value& value = state_->values.at(match.origin >> 1);
  return {abi::variable_info(value.variable).name, value.key()};
}

void Transaction::find_sent(std::span<SentBytes> wanted) const {
  if (state_ != nullptr) find_sent_bytes(*state_, wanted);
}

std::int32_t Transaction::score_inbound() const {
  if (state_ == nullptr) return 0;
  return std::max(state_->ruleset->score_slots().inbound(state_->tx), state_->batches_inbound);
}

std::int32_t Transaction::score_outbound() const {
  if (state_ == nullptr) return 0;
  return state_->ruleset->score_slots().outbound(state_->tx);
}

bool Transaction::exact() const { return state_ != nullptr && state_->exact; }
std::uint64_t Transaction::inspected_bytes() const {
  return state_ == nullptr ? 0 : state_->inspected_bytes;
}
std::uint64_t Transaction::strict_failures() const {
  return state_ == nullptr ? 0 : state_->strict_failures;
}
std::uint64_t Transaction::steps() const { return state_ == nullptr ? 0 : state_->steps_spent; }
std::span<const abi::Reason> Transaction::limits() const {
  if (state_ == nullptr) return {};
  return {state_->limits.data(), state_->limit_count};
}
std::string_view Transaction::tx(std::string_view key) const {
  if (state_ == nullptr) return {};
  const std::uint32_t index = state_->tx.find(key);
  return index == TxStore::kNotFound ? std::string_view() : state_->tx.value(index);
}

}  // namespace sluice::rules
