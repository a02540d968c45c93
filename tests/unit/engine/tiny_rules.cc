// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <string>

#include "dataplane/http/head.h"
#include "dataplane/http/strict_checks.h"
#include "dataplane/rules/transaction.h"

namespace sluice::rules {
namespace {
bool has(std::string_view text, std::string_view what) {
  return text.find(what) != std::string_view::npos;
}
}  // namespace
struct WorkerScratch {
  WorkerState::Counts counts;
};
struct TransactionState {
  abi::Verdict verdict;
  char tail[16];
  std::size_t tail_bytes;
  RuleMatch match;
  bool matched;
  bool wants;
  bool bad_body;
  bool used;
};
static TransactionState pool[512];
struct Ruleset::Prepared {};
base::Result<std::unique_ptr<Ruleset>> Ruleset::open(base::Bytes image, std::uint32_t,
                                                     abi::ImageError&) {
  std::unique_ptr<Ruleset> r(new Ruleset());
  r->image_ = image;
  return r;
}
Ruleset::~Ruleset() = default;
WorkerState::~WorkerState() = default;
base::Result<std::unique_ptr<WorkerState>> WorkerState::create(const Options&) {
  std::unique_ptr<WorkerState> w(new WorkerState());
  w->scratch_ = std::make_unique<WorkerScratch>();
  return w;
}
const WorkerState::Counts& WorkerState::counts() const { return scratch_->counts; }
void Transaction::begin(const Ruleset&, WorkerState&, const TransactionInfo&) {
  for (auto& s : pool)
    if (!s.used) {
      s = TransactionState{};
      s.used = true;
      state_ = &s;
      return;
    }
}
static abi::Verdict hit(TransactionState* s, std::uint8_t phase, std::uint32_t id) {
  if (s->verdict.action != abi::Action::kBlock) {
    s->verdict = {abi::Action::kBlock, abi::Reason::kRules, 403, phase, id, 0};
    s->match.rule_id = id;
    s->match.phase = phase;
    s->match.blocking = true;
    s->match.target = "ARGS:q";
    s->matched = true;
  }
  return s->verdict;
}
abi::Verdict Transaction::request_head(const http::RequestHead& head) {
  bool bad = has(head.target, "attack");
  for (const auto& f : head.fields) bad = bad || has(f.value, "attack");
  state_->wants = has(head.target, "leaky");
  return bad ? hit(state_, 1, 100) : state_->verdict;
}
abi::Verdict Transaction::request_body(base::Bytes bytes) {
  std::string text(state_->tail, state_->tail_bytes);
  (void)text;
  for (auto b : bytes) {
    static constexpr char kWord[] = "attack";
    if (b == static_cast<std::uint8_t>(kWord[state_->tail_bytes])) {
      if (++state_->tail_bytes == 6) {
        state_->bad_body = true;
        state_->tail_bytes = 0;
      }
    } else
      state_->tail_bytes = b == 'a' ? 1 : 0;
  }
  return state_->verdict;
}
abi::Verdict Transaction::request_end() {
  return state_->bad_body ? hit(state_, 2, 200) : state_->verdict;
}
abi::Verdict Transaction::response_head(const http::ResponseHead& head) {
  return head.find("x-leak") != nullptr ? hit(state_, 3, 300) : state_->verdict;
}
abi::Verdict Transaction::response_body(base::Bytes bytes) {
  if (has(base::as_text(bytes), "secret")) state_->bad_body = true;
  return state_->verdict;
}
abi::Verdict Transaction::response_end() {
  return state_->bad_body && state_->wants ? hit(state_, 4, 400) : state_->verdict;
}
void Transaction::finish() {}
void Transaction::release() {
  if (state_) state_->used = false;
  state_ = nullptr;
}
abi::Verdict Transaction::verdict() const { return state_->verdict; }
ResponseBodyNeed Transaction::wants_response_body() const {
  return state_->wants ? ResponseBodyNeed::kInspect : ResponseBodyNeed::kNone;
}
bool Transaction::wants_request_body() const { return true; }
std::span<const RuleMatch> Transaction::matches() const {
  return {&state_->match, state_->matched ? 1U : 0U};
}
std::int32_t Transaction::score_inbound() const { return 0; }
std::int32_t Transaction::score_outbound() const { return 0; }
bool Transaction::exact() const { return true; }
}  // namespace sluice::rules
