// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/name_gate.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "dataplane/abi/names.h"
#include "dataplane/abi/operators.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/abi/transforms.h"
#include "dataplane/abi/variables.h"
#include "dataplane/rules/ruleset.h"

namespace sluice::rules {
namespace {

using abi::VariableId;

constexpr auto kTx = static_cast<std::uint16_t>(VariableId::kTx);

bool begins(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && abi::equal_ignoring_case(text.substr(0, with.size()), with);
}

class Finder {
 public:
  explicit Finder(const Ruleset& ruleset) : ruleset_(ruleset) {}

  std::vector<std::string_view> find(std::uint32_t starter) {
    const abi::Rule& first = ruleset_.rules()[starter];
    if (first.next_link == abi::kNone32 || !keeps_names(first)) return {};
    const abi::Rule& second = ruleset_.rules()[first.next_link];
    if (!looks_through(second) || is_seen_elsewhere(second) || leaves_whole_match(starter)) {
      return {};
    }
    return names_of(ruleset_.text(texts()[second.argument.first_part].text));
  }

 private:
  [[nodiscard]] std::span<const abi::TextPart> texts() const {
    return ruleset_.array<abi::TextPart>(ruleset_.header().texts);
  }
  [[nodiscard]] std::span<const abi::TextPart> parts(const abi::RuleText& text) const {
    return texts().subspan(text.first_part, text.part_count);
  }
  [[nodiscard]] const abi::RuleTarget& target(const abi::Rule& rule) const {
    return ruleset_.array<abi::RuleTarget>(ruleset_.header().targets)[rule.first_target];
  }
  /// One plain target and an operator that is not turned around.
  static bool is_plain(const abi::Rule& rule, abi::OperatorId id) {
    constexpr std::uint32_t kOther = abi::kRuleNegated | abi::kRuleMultiMatch;
    return (rule.flags & kOther) == 0 && (rule.flags & abi::kRuleHasOperator) != 0 &&
           rule.target_count == 1 && rule.operator_id == static_cast<std::uint8_t>(id);
  }
  [[nodiscard]] bool is_lower_case_at_most(std::uint16_t node) const {
    const auto& step = ruleset_.array<abi::TransformNode>(ruleset_.header().nodes)[node];
    return node == 0 || (step.parent == 0 &&
                         step.transform == static_cast<std::uint8_t>(abi::TransformId::kLowercase));
  }
  [[nodiscard]] bool is_text(const abi::TextPart& part, std::string_view text) const {
    return part.variable == abi::kNone16 && ruleset_.text(part.text) == text;
  }
  [[nodiscard]] bool is_whole_match(const abi::TextPart& part) const {
    return part.variable == kTx && ruleset_.text(part.text) == "0";
  }

  /// The first link: for every name N it sets TX.PREFIX_N to /N/. Notes the prefix.
  bool keeps_names(const abi::Rule& rule) {
    if (!is_plain(rule, abi::OperatorId::kRx) || (rule.flags & abi::kRuleCapture) == 0 ||
        !is_lower_case_at_most(rule.node) || rule.set_count != 1 ||
        rule.argument_index == abi::kNone32) {
      return false;
    }
    const abi::RuleTarget& names = target(rule);
    if (names.variable != static_cast<std::uint16_t>(VariableId::kRequestHeadersNames) ||
        names.selector != abi::Selector::kAll || names.is_count != 0) {
      return false;
    }
    const auto& regex =
        ruleset_.array<abi::RegexSpec>(ruleset_.header().regexes)[rule.argument_index];
    if (ruleset_.text(regex.pattern) != "^.*$") return false;
    const auto& set = ruleset_.array<abi::RuleAction>(ruleset_.header().actions)[rule.first_set];
    if (set.variable != kTx ||
        set.operation != static_cast<std::uint8_t>(abi::SetOperation::kAssign)) {
      return false;
    }
    const auto key = parts(set.key), value = parts(set.value);
    if (key.size() != 2 || key[0].variable != abi::kNone16 || !is_whole_match(key[1])) return false;
    prefix_ = ruleset_.text(key[0].text);
    return value.size() == 3 && is_text(value[0], "/") && is_whole_match(value[1]) &&
           is_text(value[2], "/");
  }

  /// The second: whether one of them is in a list that does not change.
  [[nodiscard]] bool looks_through(const abi::Rule& rule) const {
    if (!is_plain(rule, abi::OperatorId::kWithin) || rule.node != 0) return false;
    const auto list = parts(rule.argument);
    const abi::RuleTarget& kept = target(rule);
    return list.size() == 1 && list[0].variable == abi::kNone16 && kept.variable == kTx &&
           kept.selector == abi::Selector::kRegex && kept.is_count == 0 && prefix_.size() > 1 &&
           ruleset_.text(kept.key).substr(0, 1) == "^" &&
           abi::equal_ignoring_case(ruleset_.text(kept.key).substr(1), prefix_) &&
           prefix_.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") ==
               std::string_view::npos;
  }

