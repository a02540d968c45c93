// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <set>

#include "controlplane/seclang/linker.h"

namespace sluice::seclang {
namespace {

/// Always matches, whatever the request.
bool always_matches(const Rule& rule) {
  if (!rule.complete) return false;
  for (const Link& link : rule.links) {
    if (link.unconditional) continue;
    const bool constant =
        (link.op.id == abi::OperatorId::kUnconditionalMatch && !link.op.negated) ||
        (link.op.id == abi::OperatorId::kNoMatch && link.op.negated);
    // A collection may be empty, and then nothing matches.
    const bool has_value =
        !link.targets.empty() &&
        abi::variable_info(link.targets[0].variable).kind == abi::VariableKind::kScalar;
    if (!constant || !has_value) return false;
  }
  return true;
}

bool ends_phase(Disruptive disruptive) {
  return disruptive != Disruptive::kNone && disruptive != Disruptive::kPass;
}

/// The text of a control may be a tag or a message of the rule. A macro may become any text.
bool may_be(const MacroText& text, const std::string& wanted) {
  return !text.is_constant() || text.constant() == wanted;
}

/// Whether the control can keep the rule from running, or from ending the phase.
bool may_switch_off(const Control& control, const Rule& rule) {
  using enum abi::ControlArgument;
  switch (abi::control_info(control.id).argument) {
    case kEngine:
      return true;
    case kIds:
    case kIdsAndTarget:
      return control.first_id <= rule.id && rule.id <= control.last_id;
    case kText:
    case kTextAndTarget:
      return std::ranges::any_of(rule.links, [&](const Link& link) {
        return (link.msg && may_be(*link.msg, control.text)) ||
               std::ranges::any_of(link.tags,
                                   [&](const MacroText& tag) { return may_be(tag, control.text); });
      });
    case kOnOff:
    case kProcessor:
    case kNumber:
    case kOther:
      return false;
  }
  return false;
}

/// Whether the rule ends its phase, or jumps, with each request: no engine mode and no ctl of
/// another rule can take it out.
bool is_certain(const LinkedRules& rules, const Rule& cause) {
  if (rules.settings.engine != EngineMode::kOn) return false;
  return std::ranges::none_of(rules.rules, [&](const Rule& rule) {
    return std::ranges::any_of(rule.links, [&](const Link& link) {
      return std::ranges::any_of(link.effects, [&](const Effect& effect) {
        const auto* control = std::get_if<Control>(&effect);
        return control != nullptr && may_switch_off(*control, cause);
      });
    });
  });
}

}  // namespace

void report_unreachable(const LinkedRules& rules, Reporter& reporter) {
  for (std::uint8_t phase = 1; phase <= 5; ++phase) {
    const Rule* cause = nullptr;     // always ends or skips what stands here; null: nothing does
    std::set<std::size_t> landings;  // where jumps of rules that may run go on
    bool reported = false;
    for (std::size_t i = 0; i < rules.rules.size(); ++i) {
      const Rule& rule = rules.rules[i];
      if (rule.phase != phase) continue;
      if (!landings.empty() && *landings.begin() <= i) {
        landings.erase(landings.begin(), landings.upper_bound(i));
        cause = nullptr;
      }
      if (cause != nullptr) {
        if (!reported) {
          const std::string message =
              "rule " + std::to_string(rule.id) + " can never run: rule " +
              std::to_string(cause->id) + " at " + reporter.text(cause->head().place) +
              " always ends or skips this part of the phase (remove one of them)";
          if (is_certain(rules, *cause)) {
            reporter.error(rule.head().place, message);
          } else {
            reporter.warning(rule.head().place, message);
          }
        }
        reported = true;
        continue;
      }
      const bool always = always_matches(rule);
      const bool ends = always && ends_phase(rule.disruptive);
      if (!ends) {
        for (const Link& link : rule.links) {
          if (link.jump) landings.insert(link.jump->to);
        }
      }
      if (!ends && !(always && rule.head().jump)) continue;
      cause = &rule;
      reported = false;
    }
  }
}

}  // namespace sluice::seclang
