// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/evaluator.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "dataplane/base/clock.h"
#include "dataplane/rules/actions.h"
#include "dataplane/rules/matcher.h"
#include "dataplane/rules/matches.h"
#include "dataplane/rules/phase_plan.h"
#include "dataplane/rules/scalars.h"
#include "dataplane/rules/scanner.h"
#include "dataplane/rules/stopped_chain.h"
#include "dataplane/rules/targets.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {

namespace {

/// What a member of MATCHED_VARS was before its transformations: at its place among them, unless
/// some are left out there. O(matches).
Item matched_item(const TransactionState& state, Bytes value, std::size_t place) {
  const auto is_it = [value](const MatchedVariable& each) {
    return each.value.data() == value.data() && each.value.size() == value.size();
  };
  if (place < state.matched_count && is_it(state.matched[place])) return state.matched[place].item;
  for (std::uint32_t i = state.matched_count; i > 0; --i) {
    if (is_it(state.matched[i - 1])) return state.matched[i - 1].item;
  }
  return {};
}

bool note_match(TransactionState& state, const TargetValue& target, Item item, Bytes value,
                ChainRun& run) {
  if (run.is_first_match) state.matched_count = 0;
  run.is_first_match = false;
  if (state.matched == nullptr) {
    state.matched = state.region.allocate_array<MatchedVariable>(abi::kMatchedVarsMax);
    if (state.matched == nullptr) {
      state.fail_memory();
      return false;
    }
  }
  // Full: the last place goes on to hold the latest.
  if (state.matched_count == abi::kMatchedVarsMax) --state.matched_count;
  state.matched[state.matched_count++] = {target.variable, target.keyed, item, target.key, value};
  return true;
}

/// The operator on one form of a value, with everything that a match does at once.
bool test(TransactionState& state, const abi::Rule& rule, const TargetValue& target, Bytes value,
          ChainRun& run) {
  Bytes found;
  const MatchOutcome outcome = match_operator(state, rule, value, found);
  if (outcome == MatchOutcome::kLimit) {
    state.fail(abi::Reason::kRuleBudget);
    return false;
  }
  const bool negated = (rule.flags & abi::kRuleNegated) != 0;
  if ((outcome == MatchOutcome::kMatch) == negated) return false;
  // Links on MATCHED_* look at what an earlier one has transformed: its source is theirs, and what
  // it found stands where they find nothing themselves (`!@rx`).
  const bool looks_back =
      target.variable == VariableId::kMatchedVar || target.variable == VariableId::kMatchedVars;
  const Item item = looks_back ? matched_item(state, target.value, run.place) : target.item;
  if (item.exists()) run.origin = item;
  if (run.is_first_match || !looks_back) {
    run.source = target.value;
  } else if (item.exists()) {
    // Of several values that an earlier link took, this one.
    const Value& origin = state.values.at(item.value());
    run.source = item.is_name() ? base::as_bytes(origin.key()) : origin.view();
  }
  if (run.is_first_match || !looks_back || !found.empty()) run.found = found;
  if (!note_match(state, target, item, value, run)) return false;
  run.of_batch |= target.item.exists() && target.item.value() >= state.batch_first;
  state.persists = !state.is_batch || run.of_batch;
  run.score += run_set_actions(state, rule);
  return true;
}

/// Every form that the chain's transformations give the value, where one changed it.
bool test_each_form(TransactionState& state, const abi::Rule& rule, const TargetValue& target,
                    ChainRun& run) {
  const auto nodes = state.ruleset->array<abi::TransformNode>(state.header().nodes);
  std::uint16_t path[32];
  std::size_t depth = 0;
  for (std::uint16_t at = rule.node; at != 0 && depth < std::size(path); at = nodes[at].parent) {
    path[depth++] = at;
  }
  bool matched = test(state, rule, target, target.value, run);
  Bytes before = target.value;
  while (depth > 0) {
    const Bytes after = transform(state, path[--depth], target.value);
    const bool changed =
        after.size() != before.size() || !std::equal(after.begin(), after.end(), before.begin());
    if (changed && test(state, rule, target, after, run)) matched = true;
    before = after;
  }
  return matched;
}

bool test_value(TransactionState& state, const abi::Rule& rule, const TargetValue& target,
                ChainRun& run) {
  if ((rule.flags & abi::kRuleMultiMatch) != 0) return test_each_form(state, rule, target, run);
  return test(state, rule, target, transform(state, rule.node, target.value), run);
}

/// Whether the client is none that an `@ipMatch` on REMOTE_ADDR is for.
bool is_other_client(const TransactionState& state, const abi::Rule& rule,
                     const abi::RuleTarget& target) {
  const auto id = static_cast<abi::OperatorId>(rule.operator_id);
  if (id != abi::OperatorId::kIpMatch && id != abi::OperatorId::kIpMatchFromFile) return false;
  return static_cast<VariableId>(target.variable) == VariableId::kRemoteAddr &&
         target.is_count == 0 && rule.node == 0 &&
         is_client_in_set(state, rule) == ((rule.flags & abi::kRuleNegated) != 0);
}

/// What collect() gave before the slice: the same as then, at no steps.
std::span<const TargetValue> collect_again(TransactionState& state, const abi::RuleTarget& target,
                                           const CandidateSet* candidates, std::uint16_t& next) {
  const std::uint64_t left = std::exchange(state.steps_left, ~std::uint64_t{0});
  const std::uint64_t spent = state.steps_spent;
  const std::span<const TargetValue> values = collect(state, target, candidates, &next);
  state.steps_left = left;
  state.steps_spent = spent;
  state.worker->slice.go_on();
  return values;
}

/// The values of a target, from where it stopped if it did. Between two of those that a scan has a
/// name for, which nothing changes meanwhile, the chain may stop.
bool test_target(TransactionState& state, const abi::Rule& rule, const abi::RuleTarget& target,
                 const StoppedTarget* stopped, ChainRun& run) {
  if (state.removal_count > 0 && is_target_removed(state, rule, target)) return false;
  if (is_other_client(state, rule, target)) return false;
  if (target.is_count != 0) {
    const std::string_view number = number_text(state, count_values(state, target));
    const std::string_view key = state.text(target.key);
    const auto variable = static_cast<VariableId>(target.variable);
    return test_value(state, rule, {base::as_bytes(number), key, variable, !key.empty(), {}}, run);
  }
  bool matched = false;
  const bool scanned = (rule.flags & abi::kRuleScanned) != 0;
  const CandidateSet wanted(state.candidates, scanned ? rule.check : abi::kNone32,
                            state.worker->candidate_bits);
  const CandidateSet* candidates = scanned ? &wanted : nullptr;
  StoppedTarget at = stopped != nullptr ? *stopped : StoppedTarget{};
  bool goes_on = stopped != nullptr, has_tested = false;
  for (;;) {
    std::uint16_t next = at.first;
    const auto values = std::exchange(goes_on, false)
                            ? collect_again(state, target, candidates, next)
                            : collect(state, target, candidates, &next);
    for (; at.value < values.size(); ++at.value) {
      const TargetValue& value = values[at.value];
      if (has_tested && value.item.exists() && state.slice_over() && stop_chain(state, run)) {
        state.stopped->at = at;
        return matched;
      }
      has_tested = true;
      if (state.removal_count > 0 && is_value_removed(state, rule, value)) continue;
      if (!state.spend(1)) return matched;
      run.place = at.before + at.value;
      if (test_value(state, rule, value, run)) matched = true;
    }
    if (next == kNoValue || state.failed()) return matched;
    at = {next, at.before + values.size(), 0};
  }
}

/// One rule or link, without its actions after the match. is_stopped(): it is not known yet.
bool match_link(TransactionState& state, const abi::Rule& rule, ChainRun& run) {
  state.current_rule = &rule;
  if ((rule.flags & abi::kRuleHasOperator) == 0) {
    state.persists = !state.is_batch || run.of_batch;
    run.score += run_set_actions(state, rule);
    return true;
  }
  const std::size_t arena_used = state.worker->arena.used();
  bool matched = false;
  std::uint32_t first_target = 0;
  const StoppedTarget* stopped = nullptr;
  if (is_stopped(state)) {
    state.stopped->is_stopped = false;
    matched = state.stopped->has_matched;
    first_target = state.stopped->target;
    stopped = &state.stopped->at;
  }
  const auto targets = state.ruleset->array<abi::RuleTarget>(state.header().targets)
                           .subspan(rule.first_target, rule.target_count);
  for (std::uint32_t i = first_target; i < rule.target_count; ++i) {
    if (test_target(state, rule, targets[i], std::exchange(stopped, nullptr), run)) matched = true;
    if (is_stopped(state)) {
      state.stopped->has_matched = matched;
      state.stopped->target = i;
      return false;
    }
  }
  if (!matched) {
    state.matched_count = 0;
    state.worker->arena.shrink_to(arena_used);
  }
  return matched;
}

/// is_stopped(): it is not known yet, and the next call goes on.
bool match_chain(TransactionState& state, std::uint32_t index, ChainRun& run) {
  const auto rules = state.ruleset->rules();
  if (is_stopped(state)) {
    run = state.stopped->run;
    index = state.stopped->link;
    state.matched_count = state.stopped->matched_count;
  }
  for (;;) {
    const abi::Rule& rule = rules[index];
    const bool matched = match_link(state, rule, run);
    if (is_stopped(state)) state.stopped->link = index;
    if (!matched) return false;
    if (run.count < kChainLinksMax) run.links[run.count++] = &rule;
    if (rule.next_link == abi::kNone32) return (rule.flags & abi::kRuleUnfinished) == 0;
    index = rule.next_link;
  }
}

const abi::RuleText& last_text(const ChainRun& run, abi::RuleText abi::Rule::*member) {
  const abi::RuleText* found = &(run.links[0]->*member);
  for (std::size_t i = run.count; i > 1 && found->part_count == 0; --i) {
    found = &(run.links[i - 1]->*member);
  }
  return *found;
}

/// What matched; a SecAction has no value.
void set_value(TransactionState& state, const ChainRun& run, RuleMatch& match) {
  const MatchedVariable& last = state.matched[state.matched_count - 1];
  match.target = state.keep(full_name(state, last.variable, last.keyed, last.key));
  match.value_total = static_cast<std::uint32_t>(last.value.size());
  const bool gone = state.is_batch && run.of_batch;
  match.origin = gone ? kNoValue : run.origin.code;
  match.body_to = gone ? 1 : 0;  // the reader of the body says where (LongBody)
  match.value = state.keep(last.value.first(std::min(last.value.size(), abi::kMatchValueBytesMax)));
  if (run.source.size() != last.value.size() ||
      !std::equal(run.source.begin(), run.source.end(), last.value.begin())) {
    match.source =
        state.keep(run.source.first(std::min(run.source.size(), abi::kMatchValueBytesMax)));
  }
  match.matched = state.keep(run.found.first(std::min(run.found.size(), abi::kMatchValueBytesMax)));
}

void report(TransactionState& state, const ChainRun& run, bool blocking) {
  const abi::Rule& starter = *run.links[0];
  const bool nolog = (starter.flags & abi::kRuleNolog) != 0;
  if ((nolog && !blocking) || !takes_match(state, blocking)) return;
  if (!blocking && state.long_body != nullptr && is_reported(state, starter.starter)) return;
  const std::string_view message = expand_kept(state, last_text(run, &abi::Rule::message));
  const std::string_view logdata = expand_kept(state, last_text(run, &abi::Rule::logdata));
  RuleMatch match;
  match.rule_index = starter.starter;
  match.rule_id = starter.id;
  match.score = run.score;
  match.phase = state.phase;
  match.severity = starter.severity;
  match.blocking = blocking;
  match.nolog = nolog;
  match.message = message;
  match.logdata = logdata;
  if (!run.is_first_match && state.matched_count > 0) set_value(state, run, match);
  add_match(state, match);
}

void allow(TransactionState& state, abi::AllowScope scope) {
  switch (scope) {
    case abi::AllowScope::kAll:
      state.allow_phases |= 0b11110;
      break;
    case abi::AllowScope::kPhase:
      state.allow_phases = static_cast<std::uint8_t>(state.allow_phases | 1u << state.phase);
      break;
    case abi::AllowScope::kRequest:
      state.allow_phases |= 0b00110;
      break;
  }
}

/// The disruptive action of a chain that matched. True if it decided the verdict.
bool disrupt(TransactionState& state, const abi::Rule& starter) {
  if (state.engine == abi::EngineMode::kOff || state.phase == abi::kPhaseCount) return false;
  const bool on = state.engine == abi::EngineMode::kOn;
  if ((starter.flags & abi::kRuleAllow) != 0 && on) allow(state, starter.allow_scope);
  if ((starter.flags & abi::kRuleBlocks) == 0) return false;
  const abi::Action action = on ? abi::Action::kBlock : abi::Action::kMonitor;
  if (action <= state.verdict.action) return false;
  const bool redirects = (starter.flags & abi::kRuleRedirect) != 0;
  std::uint16_t status = state.status;
  if (redirects) {
    if (status < 301 || status > 307) status = 302;
  } else if (status == 200) {
    status = 403;
  }
  state.verdict = {action, abi::Reason::kRules, status, state.phase, starter.id, 0};
  return true;
}

/// After-match actions: the last link first, the starter last. Returns the position to go on at.
std::uint32_t run_after_match(TransactionState& state, const ChainRun& run, std::uint32_t next) {
  std::uint32_t jump = next;
  for (std::size_t i = run.count; i > 0; --i) {
    const abi::Rule& link = *run.links[i - 1];
    state.current_rule = &link;
    run_after_actions(state, link);
    if (link.status != 0) state.status = link.status;
    if (link.jump != abi::kNone32) jump = std::max(next, link.jump);
    if (link.severity < state.highest_severity) state.highest_severity = link.severity;
  }
  report(state, run, disrupt(state, *run.links[0]));
  return jump;
}

/// match_chain() with its time on the rule's account.
bool match_measured(TransactionState& state, std::uint32_t index, ChainRun& run) {
  const base::Nanos before = base::monotonic_now();
  const bool matched = match_chain(state, index, run);
  RuleCost& cost = state.worker->costs[index];
  cost.ns += base::monotonic_now() - before;
  ++cost.evaluations;
  cost.matches += matched ? 1 : 0;
  return matched;
}

/// Whether REQUEST_BODY is a target that no ctl has taken away from the rule.
bool wants_body(TransactionState& state, const abi::Rule& rule) {
  const auto targets = state.ruleset->array<abi::RuleTarget>(state.header().targets)
                           .subspan(rule.first_target, rule.target_count);
  return std::any_of(targets.begin(), targets.end(), [&](const abi::RuleTarget& target) {
    return static_cast<VariableId>(target.variable) == VariableId::kRequestBody &&
           !is_target_removed(state, rule, target);
  });
}

/// Notes the checks of the rules from `position` of this phase on that still have REQUEST_BODY as a
/// target: a ctl may have left a few of a hundred. False: none has taken anything away.
bool ask_for_body(TransactionState& state, std::uint32_t position) {
  if (state.removal_count == 0) return false;
  auto& asked = state.worker->scan.asked_checks;
  std::fill(std::begin(asked), std::end(asked), 0);
  const auto rules = state.ruleset->rules();
  for (std::size_t phase = state.phase - 1U; phase < abi::kPhaseCount; ++phase, position = 0) {
    const auto list = state.ruleset->array<std::uint32_t>(state.header().phases[phase]);
    const PhasePlan& plan = state.ruleset->phase_plans().phases[phase];
    for (; position < plan.size(); ++position) {
      const std::uint32_t check = plan.check(position);
      if (!plan.reads_body(position) || check == abi::kNone32) continue;
      const abi::Rule& rule = rules[list[position]];
      if (is_removed(state, rule) || !wants_body(state, rule)) continue;
      asked[check / 64] |= std::uint64_t{1} << check % 64;
    }
  }
  return true;
}

/// The first bit that is set at or behind `position`; beyond the words: none is.
std::uint32_t next_due(std::span<const std::uint64_t> due, std::uint32_t position) {
  std::size_t word = position / 64;
  if (word >= due.size()) return position;
  std::uint64_t left = due[word] & ~std::uint64_t{0} << position % 64;
  while (left == 0) {
    if (++word == due.size()) return static_cast<std::uint32_t>(64 * word);
    left = due[word];
  }
  return static_cast<std::uint32_t>(64 * word + static_cast<unsigned>(std::countr_zero(left)));
}

}  // namespace

