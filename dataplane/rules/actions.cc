// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/actions.h"

#include "dataplane/abi/actions.h"
#include "dataplane/abi/names.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/persistent.h"
#include "dataplane/rules/scalars.h"

namespace sluice::rules {

namespace {

using abi::ActionId;
using abi::ControlId;
using abi::SetOperation;

std::span<const abi::RuleAction> actions_of(const TransactionState& state, std::uint32_t first,
                                            std::uint32_t count) {
  return state.ruleset->array<abi::RuleAction>(state.header().actions).subspan(first, count);
}

std::int64_t change_of(TransactionState& state, const abi::RuleAction& action) {
  const std::int64_t number = (action.known & abi::kActionNumberKnown) != 0
                                  ? action.number
                                  : eq_number(base::as_bytes(expand(state, action.value)));
  return static_cast<SetOperation>(action.operation) == SetOperation::kSubtract ? -number : number;
}

std::uint32_t tx_index(TransactionState& state, const abi::RuleAction& action) {
  if (action.slot != abi::kNone16) return action.slot;
  return state.tx.find_or_add(expand(state, action.key), state.region);
}

std::int32_t set_tx(TransactionState& state, const abi::RuleAction& action) {
  const std::uint32_t index = tx_index(state, action);
  if (index == TxStore::kNotFound) {
    state.fail_memory();
    return 0;
  }
  switch (static_cast<SetOperation>(action.operation)) {
    case SetOperation::kDelete:
      state.tx.unset(index);
      return 0;
    case SetOperation::kAssign:
      state.tx.set(index, expand_kept(state, action.value));
      return 0;
    case SetOperation::kAdd:
    case SetOperation::kSubtract: {
      const std::int64_t change = change_of(state, action);
      const std::string_view before = state.tx.value(index);
      const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
      if (change == 0 && before.size() == 1 && is_digit(before[0])) return 0;  // stays as it is
      const std::int32_t old = eq_number(base::as_bytes(before));
      state.tx.set(index, state.keep(number_text(state, wrapping_sum(old, change))));
      return (action.known & abi::kActionScores) != 0 ? static_cast<std::int32_t>(change) : 0;
    }
  }
  return 0;
}

/// setvar runs before the other actions of its rule, but a key that the same rule gives its
/// collection is meant for it.
void init_for_set(TransactionState& state, const abi::Rule& rule, std::uint16_t variable) {
  for (const abi::RuleAction& action : actions_of(state, rule.first_after, rule.after_count)) {
    if (static_cast<ActionId>(action.action) == ActionId::kInitCol && action.variable == variable) {
      set_collection_key(state, action);
    }
  }
}

void set_persistent(TransactionState& state, const abi::RuleAction& action) {
  const auto variable = static_cast<VariableId>(action.variable);
  using Kind = CollectionChange::Kind;
  const std::string_view name = expand(state, action.key);
  switch (static_cast<SetOperation>(action.operation)) {
    case SetOperation::kDelete:
      return persistent_change(state, variable, {Kind::kDelete, name, {}});
    case SetOperation::kAssign:
      return persistent_change(state, variable, {Kind::kAssign, name, expand(state, action.value)});
    case SetOperation::kAdd:
    case SetOperation::kSubtract:
      return persistent_change(state, variable, {Kind::kAdd, name, {}, change_of(state, action)});
  }
}

void add_removal(TransactionState& state, const abi::RuleAction& action) {
  if (state.removals == nullptr) {
    state.removals = state.region.allocate_array<std::array<RuleRemoval, abi::kRuleRemovalsMax>>(1);
    if (state.removals == nullptr) return state.fail_memory();
  }
  if (state.removal_count == abi::kRuleRemovalsMax) return state.fail(abi::Reason::kRuleBudget);
  (*state.removals)[state.removal_count++] = {&action, expand_kept(state, action.value)};
}

void run_control(TransactionState& state, const abi::RuleAction& action) {
  switch (static_cast<ControlId>(action.operation)) {
    case ControlId::kRuleEngine:
      state.engine = static_cast<abi::EngineMode>(action.number);
      break;
    case ControlId::kRuleRemoveById:
    case ControlId::kRuleRemoveByTag:
    case ControlId::kRuleRemoveByMsg:
    case ControlId::kRuleRemoveTargetById:
    case ControlId::kRuleRemoveTargetByTag:
    case ControlId::kRuleRemoveTargetByMsg:
      add_removal(state, action);
      break;
    case ControlId::kRequestBodyProcessor: {
      const auto wanted = static_cast<http::BodyProcessor>(action.number);
      const bool is_structured = state.processor == http::BodyProcessor::kJson ||
                                 state.processor == http::BodyProcessor::kXml;
      // JSON and XML win over the Content-Type; URLENCODED does not win over them.
      if (wanted != http::BodyProcessor::kUrlencoded || !is_structured) state.processor = wanted;
      break;
    }
    case ControlId::kRequestBodyAccess:
      state.request_body_access = action.number != 0;
      break;
    case ControlId::kResponseBodyAccess:
      state.response_body_access = action.number != 0;
      break;
    case ControlId::kForceRequestBodyVariable:
      state.force_request_body = action.number != 0;
      break;
    case ControlId::kRequestBodyLimit:
      state.request_body_limit = static_cast<std::uint64_t>(action.number);
      break;
    case ControlId::kResponseBodyLimit:
      state.response_body_limit = static_cast<std::uint64_t>(action.number);
      break;
    default:
      break;
  }
}

bool has_tag(TransactionState& state, const abi::Rule& rule, std::string_view tag) {
  for (const abi::RuleText& each : state.ruleset->array<abi::RuleText>(state.header().tags)
                                       .subspan(rule.first_tag, rule.tag_count)) {
    if (expand(state, each) == tag) return true;
  }
  return false;
}

std::span<const RuleRemoval> removals_of(const TransactionState& state) {
  if (state.removal_count == 0) return {};
  return {state.removals->data(), state.removal_count};
}

bool in_ids(const abi::RuleAction& action, const abi::Rule& rule) {
  return rule.id >= action.number && rule.id <= action.last;
}

/// Whether a removal of targets speaks of this rule. By id it means the starter alone.
bool targets_rule(TransactionState& state, const RuleRemoval& removal, const abi::Rule& rule) {
  switch (static_cast<ControlId>(removal.action->operation)) {
    case ControlId::kRuleRemoveTargetById:
      return (rule.flags & abi::kRuleLink) == 0 && in_ids(*removal.action, rule);
    case ControlId::kRuleRemoveTargetByTag:
      return has_tag(state, rule, removal.text);
    case ControlId::kRuleRemoveTargetByMsg:
      return expand(state, rule.message) == removal.text;
    default:
      return false;
  }
}

}  // namespace

std::int32_t run_set_actions(TransactionState& state, const abi::Rule& rule) {
  std::int32_t score = 0;
  for (const abi::RuleAction& action : actions_of(state, rule.first_set, rule.set_count)) {
    if (static_cast<VariableId>(action.variable) == VariableId::kTx) {
      score = wrapping_sum(score, set_tx(state, action));
    } else {
      init_for_set(state, rule, action.variable);
      set_persistent(state, action);
    }
  }
  return score;
}

void run_after_actions(TransactionState& state, const abi::Rule& rule) {
  for (const abi::RuleAction& action : actions_of(state, rule.first_after, rule.after_count)) {
    switch (static_cast<ActionId>(action.action)) {
      case ActionId::kCtl:
        run_control(state, action);
        break;
      case ActionId::kInitCol:
        set_collection_key(state, action);
        break;
      case ActionId::kExpireVar:
        persistent_change(state, static_cast<VariableId>(action.variable),
                          {CollectionChange::Kind::kExpire,
                           expand(state, action.key),
                           {},
                           order_number(base::as_bytes(expand(state, action.value)))});
        break;
      default:
        break;
    }
  }
}

bool is_removed(TransactionState& state, const abi::Rule& rule) {
  for (const RuleRemoval& removal : removals_of(state)) {
    switch (static_cast<ControlId>(removal.action->operation)) {
      case ControlId::kRuleRemoveById:
        // As in v3, a SecAction is not removed by its id.
        if ((rule.flags & abi::kRuleHasOperator) != 0 && in_ids(*removal.action, rule)) return true;
        break;
      case ControlId::kRuleRemoveByTag:
        if (has_tag(state, rule, removal.text)) return true;
        break;
      case ControlId::kRuleRemoveByMsg:
        if (expand(state, rule.message) == removal.text) return true;
        break;
      default:
        break;
    }
  }
  return false;
}

bool is_target_removed(TransactionState& state, const abi::Rule& rule,
                       const abi::RuleTarget& target) {
  for (const RuleRemoval& removal : removals_of(state)) {
    if (removal.action->variable != target.variable || target.is_count != 0) continue;
    if (removal.action->selector != target.selector) continue;
    if (!abi::equal_ignoring_case(state.text(removal.action->target_key), state.text(target.key)))
      continue;
    if (targets_rule(state, removal, rule)) return true;
  }
  return false;
}

bool is_value_removed(TransactionState& state, const abi::Rule& rule, const TargetValue& value) {
  if (!value.keyed) return false;
  for (const RuleRemoval& removal : removals_of(state)) {
    const abi::RuleAction& action = *removal.action;
    if (action.variable != static_cast<std::uint16_t>(value.variable)) continue;
    if (action.selector == abi::Selector::kAll) continue;
    if (!selects(state, action.selector, state.text(action.target_key), action.regex, value.key)) {
      continue;
    }
    if (targets_rule(state, removal, rule)) return true;
  }
  return false;
}

}  // namespace sluice::rules
