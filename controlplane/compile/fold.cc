// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/fold.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "controlplane/compile/liveness.h"
#include "controlplane/compile/tx_keys.h"
#include "dataplane/abi/operators.h"
#include "dataplane/base/arena.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/operator/regex.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::compile {

namespace {

using abi::OperatorId;
using abi::VariableId;
using seclang::Link;
using seclang::MacroText;
using seclang::Rule;

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

class Folder {
 public:
  explicit Folder(const seclang::LinkedRules& rules) {
    result_.rules = rules;
    result_.dropped.assign(rules.rules.size(), false);
    result_.certain = result_.deferred = result_.late = result_.dropped;
  }

  Folded run() {
    for (std::uint8_t phase = 1; phase <= 5; ++phase) run_phase(phase);
    return std::move(result_);
  }

 private:
  enum class Decision { kUnknown, kFalse, kTrue };

  void run_phase(std::uint8_t phase) {
    std::size_t skip_to = 0;
    landings_.clear();
    conditional_until_ = allowed_phases_ >> phase & 1 ? result_.rules.rules.size() : 0;
    for (std::size_t i = 0; i < result_.rules.rules.size(); ++i) {
      Rule& rule = result_.rules.rules[i];
      if (rule.phase != phase) continue;
      if (i < skip_to) {
        drop(i);
        continue;
      }
      const Decision decision = decide(rule);
      if (decision == Decision::kFalse) {
        drop(i);
        continue;
      }
      const bool removable = may_be_removed(rule);
      const bool always = decision == Decision::kTrue && !removable;
      result_.certain[i] = i >= conditional_until_ && !removable;
      if (always && result_.certain[i] && apply(rule)) {
        drop(i);
        if (rule.head().jump.has_value()) skip_to = rule.head().jump->to;
        continue;
      }
      keep(rule);
      // Only a jump from before it comes to what it skips.
      if (always && rule.head().jump.has_value()) skip_to = *landings_.upper_bound(i);
    }
  }

  void drop(std::size_t index) {
    result_.dropped[index] = true;
    ++result_.count;
  }

  /// What TX holds under a key at this point: known to be unset, or its value; nullopt: unknown.
  struct Known {
    bool is_set = false;
    std::string value;
  };
  [[nodiscard]] std::optional<Known> look_up(std::string_view name) const {
    const std::string key = lower_key(name);
    if (is_number(key) || unknown_.contains(key)) return std::nullopt;
    const auto found = state_.find(key);
    if (found == state_.end()) return Known{};
    return Known{true, found->second};
  }

  [[nodiscard]] std::optional<std::string> expand(const MacroText& text) const {
    std::string result;
    for (const seclang::MacroPiece& piece : text.pieces) {
      if (!piece.is_variable) {
        result += piece.literal;
        continue;
      }
      if (piece.variable != VariableId::kTx) return std::nullopt;
      const auto known = look_up(piece.key);
      if (!known.has_value()) return std::nullopt;
      result += known->value;
    }
    return result;
  }

  [[nodiscard]] static bool is_leaf(OperatorId id) {
    const abi::OperatorArgument argument = abi::operator_info(id).argument;
    return argument == abi::OperatorArgument::kText || argument == abi::OperatorArgument::kNumber ||
           id == OperatorId::kUnconditionalMatch || id == OperatorId::kNoMatch ||
           id == OperatorId::kRbl || id == OperatorId::kFuzzyHash;
  }

  /// What the transformations of a link make of a value.
  [[nodiscard]] std::optional<std::string> transform(const Link& link, std::string value) const {
    std::vector<std::uint8_t> memory;
    for (const abi::TransformId id : link.transforms) {
      if (result_.rules.settings.unicode_map.has_value()) return std::nullopt;
      memory.resize(rules::max_output(id, value.size()) + rules::kTransformSlack);
      base::Arena arena(memory);
      const auto done = rules::apply_transform(id, base::as_bytes(value), nullptr, arena);
      if (done.outcome == rules::TransformOutcome::kArenaFull) return std::nullopt;
      value = std::string(base::as_text(done.output));
    }
    return value;
  }

