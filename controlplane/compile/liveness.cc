// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/liveness.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "controlplane/compile/tx_keys.h"
#include "dataplane/abi/operators.h"
#include "dataplane/abi/ruleset.h"

namespace sluice::compile {

using abi::VariableId;
using seclang::Link;
using seclang::Rule;

namespace {

bool is_quiet(const Rule& rule) {
  return !rule.log && (rule.disruptive == seclang::Disruptive::kNone ||
                       rule.disruptive == seclang::Disruptive::kPass);
}

bool is_matched(VariableId variable) {
  return variable == VariableId::kMatchedVar || variable == VariableId::kMatchedVarName ||
         variable == VariableId::kMatchedVars || variable == VariableId::kMatchedVarsNames;
}

/// Whether the head of a chain looks at what the rule before it matched.
bool reads_matched(const Link& head) {
  const auto& pieces = head.op.expanded.pieces;
  return std::any_of(head.targets.begin(), head.targets.end(),
                     [](const auto& target) { return is_matched(target.variable); }) ||
         std::any_of(pieces.begin(), pieces.end(), [](const auto& piece) {
           return piece.is_variable && is_matched(piece.variable);
         });
}

class Deferral {
 public:
  explicit Deferral(Folded& folded) : folded_(folded), rules_(folded.rules.rules) {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      keys_.push_back(folded.dropped[i] ? Keys{}
                                        : Keys{read_keys(rules_[i]), written_keys(rules_[i]),
                                               collection_keys(rules_[i])});
    }
  }

