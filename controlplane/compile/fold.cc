// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/fold.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <string>

#include "dataplane/abi/operators.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/operator/regex.h"

namespace sluice::compile {

namespace {

using abi::OperatorId;
using abi::VariableId;
using seclang::Link;
using seclang::MacroText;
using seclang::Rule;

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Keys of TX, or all with a beginning, or all.
struct Keys {
  std::set<std::string> exact;
  std::vector<std::string> prefixes;
  bool all = false;

  [[nodiscard]] bool contains(const std::string& key) const {
    return all || exact.contains(key) ||
           std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const std::string& prefix) { return key.starts_with(prefix); });
  }
  void add(const Keys& other) {
    exact.insert(other.exact.begin(), other.exact.end());
    prefixes.insert(prefixes.end(), other.prefixes.begin(), other.prefixes.end());
    all = all || other.all;
  }
  /// A key as rules write it.
  void add_text(const MacroText& key) {
    if (key.is_constant()) {
      exact.insert(lower_case(key.constant()));
    } else if (key.pieces[0].is_variable) {
      all = true;
    } else {
      prefixes.push_back(lower_case(key.pieces[0].literal));
    }
  }
};

Keys written_keys(const Rule& rule) {
  Keys keys;
  for (const Link& link : rule.links) {
    for (const seclang::SetVariable& set : link.set_variables) {
      if (set.collection == VariableId::kTx) keys.add_text(set.key);
    }
  }
  return keys;
}

void read_text(const MacroText& text, Keys& keys) {
  for (const seclang::MacroPiece& piece : text.pieces) {
    if (piece.is_variable && piece.variable == VariableId::kTx) {
      keys.exact.insert(lower_case(piece.key));
    }
  }
}

Keys read_keys(const Rule& rule) {
  Keys keys;
  for (const Link& link : rule.links) {
    for (const seclang::Target& target : link.targets) {
      if (target.variable != VariableId::kTx) continue;
      if (target.selector.kind == seclang::Selector::Kind::kName) {
        keys.exact.insert(lower_case(target.selector.text));
      } else {
        keys.all = true;
      }
    }
    read_text(link.op.expanded, keys);
    for (const seclang::SetVariable& set : link.set_variables) {
      read_text(set.key, keys);
      read_text(set.value, keys);
      // Adding reads what is there.
      if (set.collection == VariableId::kTx) keys.add_text(set.key);
    }
    for (const MacroText& tag : link.tags) read_text(tag, keys);
    if (link.msg.has_value()) read_text(*link.msg, keys);
    if (link.logdata.has_value()) read_text(*link.logdata, keys);
    for (const seclang::Effect& effect : link.effects) {
      if (const auto* init = std::get_if<seclang::InitCollection>(&effect)) {
        read_text(init->key, keys);
      }
    }
  }
  return keys;
}

class Folder {
 public:
  explicit Folder(const seclang::LinkedRules& rules) {
    result_.rules = rules;
    result_.dropped.assign(rules.rules.size(), false);
  }

  Folded run() {
    for (std::uint8_t phase = 1; phase <= 5; ++phase) run_phase(phase);
    return std::move(result_);
  }

 private:
  enum class Decision { kUnknown, kFalse, kTrue };

  void run_phase(std::uint8_t phase) {
    std::size_t skip_to = 0;
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
      } else if (decision == Decision::kTrue && i >= conditional_until_ && !may_be_removed(rule) &&
                 apply(rule)) {
        drop(i);
        if (rule.head().jump.has_value()) skip_to = rule.head().jump->to;
      } else {
        keep(rule);
      }
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
    const std::string key = lower_case(name);
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

  [[nodiscard]] Decision decide_value(const Link& link, const std::string& value) const {
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
    if (!link.transforms.empty() || link.multi_match) return Decision::kUnknown;
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
        default:
          return false;
      }
    });
  }

  static bool only_skips(const Rule& rule) {
    return std::all_of(rule.links.begin(), rule.links.end(), [&](const Link& link) {
      const bool is_head = &link == &rule.links[0];
      return link.set_variables.empty() && link.effects.empty() && link.status == 0 &&
             !link.capture && (is_head || !link.jump.has_value());
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
    if (!link.effects.empty() || link.status != 0 || link.capture) return false;
    // setvar runs once per matching value.
    if (link.targets.size() > 1 && !link.set_variables.empty()) return false;
    auto state = state_;
    auto initial = result_.initial;
    for (const seclang::SetVariable& set : link.set_variables) {
      if (set.collection != VariableId::kTx || !set.key.is_constant()) return false;
      const std::string key = lower_case(set.key.constant());
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
    const Keys written = written_keys(rule);
    touched_.add(written);
    unknown_.add(written);
    for (Link& link : rule.links) {
      fill_in(link);
      if (link.jump.has_value()) {
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
  Keys unknown_;  ///< written by a rule that stays
  Keys touched_;  ///< read or written by a rule that stays
  std::vector<const seclang::Control*> removals_;
  std::size_t conditional_until_ = 0;
  unsigned allowed_phases_ = 0;
};

}  // namespace

Folded fold(const seclang::LinkedRules& rules) { return Folder(rules).run(); }

Folded fold_nothing(const seclang::LinkedRules& rules) {
  return {rules, std::vector<bool>(rules.rules.size(), false), {}, 0};
}

}  // namespace sluice::compile