  [[nodiscard]] Decision decide_value(const Link& link, const std::string& given) const {
    const auto transformed = transform(link, given);
    if (!transformed.has_value()) return Decision::kUnknown;
    const std::string& value = *transformed;
    const seclang::Operator& op = link.op;
    bool matches = false;
    if (op.id == OperatorId::kRx) {
      const auto pattern = expand(op.expanded);
      if (!pattern.has_value()) return Decision::kUnknown;
      auto regex = rules::Regex::compile(*pattern);
      auto context = rules::RegexContext::create();
      if (!regex.ok() || !context.ok()) return Decision::kUnknown;
      rules::RegexContext matching = std::move(context).value();
      const auto outcome = matching.match(regex.value(), base::as_bytes(value));
      if (outcome == rules::MatchOutcome::kLimit) return Decision::kUnknown;
      matches = outcome == rules::MatchOutcome::kMatch;
    } else {
      if (!is_leaf(op.id)) return Decision::kUnknown;
      const auto argument = expand(op.expanded);
      if (!argument.has_value()) return Decision::kUnknown;
      matches = rules::match_leaf(op.id, base::as_bytes(*argument), base::as_bytes(value));
    }
    return matches != op.negated ? Decision::kTrue : Decision::kFalse;
  }

  [[nodiscard]] Decision decide_link(const Link& link) const {
    if (link.unconditional) return Decision::kTrue;
    // The list of a @rbl is empty here, whatever it is asked for.
    if ((link.op.id == OperatorId::kRbl || link.op.id == OperatorId::kNoMatch) &&
        !link.op.negated) {
      return Decision::kFalse;
    }
    if (link.multi_match) return Decision::kUnknown;
    Decision decision = Decision::kFalse;
    for (const seclang::Target& target : link.targets) {
      if (target.variable != VariableId::kTx ||
          target.selector.kind != seclang::Selector::Kind::kName) {
        return Decision::kUnknown;
      }
      const auto known = look_up(target.selector.text);
      if (!known.has_value()) return Decision::kUnknown;
      if (!target.count && !known->is_set) continue;
      const std::string value = target.count ? (known->is_set ? "1" : "0") : known->value;
      const Decision one = decide_value(link, value);
      if (one == Decision::kUnknown) return one;
      if (one == Decision::kTrue) decision = one;
    }
    return decision;
  }

  [[nodiscard]] Decision decide(const Rule& rule) const {
    bool all_true = rule.complete;
    for (const Link& link : rule.links) {
      const Decision decision = decide_link(link);
      if (decision == Decision::kFalse) return Decision::kFalse;
      if (decision == Decision::kUnknown) all_true = false;
      // What a link sets stays set even if the chain goes on to fail.
      if (!link.set_variables.empty() && rule.links.size() > 1) return Decision::kUnknown;
    }
    return all_true ? Decision::kTrue : Decision::kUnknown;
  }

  /// Could a rule that stays take this one out?
  [[nodiscard]] bool may_be_removed(const Rule& rule) const {
    return std::any_of(removals_.begin(), removals_.end(), [&](const seclang::Control* control) {
      switch (control->id) {
        case abi::ControlId::kRuleRemoveById:
          return rule.id >= control->first_id && rule.id <= control->last_id;
        case abi::ControlId::kRuleRemoveByTag:
          return std::any_of(rule.links.begin(), rule.links.end(), [&](const Link& link) {
            return std::any_of(link.tags.begin(), link.tags.end(), [&](const MacroText& tag) {
              return !tag.is_constant() || tag.constant() == control->text;
            });
          });
        case abi::ControlId::kRuleRemoveByMsg:
          return true;
        case abi::ControlId::kRuleRemoveTargetById:
        case abi::ControlId::kRuleRemoveTargetByTag:
        case abi::ControlId::kRuleRemoveTargetByMsg:
          return control->target.variable == VariableId::kTx;
        default:
          return false;
      }
    });
  }

  /// Does the whole effect of a rule that matches for certain, if it is one that can be done here.
  bool apply(const Rule& rule) {
    if (rule.log || (rule.links.size() != 1 && !only_skips(rule))) return false;
    if (rule.disruptive != seclang::Disruptive::kNone &&
        rule.disruptive != seclang::Disruptive::kPass) {
      return false;
    }
    const Link& link = rule.head();
    if (!link.effects.empty() || link.status != 0 || link.capture ||
        link.severity != seclang::kSeverityUnset) {
      return false;
    }
    // setvar runs once per matching value.
    if (link.targets.size() > 1 && !link.set_variables.empty()) return false;
    auto state = state_;
    auto initial = result_.initial;
    for (const seclang::SetVariable& set : link.set_variables) {
      if (set.collection != VariableId::kTx || !set.key.is_constant()) return false;
      const std::string key = lower_key(set.key.constant());
      if (is_number(key) || unknown_.contains(key) || touched_.contains(key)) return false;
      const auto value = expand(set.value);
      if (!value.has_value()) return false;
      assign(set, key, *value, state);
      if (const auto now = state.find(key); now != state.end()) {
        initial[key] = now->second;
      } else {
        initial.erase(key);
      }
    }
    state_ = std::move(state);
    result_.initial = std::move(initial);
    return true;
  }