  void run() {
    for (std::size_t i = 0; i < rules_.size(); ++i) folded_.deferred[i] = can_wait(i);
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < rules_.size(); ++i) {
        if (!folded_.deferred[i] || is_asked_late(i)) continue;
        folded_.deferred[i] = false;
        changed = true;
      }
    }
    for (std::size_t i = 0; i < rules_.size(); ++i) folded_.late[i] = has_late_keys(rules_[i]);
  }

 private:
  /// What a rule does with TX; nothing if it is dropped.
  struct Keys {
    TxKeys read, written, asked;
  };

  /// Its target does not change, nothing passes over it, and it only sets what no other rule writes
  /// and only keys of collections read.
  [[nodiscard]] bool can_wait(std::size_t index) const {
    const Rule& rule = rules_[index];
    const Link& link = rule.head();
    if (folded_.dropped[index] || !folded_.certain[index] || !is_quiet(rule) || !rule.complete) {
      return false;
    }
    if (rule.links.size() != 1 || link.unconditional || link.multi_match || link.capture ||
        link.jump.has_value() || link.status != 0 || !link.effects.empty() ||
        link.severity != seclang::kSeverityUnset) {
      return false;
    }
    if (link.targets.size() != 1 || link.targets[0].variable != VariableId::kRequestHeaders ||
        !link.op.expanded.is_constant() || link.op.id == abi::OperatorId::kGeoLookup) {
      return false;
    }
    return !link.set_variables.empty() && !may_lose_target(rule) &&
           std::all_of(link.set_variables.begin(), link.set_variables.end(),
                       [&](const auto& set) { return can_wait(set, index); });
  }
  [[nodiscard]] bool can_wait(const seclang::SetVariable& set, std::size_t index) const {
    if (set.collection != VariableId::kTx || set.kind != seclang::SetVariable::Kind::kSet ||
        !set.key.is_constant()) {
      return false;
    }
    const auto steady = [](const seclang::MacroPiece& piece) {
      return !piece.is_variable || piece.variable == VariableId::kMatchedVar;
    };
    if (!std::all_of(set.value.pieces.begin(), set.value.pieces.end(), steady)) return false;
    const std::string key = lower_key(set.key.constant());
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (keys_[i].read.contains(key)) return false;
      if (i != index && keys_[i].written.contains(key)) return false;
    }
    return true;
  }

  /// Whether some ctl may take the target of a rule out.
  [[nodiscard]] bool may_lose_target(const Rule& rule) const {
    const auto speaks_of = [&](const seclang::Effect& effect) {
      const auto* control = std::get_if<seclang::Control>(&effect);
      if (control == nullptr) return false;
      switch (control->id) {
        case abi::ControlId::kRuleRemoveTargetById:
          return rule.id >= control->first_id && rule.id <= control->last_id;
        case abi::ControlId::kRuleRemoveTargetByTag:
        case abi::ControlId::kRuleRemoveTargetByMsg:
          return control->target.variable == VariableId::kRequestHeaders;
        default:
          return false;
      }
    };
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (folded_.dropped[i]) continue;
      for (const Link& link : rules_[i].links) {
        if (std::any_of(link.effects.begin(), link.effects.end(), speaks_of)) return true;
      }
    }
    return false;
  }

  /// Whether all initcols that read what a rule sets come behind it and are late.
  [[nodiscard]] bool is_asked_late(std::size_t index) const {
    const Rule& rule = rules_[index];
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const TxKeys& asked = keys_[i].asked;
      const auto& sets = rule.head().set_variables;
      if (std::none_of(sets.begin(), sets.end(), [&](const auto& set) {
            return asked.contains(lower_key(set.key.constant()));
          })) {
        continue;
      }
      const bool behind =
          rules_[i].phase > rule.phase || (rules_[i].phase == rule.phase && i > index);
      if (!behind || !has_late_keys(rules_[i])) return false;
    }
    return true;
  }

  [[nodiscard]] bool has_late_keys(const Rule& rule) const {
    bool any = false;
    for (const Link& link : rule.links) {
      for (const seclang::Effect& effect : link.effects) {
        const auto* init = std::get_if<seclang::InitCollection>(&effect);
        if (init == nullptr) continue;
        any = true;
        if (!std::all_of(init->key.pieces.begin(), init->key.pieces.end(),
                         [&](const auto& piece) { return is_steady(piece); })) {
          return false;
        }
      }
    }
    return any;
  }
  [[nodiscard]] bool is_steady(const seclang::MacroPiece& piece) const {
    if (!piece.is_variable || piece.variable == VariableId::kRemoteAddr ||
        piece.variable == VariableId::kRequestHeaders) {
      return true;
    }
    if (piece.variable != VariableId::kTx) return false;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      if (!folded_.deferred[i] && keys_[i].written.contains(lower_key(piece.key))) return false;
    }
    return true;
  }

  Folded& folded_;
  const std::vector<Rule>& rules_;
  std::vector<Keys> keys_;  ///< by rule
};

}  // namespace

bool only_skips(const Rule& rule) {
  return std::all_of(rule.links.begin(), rule.links.end(), [&](const Link& link) {
    const bool is_head = &link == &rule.links[0];
    return link.set_variables.empty() && link.effects.empty() && link.status == 0 &&
           !link.capture && link.severity == seclang::kSeverityUnset &&
           (is_head || !link.jump.has_value());
  });
}

void drop_idle(Folded& folded) {
  const std::vector<Rule>& rules = folded.rules.rules;
  for (std::uint8_t phase = 1; phase <= abi::kPhaseCount; ++phase) {
    std::size_t next = rules.size();  // of those that stay
    for (std::size_t i = rules.size(); i-- > 0;) {
      if (rules[i].phase != phase || folded.dropped[i]) continue;
      const auto& jump = rules[i].head().jump;
      const bool skips_none = !jump.has_value() || next >= jump->to;
      const bool looked_at = next < rules.size() && reads_matched(rules[next].head());
      if (is_quiet(rules[i]) && only_skips(rules[i]) && skips_none && !looked_at) {
        folded.dropped[i] = true;
        ++folded.count;
      } else {
        next = i;
      }
    }
  }
}

void defer(Folded& folded) { Deferral(folded).run(); }

}  // namespace sluice::compile
