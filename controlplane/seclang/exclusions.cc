// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>

#include "controlplane/seclang/linker.h"

namespace sluice::seclang {
namespace {

bool same_selector(const Selector& left, const Selector& right) {
  if (left.kind != right.kind) return false;
  return left.kind == Selector::Kind::kName ? abi::equal_ignoring_case(left.text, right.text)
                                            : left.text == right.text;
}

/// Takes `excluded` out of the targets. A whole variable takes out only targets that are spelled
/// the same; a member takes out that target, and is left out of the collection's other targets.
void exclude(std::vector<Target>& targets, const Target& excluded) {
  std::erase_if(targets, [&](const Target& target) {
    return target.variable == excluded.variable && !target.count &&
           same_selector(target.selector, excluded.selector);
  });
  if (excluded.selector.kind == Selector::Kind::kNone) return;
  for (Target& target : targets) {
    if (target.variable == excluded.variable && !target.count) {
      target.excluded.push_back(excluded.selector);
    }
  }
}

/// Collections whose members are all members of `variable`, and lists of their names.
std::vector<abi::VariableId> parts_of(abi::VariableId variable) {
  using enum abi::VariableId;
  switch (variable) {
    case kArgs:
      return {kArgsNames, kArgsGet, kArgsGetNames, kArgsPost, kArgsPostNames};
    case kArgsGet:
      return {kArgsGetNames};
    case kArgsPost:
      return {kArgsPostNames};
    case kFiles:
      return {kFilesNames};
    case kRequestCookies:
      return {kRequestCookiesNames};
    case kRequestHeaders:
      return {kRequestHeadersNames};
    case kResponseHeaders:
      return {kResponseHeadersNames};
    default:
      return {};
  }
}

/// The regex of an update looks at the names of members alone, so that it meets the names of what
/// it takes out as well. (In the reference it meets every collection of the rule.)
std::vector<TargetNode> with_parts(std::vector<TargetNode> targets) {
  for (std::size_t i = 0, count = targets.size(); i < count; ++i) {
    if (!targets[i].exclude || targets[i].target.selector.kind != Selector::Kind::kRegex) continue;
    for (const abi::VariableId part : parts_of(targets[i].target.variable)) {
      targets.push_back(targets[i]);
      targets.back().target.variable = part;
    }
  }
  return targets;
}

bool is_text(const MacroText& text, std::string_view wanted) {
  return text.is_constant() && text.constant() == wanted;
}

bool has_tag(const RuleNode& rule, std::string_view tag) {
  return std::any_of(rule.actions.tags.begin(), rule.actions.tags.end(),
                     [&](const MacroText& text) { return is_text(text, tag); });
}

bool has_msg(const RuleNode& rule, std::string_view msg) {
  return rule.actions.msg && is_text(*rule.actions.msg, msg);
}

bool in_ranges(const RuleNode& rule, const std::vector<IdRange>& ranges) {
  return rule.actions.id && std::any_of(ranges.begin(), ranges.end(), [&](const IdRange& range) {
           return *rule.actions.id >= range.first && *rule.actions.id <= range.last;
         });
}

/// By id the head alone is meant; by tag or msg each link with its own.
bool is_meant(const UpdateTargetNode& update, const RuleNode& rule, bool is_head) {
  if (!update.ids.empty()) return is_head && in_ranges(rule, update.ids);
  if (!update.tag.empty()) return has_tag(rule, update.tag);
  return has_msg(rule, update.msg);
}

void append_actions(ActionList& into, const ActionList& from) {
  const auto append = [](auto& list, const auto& more) {
    list.insert(list.end(), more.begin(), more.end());
  };
  append(into.transforms, from.transforms);
  append(into.set_variables, from.set_variables);
  append(into.effects, from.effects);
  append(into.logs, from.logs);
  append(into.tags, from.tags);
  if (from.disruptive) into.disruptive = from.disruptive;
  if (from.jump) into.jump = from.jump;
  if (from.status != 0) into.status = from.status;
  if (from.msg) into.msg = from.msg;
  if (from.logdata) into.logdata = from.logdata;
  if (from.severity != kSeverityUnset) into.severity = from.severity;
  into.multi_match = into.multi_match || from.multi_match;
  into.capture = into.capture || from.capture;
}

void apply_action_update(Program& program, const UpdateActionNode& update, Reporter& reporter) {
  const ActionList& actions = update.actions;
  if (actions.id_place.line != 0 || actions.phase_place.line != 0 || actions.chain) {
    reporter.error(actions.place, "id, phase and chain of a rule cannot be changed");
    return;
  }
  for (Chain& chain : program.chains) {
    if (chain.nodes.front().actions.id != update.id) continue;
    if (update.link >= chain.nodes.size()) {
      reporter.error(update.place, "rule " + std::to_string(update.id) + " has " +
                                       std::to_string(chain.nodes.size()) +
                                       " links, counted from 0");
      return;
    }
    if (update.link > 0 && actions.disruptive) {
      reporter.error(actions.disruptive->place,
                     "a disruptive action stands on the first rule of a chain only");
      return;
    }
    append_actions(chain.nodes[update.link].actions, actions);
    return;
  }
  reporter.warning(update.place, "no rule has the id " + std::to_string(update.id));
}

std::string what(const RemoveNode& node) {
  if (!node.tag.empty()) return "the tag " + node.tag;
  return "the msg " + node.msg;
}

}  // namespace

std::vector<Target> resolve_targets(const std::vector<TargetNode>& nodes) {
  std::vector<Target> targets;
  for (const TargetNode& node : nodes) {
    if (!node.exclude) targets.push_back(node.target);
  }
  for (const TargetNode& node : nodes) {
    if (node.exclude) exclude(targets, node.target);
  }
  return targets;
}

void apply_updates(Program& program, Reporter& reporter) {
  for (const UpdateTargetNode& update : program.target_updates) {
    const std::vector<TargetNode> targets = with_parts(update.targets);
    bool found = false;
    for (Chain& chain : program.chains) {
      for (std::size_t i = 0; i < chain.nodes.size(); ++i) {
        RuleNode& rule = chain.nodes[i];
        if (!is_meant(update, rule, i == 0) || rule.unconditional) continue;
        rule.targets.insert(rule.targets.end(), targets.begin(), targets.end());
        found = true;
      }
    }
    if (!found) reporter.warning(update.place, "no rule is meant by this update");
  }
  for (const UpdateActionNode& update : program.action_updates) {
    apply_action_update(program, update, reporter);
  }
}

std::vector<bool> find_removed(const Program& program, Reporter& reporter) {
  std::vector<bool> removed(program.chains.size(), false);
  for (const RemoveNode& removal : program.removals) {
    std::vector<IdRange> missing;
    for (const IdRange& range : removal.ids) {
      bool found = false;
      for (std::size_t i = 0; i < program.chains.size(); ++i) {
        if (!in_ranges(program.chains[i].nodes.front(), {range})) continue;
        removed[i] = found = true;
      }
      if (!found) {
        reporter.warning(range.place,
                         "no rule has the id " + std::to_string(range.first) +
                             (range.first == range.last ? "" : "-" + std::to_string(range.last)));
      }
    }
    if (!removal.ids.empty()) continue;
    bool found = false;
    for (std::size_t i = 0; i < program.chains.size(); ++i) {
      const RuleNode& head = program.chains[i].nodes.front();
      if (removal.tag.empty() ? has_msg(head, removal.msg) : has_tag(head, removal.tag)) {
        removed[i] = found = true;
      }
    }
    if (!found) reporter.warning(removal.place, "no rule has " + what(removal));
  }
  return removed;
}

}  // namespace sluice::seclang
