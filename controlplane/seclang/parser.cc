// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/parser.h"

#include <iterator>

#include "controlplane/seclang/values.h"

namespace sluice::seclang {
namespace {

std::vector<std::string_view> directive_names() {
  std::vector<std::string_view> names;
  names.reserve(std::size(kDirectives));
  for (const DirectiveInfo& info : kDirectives) names.push_back(info.name);
  return names;
}

class Parser {
 public:
  Parser(const SourceText& source, Reporter& reporter) : source_(source), reporter_(reporter) {}

  std::vector<Node> run() {
    for (const RawDirective& raw : lex(source_, reporter_)) take(raw);
    return std::move(nodes_);
  }

 private:
  void take(const RawDirective& raw) {
    place_ = source_.at(raw.begin);
    const std::string_view name = source_.slice(raw.name.begin, raw.name.end);
    if (name.starts_with('<')) {
      reporter_.error(place_, "sections of Apache (" + std::string(name) +
                                  ") are not supported: put the directives here without them");
      return;
    }
    const auto id = find_directive(name);
    if (!id) {
      reporter_.error(place_, "unknown directive " + std::string(name) +
                                  config::suggestion(name, directive_names()));
      return;
    }
    const DirectiveInfo& info = directive_info(*id);
    if (!check_support(info, raw) || !check_count(info, raw)) return;
    switch (*id) {
      case DirectiveId::kSecRule:
        return take_rule(raw);
      case DirectiveId::kSecAction:
        return take_action(raw);
      case DirectiveId::kSecMarker:
        nodes_.push_back(MarkerNode{place_, text(raw.arguments[0])});
        return;
      case DirectiveId::kSecDefaultAction:
        nodes_.push_back(DefaultActionNode{place_, parse_actions(placed(raw, 0), reporter_)});
        return;
      case DirectiveId::kSecRuleRemoveById:
        return take_remove_by_id(raw);
      case DirectiveId::kSecRuleRemoveByTag:
        nodes_.push_back(RemoveNode{place_, {}, text(raw.arguments[0]), {}});
        return;
      case DirectiveId::kSecRuleRemoveByMsg:
        nodes_.push_back(RemoveNode{place_, {}, {}, text(raw.arguments[0])});
        return;
      case DirectiveId::kSecRuleUpdateTargetById:
      case DirectiveId::kSecRuleUpdateTargetByTag:
      case DirectiveId::kSecRuleUpdateTargetByMsg:
        return take_update_target(*id, raw);
      case DirectiveId::kSecRuleUpdateActionById:
        return take_update_action(raw);
      case DirectiveId::kInclude:
      case DirectiveId::kIncludeOptional:
        nodes_.push_back(IncludeNode{source_.at(raw.arguments[0].begin), text(raw.arguments[0]),
                                     *id == DirectiveId::kIncludeOptional});
        return;
      default:
        return take_setting(*id, raw);
    }
  }

  /// Noted and refused directives are named; Off asks for nothing, so it is never refused.
  bool check_support(const DirectiveInfo& info, const RawDirective& raw) {
    const bool off =
        raw.arguments.size() == 1 && abi::equal_ignoring_case(text(raw.arguments[0]), "Off");
    const std::string name(info.name), note(info.note);
    if (info.support == DirectiveSupport::kRefused && !off) {
      reporter_.error(place_, name + " is not supported: " + note);
      return false;
    }
    if (info.support == DirectiveSupport::kNoted && !off) {
      reporter_.warning(place_, name + " has no effect: " + note);
    }
    return true;
  }

  bool check_count(const DirectiveInfo& info, const RawDirective& raw) {
    const std::size_t count = raw.arguments.size();
    const std::string name(info.name);
    if (count < info.values_min) {
      reporter_.error(source_.at(raw.end), name + " needs " + std::to_string(info.values_min) +
                                               (info.values_min == 1 ? " value" : " values") +
                                               ", got " + std::to_string(count));
      return false;
    }
    if (info.values_max != kAnyNumber && count > info.values_max) {
      reporter_.error(source_.at(raw.arguments[info.values_max].begin),
                      name + " takes " + std::to_string(info.values_max) +
                          (info.values_max == 1 ? " value" : " values") +
                          ", got more: quote a text that holds blanks");
      return false;
    }
    return true;
  }

