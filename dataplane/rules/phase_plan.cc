// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/phase_plan.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "dataplane/abi/names.h"
#include "dataplane/abi/operators.h"
#include "dataplane/rules/name_gate.h"
#include "dataplane/rules/ruleset.h"
#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

using abi::OperatorId;

namespace {

bool is_body_reader(const Ruleset& ruleset, const abi::Rule& rule) {
  const auto targets = ruleset.array<abi::RuleTarget>(ruleset.header().targets)
                           .subspan(rule.first_target, rule.target_count);
  return std::any_of(targets.begin(), targets.end(), [](const abi::RuleTarget& target) {
    return target.variable == static_cast<std::uint16_t>(VariableId::kRequestBody);
  });
}

bool is_header(VariableId variable) {
  return variable == VariableId::kRequestHeaders || variable == VariableId::kResponseHeaders;
}

/// Lists that no rule adds to while a phase runs.
bool is_steady(VariableId variable) {
  return variable == VariableId::kRequestCookies || variable == VariableId::kFiles ||
         variable == VariableId::kMultipartPartHeaders;
}

/// The argument of an operator where it is a number without macros.
std::optional<std::uint32_t> number_of(const Ruleset& ruleset, const abi::Rule& rule) {
  if (rule.argument.part_count != 1) return std::nullopt;
  const auto& part = ruleset.array<abi::TextPart>(ruleset.header().texts)[rule.argument.first_part];
  const std::string_view text = ruleset.text(part.text);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole =
      part.variable == abi::kNone16 && error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

/// What a rule on the number of headers says of none and of some of them.
enum class Count { kAny, kNone, kSome };

Count wanted_count(const Ruleset& ruleset, const abi::Rule& rule) {
  const std::optional<std::uint32_t> number = number_of(ruleset, rule);
  if (!number.has_value() || rule.node != 0) return Count::kAny;
  const bool negated = (rule.flags & abi::kRuleNegated) != 0;
  switch (static_cast<OperatorId>(rule.operator_id)) {
    case OperatorId::kEq:
      if (*number == 0) return negated ? Count::kSome : Count::kNone;
      return negated ? Count::kAny : Count::kSome;
    case OperatorId::kGt:
      return negated ? Count::kAny : Count::kSome;
    case OperatorId::kGe:
      return negated || *number == 0 ? Count::kAny : Count::kSome;
    default:
      return Count::kAny;
  }
}

/// `@rx ^$` on the value itself.
bool wants_empty(const Ruleset& ruleset, const abi::Rule& rule) {
  return static_cast<OperatorId>(rule.operator_id) == OperatorId::kRx && rule.node == 0 &&
         (rule.flags & abi::kRuleNegated) == 0 && rule.argument_index != abi::kNone32 &&
         ruleset.text(ruleset.array<abi::RegexSpec>(ruleset.header().regexes)[rule.argument_index]
                          .pattern) == "^$";
}

/// The bit of the method that `@streq` asks for; 0: the rule asks for something else.
std::uint64_t method_bit(const Ruleset& ruleset, const abi::Rule& rule, HeaderFacts& headers) {
  if (static_cast<OperatorId>(rule.operator_id) != OperatorId::kStreq || rule.node != 0 ||
      (rule.flags & abi::kRuleNegated) != 0 || rule.argument.part_count != 1) {
    return 0;
  }
  const auto& part = ruleset.array<abi::TextPart>(ruleset.header().texts)[rule.argument.first_part];
  return part.variable == abi::kNone16 ? headers.add_method(ruleset.text(part.text)) : 0;
}

}  // namespace

std::uint64_t HeaderFacts::new_bit() {
  const std::uint64_t bit = std::uint64_t{1} << bits_;
  if (bit == kOddName || entries_.size() == kEntriesMax) return 0;
  ++bits_;
  return bit;
}

void HeaderFacts::keep(const Entry& entry) {
  by_size_[std::min(entry.name.size(), kLongName)] |= std::uint64_t{1} << entries_.size();
  entries_.push_back(entry);
}

HeaderFacts::Fact HeaderFacts::add(VariableId variable, std::string_view name) {
  for (const Entry& entry : entries_) {
    if (entry.empty != 0 && entry.variable == variable &&
        abi::equal_ignoring_case(entry.name, name)) {
      return {entry.present, entry.empty};
    }
  }
  const Fact fact{new_bit(), new_bit()};
  if (fact.present == 0 || fact.empty == 0) return {};
  keep({variable, name, fact.present, fact.empty});
  return fact;
}

std::uint64_t HeaderFacts::add_method(std::string_view method) {
  const std::uint64_t bit = new_bit();
  if (bit != 0) keep({VariableId::kRequestMethod, method, bit, 0});
  return bit;
}

std::uint64_t HeaderFacts::add_names(std::span<const std::string_view> names) {
  if (entries_.size() + names.size() > kEntriesMax) return 0;
  const std::uint64_t bit = new_bit();
  if (bit == 0) return 0;
  for (const std::string_view name : names) keep({VariableId::kRequestHeaders, name, bit, 0});
  watches_names_ = true;
  return bit | kOddName;
}

std::uint64_t HeaderFacts::of(VariableId variable, std::string_view name, base::Bytes value) const {
  std::uint64_t facts = 0;
  for (std::uint64_t left = entries(name); left != 0; left &= left - 1) {
    const Entry& entry = entries_[static_cast<std::size_t>(std::countr_zero(left))];
    if (entry.variable != variable || !abi::equal_ignoring_case(entry.name, name)) continue;
    facts |= entry.present;
    if (entry.empty == 0) continue;
    if (value.empty() || std::find(value.begin(), value.end(), '\n') != value.end()) {
      facts |= entry.empty;
    }
  }
  if (watches_names_ && variable == VariableId::kRequestHeaders &&
      std::any_of(name.begin(), name.end(), [](char c) { return c == '/' || c == '_'; })) {
    facts |= kOddName;
  }
  return facts;
}

std::uint64_t HeaderFacts::of_method(std::string_view method) const {
  return of(VariableId::kRequestMethod, method, base::as_bytes(method));
}

bool PhasePlan::Gate::is_open(const TransactionState& state) const {
  return (state.header_facts & required) == required && (state.header_facts & forbidden) == 0 &&
         (any == 0 || (state.header_facts & any) != 0) &&
         (list == VariableId::kCount || state.values.count(list) > 0);
}

PhasePlan::Gate PhasePlan::gate_of(const Ruleset& ruleset, std::uint32_t index,
                                   HeaderFacts& headers) const {
  Gate gate;
  if (const auto names = listed_names(ruleset, index); !names.empty()) {
    gate.any = headers.add_names(names);
  }
  while (index != abi::kNone32) {
    const abi::Rule& rule = ruleset.rules()[index];
    index = rule.next_link;
    const bool one_target = (rule.flags & abi::kRuleHasOperator) != 0 && rule.target_count == 1;
    if (one_target) {
      const auto& target =
          ruleset.array<abi::RuleTarget>(ruleset.header().targets)[rule.first_target];
      const auto variable = static_cast<VariableId>(target.variable);
      if (is_header(variable) && target.selector == abi::Selector::kKey) {
        const HeaderFacts::Fact fact = headers.add(variable, ruleset.text(target.key));
        const Count count = target.is_count != 0 ? wanted_count(ruleset, rule) : Count::kSome;
        if (count == Count::kSome) gate.required |= fact.present;
        if (count == Count::kNone) gate.forbidden |= fact.present;
        if (target.is_count == 0 && wants_empty(ruleset, rule)) gate.required |= fact.empty;
      } else if (is_steady(variable)) {
        const Count count = target.is_count != 0 ? wanted_count(ruleset, rule) : Count::kSome;
        if (count == Count::kSome) gate.list = variable;
      } else if (variable == VariableId::kRequestMethod && target.is_count == 0) {
        gate.required |= method_bit(ruleset, rule, headers);
      }
    }
    // What a link does when it matches is seen although its chain ends at the next one.
    if (rule.set_count > 0 || (rule.flags & abi::kRuleCapture) != 0) break;
  }
  return gate;
}

void PhasePlan::build(const Ruleset& ruleset, std::uint32_t phase, HeaderFacts& headers) {
  const auto list = ruleset.array<std::uint32_t>(ruleset.header().phases[phase]);
  const std::size_t words = (list.size() + 63) / 64;
  always_.assign(words, 0);
  bodies_.assign(words, 0);
  first_.assign(ruleset.header().check_count + 1, 0);
  for (std::uint32_t position = 0; position < list.size(); ++position) {
    const abi::Rule& rule = ruleset.rules()[list[position]];
    const std::uint64_t bit = std::uint64_t{1} << position % 64;
    if (is_body_reader(ruleset, rule)) bodies_[position / 64] |= bit;
    const bool scanned = (rule.flags & abi::kRuleScanned) != 0;
    checks_.push_back(scanned ? rule.check : abi::kNone32);
    Gate gate = gate_of(ruleset, list[position], headers);
    gate.position = position;
    gate_of_.push_back(abi::kNone16);
    if (scanned) {
      ++first_[rule.check + 1];
      if (gate.asks()) {
        gate_of_.back() = static_cast<std::uint16_t>(scanned_gates_.size());
        scanned_gates_.push_back(gate);
      }
      continue;
    }
    if ((rule.flags & abi::kRuleDeferred) != 0) continue;
    always_[position / 64] |= bit;
    if (gate.asks()) gates_.push_back(gate);
  }
  for (std::size_t check = 1; check < first_.size(); ++check) first_[check] += first_[check - 1];
  positions_.resize(first_.back());
  std::vector<std::uint32_t> next(first_.begin(), first_.end());
  for (std::uint32_t position = 0; position < list.size(); ++position) {
    if (checks_[position] != abi::kNone32) positions_[next[checks_[position]]++] = position;
  }
}

bool PhasePlan::may_match(const TransactionState& state, std::uint32_t position) const {
  return checks_[position] == abi::kNone32 || state.candidates.any(checks_[position]);
}

void PhasePlan::mark_due(const TransactionState& state, std::uint64_t* due) const {
  if (state.candidates.has_all()) {
    std::fill_n(due, words(), ~std::uint64_t{0});
    return;
  }
  const bool body = state.unscanned_body != kNoValue;
  for (std::size_t word = 0; word < words(); ++word) {
    due[word] = always_[word] | (body ? bodies_[word] : 0);
  }
  for (const Gate& gate : gates_) {
    if (!gate.is_open(state)) {
      due[gate.position / 64] &= ~(std::uint64_t{1} << gate.position % 64);
    }
  }
  for (const std::uint32_t check : state.candidates.checks()) {
    for (std::uint32_t i = first_[check]; i < first_[check + 1]; ++i) {
      const std::uint32_t position = positions_[i];
      if (gate_of_[position] != abi::kNone16 &&
          !scanned_gates_[gate_of_[position]].is_open(state)) {
        continue;
      }
      due[position / 64] |= std::uint64_t{1} << position % 64;
    }
  }
}

void PhasePlans::build(const Ruleset& ruleset) {
  for (std::uint32_t i = 0; i < ruleset.rules().size(); ++i) {
    if ((ruleset.rules()[i].flags & abi::kRuleDeferred) != 0) deferred.push_back(i);
  }
  for (std::uint32_t phase = 0; phase < abi::kPhaseCount; ++phase) {
    phases[phase].build(ruleset, phase, headers);
  }
}

}  // namespace sluice::rules
