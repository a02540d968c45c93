// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/link.h"

#include <algorithm>

#include "controlplane/seclang/linker.h"

namespace sluice::seclang {
namespace {

struct LogFlags {
  bool log = true, audit = true;
};

void switch_logs(const std::vector<LogSwitch>& switches, LogFlags& flags) {
  for (const LogSwitch item : switches) {
    if (item == LogSwitch::kNoLog) flags = {false, false};
    if (item == LogSwitch::kLog || item == LogSwitch::kAuditLog) flags = {true, true};
    // The reference also takes the match out of its server log; its own tests call that wrong.
    if (item == LogSwitch::kNoAuditLog) flags.audit = false;
  }
}

/// Everything in front of the last t:none is ignored, defaults too.
std::vector<abi::TransformId> merge_transforms(const ActionList* defaults, const ActionList& own) {
  std::vector<abi::TransformId> merged;
  const auto none =
      std::find(own.transforms.rbegin(), own.transforms.rend(), abi::TransformId::kNone);
  if (none == own.transforms.rend() && defaults != nullptr) merged = defaults->transforms;
  merged.insert(merged.end(), none.base(), own.transforms.end());
  return merged;
}

class RuleBuilder {
 public:
  RuleBuilder(const Program& program, SourceSet& sources, Reporter& reporter, LinkedRules& rules)
      : program_(program), sources_(sources), reporter_(reporter), rules_(rules) {}

  void run(const std::vector<bool>& removed) {
    // kept_[i]: how many chains in front of chain i stay, so the index of what i becomes.
    kept_.push_back(0);
    for (const bool gone : removed) kept_.push_back(kept_.back() + (gone ? 0 : 1));
    for (std::size_t i = 0; i < program_.chains.size(); ++i) {
      if (removed[i]) {
        ++rules_.removed;
      } else {
        rules_.rules.push_back(build(i));
      }
    }
  }

 private:
  [[nodiscard]] const ActionList* defaults(std::uint8_t phase) const {
    const auto& node = program_.defaults[phase];
    return node ? &node->actions : nullptr;
  }

  Rule build(std::size_t index) {
    const Chain& chain = program_.chains[index];
    const ActionList& head = chain.nodes.front().actions;
    Rule rule;
    rule.id = head.id.value_or(0);
    rule.phase = chain.phase;
    rule.complete = chain.complete;
    rule.rev = head.rev;
    rule.ver = head.ver;
    rule.maturity = head.maturity;
    rule.accuracy = head.accuracy;
    for (const RuleNode& node : chain.nodes) rule.links.push_back(build_link(node, index));
    LogFlags flags;
    for (auto node = chain.nodes.rbegin(); node != chain.nodes.rend(); ++node) {
      if (const ActionList* list = defaults(chain.phase)) switch_logs(list->logs, flags);
      switch_logs(node->actions.logs, flags);
    }
    rule.log = flags.log;
    rule.audit_log = flags.audit;
    set_disruptive(chain, rule);
    return rule;
  }

  void set_disruptive(const Chain& chain, Rule& rule) {
    const auto is_block = [](const RuleNode& node) {
      return node.actions.disruptive && node.actions.disruptive->id == abi::ActionId::kBlock;
    };
    const RuleNode& head = chain.nodes.front();
    const bool link_blocks = std::any_of(chain.nodes.begin() + 1, chain.nodes.end(), is_block);
    rule.wrote_block = is_block(head) || (!head.actions.disruptive && link_blocks);
    const ActionList* list = defaults(chain.phase);
    const DisruptiveNode* source = nullptr;
    if (rule.wrote_block) {
      if (list != nullptr) source = &*list->disruptive;
    } else if (head.actions.disruptive) {
      source = &*head.actions.disruptive;
    }
    if (source == nullptr) return;
    rule.disruptive = source->kind;
    rule.redirect = source->redirect;
  }

  Link build_link(const RuleNode& node, std::size_t index) {
    const ActionList* list = defaults(program_.chains[index].phase);
    const ActionList& own = node.actions;
    Link link;
    link.place = node.place;
    link.text = node.text;
    link.unconditional = node.unconditional;
    link.targets = resolve_targets(node.targets);
    if (link.targets.empty() && !node.unconditional && !node.targets.empty()) {
      reporter_.warning(node.targets.front().target.place,
                        "all targets of this rule are excluded, so it can never match");
    }
    link.op = node.op;
    read_files(link.op);
    link.transforms = merge_transforms(list, own);
    link.multi_match = own.multi_match;
    link.capture = own.capture;
    link.set_variables = own.set_variables;
    if (list != nullptr) link.effects = list->effects;
    link.effects.insert(link.effects.end(), own.effects.begin(), own.effects.end());
    if (own.jump) link.jump = resolve_jump(*own.jump, index);
    link.status = own.status != 0 || list == nullptr ? own.status : list->status;
    merge_texts(list, own, link);
    return link;
  }