  [[nodiscard]] PlacedText placed(const RawDirective& raw, std::size_t index) const {
    return PlacedText(source_, raw.arguments[index].begin, raw.arguments[index].end);
  }
  [[nodiscard]] std::string text(const Token& token) const {
    return std::string(PlacedText(source_, token.begin, token.end).text());
  }
  [[nodiscard]] std::string written(const RawDirective& raw) const {
    return std::string(source_.slice(raw.begin, raw.end));
  }

  void take_rule(const RawDirective& raw) {
    RuleNode rule;
    rule.place = place_;
    rule.text = written(raw);
    rule.targets = parse_targets(placed(raw, 0), reporter_);
    auto op = parse_operator(source_, raw.arguments[1], reporter_);
    if (op) rule.op = std::move(*op);
    if (raw.arguments.size() > 2) rule.actions = parse_actions(placed(raw, 2), reporter_);
    nodes_.push_back(std::move(rule));
  }

  void take_action(const RawDirective& raw) {
    RuleNode rule;
    rule.place = place_;
    rule.text = written(raw);
    rule.unconditional = true;
    rule.actions = parse_actions(placed(raw, 0), reporter_);
    nodes_.push_back(std::move(rule));
  }

  void take_remove_by_id(const RawDirective& raw) {
    RemoveNode node{place_, {}, {}, {}};
    for (std::size_t i = 0; i < raw.arguments.size(); ++i) {
      for (const IdRange& range : parse_ids(placed(raw, i), reporter_)) node.ids.push_back(range);
    }
    if (!node.ids.empty()) nodes_.push_back(std::move(node));
  }

  void take_update_target(DirectiveId id, const RawDirective& raw) {
    if (raw.arguments.size() > 2) {
      reporter_.error(source_.at(raw.arguments[2].begin),
                      "replacing a target is not supported, as in ModSecurity v3: exclude the old "
                      "one (!NAME) and add the new one");
      return;
    }
    UpdateTargetNode node;
    node.place = place_;
    if (id == DirectiveId::kSecRuleUpdateTargetById) {
      node.ids = parse_ids(placed(raw, 0), reporter_);
      if (node.ids.empty()) return;
    } else if (id == DirectiveId::kSecRuleUpdateTargetByTag) {
      node.tag = text(raw.arguments[0]);
    } else {
      node.msg = text(raw.arguments[0]);
    }
    node.targets = parse_targets(placed(raw, 1), reporter_);
    if (!node.targets.empty()) nodes_.push_back(std::move(node));
  }

  void take_update_action(const RawDirective& raw) {
    const std::string name = text(raw.arguments[0]);
    const std::size_t colon = name.find(':');
    const auto id = parse_number(std::string_view(name).substr(0, colon), UINT32_MAX);
    const auto link = colon == std::string::npos
                          ? std::optional<std::uint64_t>(0)
                          : parse_number(std::string_view(name).substr(colon + 1), 1000);
    if (!id || !link) {
      reporter_.error(source_.at(raw.arguments[0].begin),
                      "expected a rule id, or ID:LINK for a link of its chain, got '" + name + "'");
      return;
    }
    nodes_.push_back(UpdateActionNode{place_, static_cast<std::uint32_t>(*id),
                                      static_cast<std::uint32_t>(*link),
                                      parse_actions(placed(raw, 1), reporter_)});
  }

  void take_setting(DirectiveId id, const RawDirective& raw) {
    SettingNode node;
    node.place = place_;
    node.id = id;
    for (const Token& token : raw.arguments) {
      node.values.push_back(text(token));
      node.places.push_back(source_.at(token.begin));
    }
    nodes_.push_back(std::move(node));
  }

  const SourceText& source_;
  Reporter& reporter_;
  Place place_;
  std::vector<Node> nodes_;
};

}  // namespace

std::vector<Node> parse(const SourceText& source, Reporter& reporter) {
  return Parser(source, reporter).run();
}

std::vector<IdRange> parse_ids(const PlacedText& list, Reporter& reporter) {
  std::vector<IdRange> ranges;
  const std::string_view text = list.text();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(" \t,", at), text.size());
    if (end > at) {
      if (auto range = parse_id_range(text.substr(at, end - at))) {
        range->place = list.at(at);
        ranges.push_back(*range);
      } else {
        reporter.error(list.at(at), "expected a rule id or a range such as 942000-942999, got '" +
                                        std::string(text.substr(at, end - at)) + "'");
      }
    }
    at = end + 1;
  }
  return ranges;
}

}  // namespace sluice::seclang