bool run_phase(TransactionState& state, std::uint8_t phase) {
  state.phase = phase;
  state.matched_count = 0;
  const auto list = state.ruleset->array<std::uint32_t>(state.header().phases[phase - 1]);
  const auto rules = state.ruleset->rules();
  const PhasePlan& plan = state.ruleset->phase_plans().phases[phase - 1];
  const bool goes_on = state.next_position != 0 || is_stopped(state);
  if (plan.size() == 0 || (state.engine == abi::EngineMode::kOff && !goes_on)) return true;
  auto* due = state.worker->arena.allocate_array<std::uint64_t>(plan.words());
  if (due == nullptr) {
    state.fail(abi::Reason::kTransactionMemory);
    return true;
  }
  plan.mark_due(state, due);
  if (is_stopped(state) || state.long_work != nullptr) {  // whatever made it due before
    due[state.next_position / 64] |= std::uint64_t{1} << state.next_position % 64;
  }
  const std::uint32_t first = next_due({due, plan.words()}, state.next_position);
  for (std::uint32_t position = state.next_position;;) {
    const std::uint32_t next = next_due({due, plan.words()}, position);
    if (next != position) state.matched_count = 0;  // those between do not match
    if (next >= plan.size()) break;
    position = next;
    if (position != first && state.matched_count == 0 && state.slice_over()) {
      state.next_position = position;
      state.current_rule = nullptr;
      return false;
    }
    const std::uint32_t index = list[position];
    const abi::Rule& rule = rules[index];
    if (state.unscanned_body != kNoValue && plan.reads_body(position)) {
      if (wants_body(state, rule)) {
        // What MATCHED_* hold for this rule does not outlive the slice.
        const bool stops = std::exchange(state.stops, state.stops && state.matched_count == 0);
        const bool is_scanned = scan_body(state, ask_for_body(state, position));
        state.stops = stops;
        if (!is_scanned) {
          state.next_position = position;
          state.current_rule = nullptr;
          return false;
        }
        plan.mark_due(state, due);
      }
      if (!plan.may_match(state, position)) {
        state.matched_count = 0;
        ++position;
        continue;
      }
    }
    if ((state.allow_phases >> phase & 1) != 0) break;
    ++position;
    if (!is_stopped(state)) {
      if (state.stopped != nullptr && state.matched_count == 0) state.stopped->used = 0;
      if (!state.spend(1)) break;
      if (state.removal_count > 0 && is_removed(state, rule)) continue;
    }
    ChainRun run;
    if (!(state.worker->costs.empty() ? match_chain(state, index, run)
                                      : match_measured(state, index, run))) {
      if (!is_stopped(state)) continue;
      state.next_position = position - 1;
      state.current_rule = nullptr;
      return false;
    }
    const bool was_blocked = state.verdict.blocks();
    position = run_after_match(state, run, position);
    if (!was_blocked && state.verdict.blocks() && phase != abi::kPhaseCount) break;
  }
  state.current_rule = nullptr;
  return true;
}

void give_up_stopped(TransactionState& state) {
  if (state.stopped != nullptr) state.stopped->is_stopped = false;
  state.give_up_work();
}

void run_deferred(TransactionState& state) {
  if (state.ran_deferred) return;
  state.ran_deferred = true;
  const abi::Rule* asking = state.current_rule;
  MatchedVariable* matched = std::exchange(state.matched, nullptr);
  const std::uint32_t matched_count = std::exchange(state.matched_count, 0);
  const bool persists = state.persists;
  const bool stops = std::exchange(state.stops, false);
  for (const std::uint32_t index : state.ruleset->phase_plans().deferred) {
    ChainRun run;
    if (!state.spend(1)) break;
    (void)match_chain(state, index, run);
    state.matched_count = 0;
  }
  state.stops = stops;
  state.current_rule = asking;
  state.matched = matched;
  state.matched_count = matched_count;
  state.persists = persists;
}

}  // namespace sluice::rules