  /// Could a rule besides this one see a key PREFIX_N, N without `_`?
  [[nodiscard]] bool is_seen_elsewhere(const abi::Rule& reader) const {
    const auto targets = ruleset_.array<abi::RuleTarget>(ruleset_.header().targets);
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const abi::RuleTarget& each = targets[i];
      if (each.variable != kTx || i == reader.first_target) continue;
      const std::string_view key = ruleset_.text(each.key);
      const bool sees = each.selector == abi::Selector::kKey     ? begins(key, prefix_)
                        : each.selector == abi::Selector::kRegex ? may_find(key)
                                                                 : true;
      if (sees) return true;
    }
    return std::any_of(texts().begin(), texts().end(), [&](const abi::TextPart& part) {
      return part.variable == kTx && begins(ruleset_.text(part.text), prefix_);
    });
  }
  /// The first link leaves the last name in TX.0. Could a chain that captures nothing itself read
  /// it there? What only messages show does not count (docs/seclang.md).
  [[nodiscard]] bool leaves_whole_match(std::uint32_t starter) const {
    const auto rules = ruleset_.rules();
    bool captured = false;
    for (std::uint32_t i = 0; i < rules.size(); ++i) {
      const abi::Rule& rule = rules[i];
      if ((rule.flags & abi::kRuleLink) == 0) captured = false;
      if (rule.starter == starter) continue;
      if (!captured && (reads_whole_match(rule.argument) || targets_whole_match(rule))) return true;
      captured = captured || captures(rule);
      if (!captured && uses_whole_match(rule)) return true;
    }
    return false;
  }
  /// Whether TX.0 is set whenever the rule matches.
  static bool captures(const abi::Rule& rule) {
    using enum abi::OperatorId;
    constexpr std::uint32_t kWanted = abi::kRuleCapture | abi::kRuleHasOperator;
    if ((rule.flags & kWanted) != kWanted || (rule.flags & abi::kRuleNegated) != 0) return false;
    const auto id = static_cast<abi::OperatorId>(rule.operator_id);
    return id == kRx || id == kPm || id == kPmFromFile || id == kDetectSqli || id == kDetectXss;
  }
  [[nodiscard]] bool reads_whole_match(const abi::RuleText& text) const {
    const auto all = parts(text);
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& part) { return is_whole_match(part); });
  }
  [[nodiscard]] bool targets_whole_match(const abi::Rule& rule) const {
    const auto targets = ruleset_.array<abi::RuleTarget>(ruleset_.header().targets)
                             .subspan(rule.first_target, rule.target_count);
    return std::any_of(targets.begin(), targets.end(), [&](const abi::RuleTarget& each) {
      return each.variable == kTx && ruleset_.text(each.key) == "0";
    });
  }
  [[nodiscard]] bool uses_whole_match(const abi::Rule& rule) const {
    const auto actions = ruleset_.array<abi::RuleAction>(ruleset_.header().actions);
    const auto in_actions = [&](std::uint32_t first, std::uint32_t count) {
      const auto some = actions.subspan(first, count);
      return std::any_of(some.begin(), some.end(), [&](const abi::RuleAction& action) {
        return reads_whole_match(action.key) || reads_whole_match(action.value);
      });
    };
    return in_actions(rule.first_set, rule.set_count) ||
           in_actions(rule.first_after, rule.after_count) || reads_whole_match(rule.redirect);
  }
  /// Could a pattern find something in PREFIX_N? By the text that it begins with.
  [[nodiscard]] bool may_find(std::string_view pattern) const {
    if (pattern.find('|') != std::string_view::npos) return true;
    if (pattern.starts_with('^')) pattern.remove_prefix(1);
    std::string text;
    for (; !pattern.empty(); pattern.remove_prefix(1)) {
      const bool escaped = pattern.size() > 1 && pattern[0] == '\\' &&
                           std::ispunct(static_cast<unsigned char>(pattern[1])) != 0;
      if (escaped) pattern.remove_prefix(1);
      const auto c = static_cast<unsigned char>(pattern[0]);
      if (!escaped && std::isalnum(c) == 0 && c != '_' && c != '-') break;
      text += pattern[0];
    }
    // What a quantifier stands behind may be missing.
    if (!pattern.empty() && !text.empty() &&
        std::string_view("*?{").find(pattern[0]) != std::string_view::npos) {
      text.pop_back();
    }
    for (std::size_t start = 0; start <= prefix_.size(); ++start) {
      const std::string_view tail = prefix_.substr(start, text.size());
      if (begins(text, tail) && text.find_first_of("_/", tail.size()) == std::string::npos) {
        return true;
      }
    }
    return false;
  }

  /// Every N for which the list holds /N/.
  static std::vector<std::string_view> names_of(std::string_view list) {
    std::vector<std::string_view> names;
    std::size_t slash = list.find('/');
    while (slash != std::string_view::npos) {
      const std::size_t next = list.find('/', slash + 1);
      if (next == std::string_view::npos) break;
      names.push_back(list.substr(slash + 1, next - slash - 1));
      slash = next;
    }
    return names;
  }

  const Ruleset& ruleset_;
  std::string_view prefix_;
};

}  // namespace

std::vector<std::string_view> listed_names(const Ruleset& ruleset, std::uint32_t starter) {
  return Finder(ruleset).find(starter);
}

}  // namespace sluice::rules