  static void assign(const seclang::SetVariable& set, const std::string& key,
                     const std::string& value, InitialTx& state) {
    const auto number = [](const std::string& text) {
      return static_cast<std::uint32_t>(rules::eq_number(base::as_bytes(text)));
    };
    const auto old = state.find(key);
    const std::uint32_t before = old == state.end() ? 0 : number(old->second);
    switch (set.kind) {
      case seclang::SetVariable::Kind::kSet:
        state[key] = value;
        break;
      case seclang::SetVariable::Kind::kAdd:
        state[key] = std::to_string(static_cast<std::int32_t>(before + number(value)));
        break;
      case seclang::SetVariable::Kind::kSubtract:
        state[key] = std::to_string(static_cast<std::int32_t>(before - number(value)));
        break;
      case seclang::SetVariable::Kind::kDelete:
        state.erase(key);
        break;
    }
  }

  /// A rule that stays: what it may write is unknown from here on; what is known goes into its
  /// texts.
  void keep(Rule& rule) {
    touched_.add(read_keys(rule));
    touched_.add(collection_keys(rule));
    const TxKeys written = written_keys(rule);
    touched_.add(written);
    unknown_.add(written);
    for (Link& link : rule.links) {
      fill_in(link);
      if (link.jump.has_value()) {
        landings_.insert(link.jump->to);
        conditional_until_ = std::max(conditional_until_, std::size_t{link.jump->to});
      }
      for (const seclang::Effect& effect : link.effects) {
        if (const auto* control = std::get_if<seclang::Control>(&effect)) {
          removals_.push_back(control);
        }
      }
    }
    if (rule.disruptive == seclang::Disruptive::kAllowPhase) {
      conditional_until_ = result_.rules.rules.size();
    }
    if (rule.disruptive == seclang::Disruptive::kAllowRequest) {
      conditional_until_ = result_.rules.rules.size();
      allowed_phases_ |= 0b00100;
    }
  }

  void fill_in(MacroText& text) const {
    std::vector<seclang::MacroPiece> pieces;
    for (seclang::MacroPiece& piece : text.pieces) {
      if (piece.is_variable && piece.variable == VariableId::kTx) {
        if (const auto known = look_up(piece.key); known.has_value()) {
          piece = {false, known->value, {}, {}};
        }
      }
      if (!piece.is_variable && piece.literal.empty()) continue;
      if (!piece.is_variable && !pieces.empty() && !pieces.back().is_variable) {
        pieces.back().literal += piece.literal;
      } else {
        pieces.push_back(std::move(piece));
      }
    }
    text.pieces = std::move(pieces);
  }

  void fill_in(Link& link) const {
    fill_in(link.op.expanded);
    for (seclang::SetVariable& set : link.set_variables) {
      fill_in(set.key);
      fill_in(set.value);
    }
    for (MacroText& tag : link.tags) fill_in(tag);
    if (link.msg.has_value()) fill_in(*link.msg);
    if (link.logdata.has_value()) fill_in(*link.logdata);
  }

  Folded result_;
  InitialTx state_;
  TxKeys unknown_;  ///< written by a rule that stays
  TxKeys touched_;  ///< read or written by a rule that stays
  std::vector<const seclang::Control*> removals_;
  std::set<std::size_t> landings_;  ///< of the jumps of this phase that stay
  std::size_t conditional_until_ = 0;
  unsigned allowed_phases_ = 0;
};

}  // namespace

Folded fold(const seclang::LinkedRules& rules) {
  Folded folded = Folder(rules).run();
  drop_idle(folded);
  defer(folded);
  return folded;
}

Folded fold_nothing(const seclang::LinkedRules& rules) {
  const std::vector<bool> none(rules.rules.size(), false);
  return {rules, none, none, none, none, {}, 0};
}

}  // namespace sluice::compile