  static void merge_texts(const ActionList* list, const ActionList& own, Link& link) {
    link.msg = own.msg;
    link.logdata = own.logdata;
    link.severity = own.severity;
    link.tags = own.tags;
    if (list == nullptr) return;
    if (!link.msg) link.msg = list->msg;
    if (!link.logdata) link.logdata = list->logdata;
    if (link.severity == kSeverityUnset) link.severity = list->severity;
    link.tags.insert(link.tags.begin(), list->tags.begin(), list->tags.end());
  }

  void read_files(Operator& op) {
    if (abi::operator_info(op.id).argument != abi::OperatorArgument::kFile) return;
    // ipMatchFromFile takes a list of files; a phrase file's name may hold anything.
    std::size_t at = 0;
    while (at < op.argument.size()) {
      std::size_t end = op.argument.size();
      if (op.id == abi::OperatorId::kIpMatchFromFile)
        end = std::min(op.argument.find(',', at), end);
      const std::string path = op.argument.substr(at, end - at);
      const auto data = read_data(path, op.argument_place, sources_, reporter_, rules_);
      if (data) op.data.push_back(*data);
      at = end + 1;
    }
  }

  Jump resolve_jump(const JumpNode& node, std::size_t index) {
    Jump jump;
    jump.count = node.count;
    jump.marker = node.marker;
    jump.to = static_cast<std::uint32_t>(kept_.back());
    if (node.count > 0) {
      jump.to = static_cast<std::uint32_t>(kept_[behind_skip(index, node.count)]);
      return jump;
    }
    for (const Marker& marker : program_.markers) {
      if (marker.chain <= index || marker.name != node.marker) continue;
      jump.to = static_cast<std::uint32_t>(kept_[marker.chain]);
      return jump;
    }
    reporter_.warning(node.place,
                      "no SecMarker " + node.marker + " follows: the rest of the phase is skipped");
    return jump;
  }

  /// The chain behind the next `count` of the same phase. Removed ones count, as in the reference.
  [[nodiscard]] std::size_t behind_skip(std::size_t index, std::uint32_t count) const {
    const std::uint8_t phase = program_.chains[index].phase;
    std::size_t at = index + 1;
    while (at < program_.chains.size() && count > 0) {
      if (program_.chains[at].phase == phase) --count;
      ++at;
    }
    return at;
  }

  const Program& program_;
  SourceSet& sources_;
  Reporter& reporter_;
  LinkedRules& rules_;
  std::vector<std::size_t> kept_;
};

void link_nodes(std::vector<Node> nodes, SourceSet& sources, config::Diagnostics& diagnostics,
                LinkedRules& rules) {
  Reporter reporter(rules.files, diagnostics);
  Program program = sort_nodes(std::move(nodes), reporter);
  apply_updates(program, reporter);
  apply_settings(program.settings, sources, reporter, rules);
  RuleBuilder(program, sources, reporter, rules).run(find_removed(program, reporter));
  // Only of rules that are as they were meant.
  if (diagnostics.ok()) report_unreachable(rules, reporter);
  report_unkeyed_collections(rules, reporter);
}

}  // namespace

LinkedRules link_files(const std::vector<std::string>& files, SourceSet& sources,
                       config::Diagnostics& diagnostics) {
  LinkedRules rules;
  Loader loader(rules, sources, diagnostics);
  for (const std::string& file : files) loader.load(file);
  link_nodes(loader.take_nodes(), sources, diagnostics, rules);
  return rules;
}

LinkedRules link_text(const std::string& name, std::string_view text, SourceSet& sources,
                      config::Diagnostics& diagnostics) {
  LinkedRules rules;
  Loader loader(rules, sources, diagnostics);
  loader.load_text(name, text);
  link_nodes(loader.take_nodes(), sources, diagnostics, rules);
  return rules;
}

void report_error(const LinkedRules& rules, const Place& place, std::string message,
                  config::Diagnostics& diagnostics) {
  Reporter(rules.files, diagnostics).error(place, std::move(message));
}

void report_warning(const LinkedRules& rules, const Place& place, std::string message,
                    config::Diagnostics& diagnostics) {
  Reporter(rules.files, diagnostics).warning(place, std::move(message));
}

}  // namespace sluice::seclang
