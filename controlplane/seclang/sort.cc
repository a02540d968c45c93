// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/linker.h"

namespace sluice::seclang {
namespace {

/// The same effect, whatever the places.
bool same_defaults(const ActionList& left, const ActionList& right) {
  return left.phase == right.phase && left.disruptive->kind == right.disruptive->kind &&
         left.transforms == right.transforms && left.logs == right.logs &&
         left.status == right.status && left.severity == right.severity && left.tags.empty() &&
         right.tags.empty() && left.effects.empty() && right.effects.empty() && !left.msg &&
         !right.msg && !left.logdata && !right.logdata && left.disruptive->redirect.is_constant() &&
         right.disruptive->redirect.is_constant() &&
         left.disruptive->redirect.constant() == right.disruptive->redirect.constant();
}

class Sorter {
 public:
  explicit Sorter(Reporter& reporter) : reporter_(reporter) {}

  Program run(std::vector<Node> nodes) {
    for (Node& node : nodes) {
      std::visit([this](auto& item) { take(item); }, node);
    }
    for (Chain& chain : program_.chains) {
      if (chain.complete) continue;
      const RuleNode& last = chain.nodes.back();
      reporter_.warning(last.actions.chain_place,
                        "no SecRule follows this chain, so it can never match");
    }
    return std::move(program_);
  }

 private:
  void take(RuleNode& rule) {
    // A SecAction stands between the links of a chain without breaking it (ModSecurity v3).
    if (open_chain_ != kNone && !rule.unconditional) return take_link(rule);
    check_head(rule);
    Chain chain;
    chain.phase = rule.actions.phase.value_or(1);
    chain.complete = !rule.actions.chain;
    if (rule.actions.chain) open_chain_ = program_.chains.size();
    chain.nodes.push_back(std::move(rule));
    program_.chains.push_back(std::move(chain));
  }

  void check_head(const RuleNode& rule) {
    if (!rule.actions.id) {
      // A wrong id has been reported where it stands.
      if (rule.actions.id_place.line == 0) {
        reporter_.error(rule.place, "the rule has no id (expected id:NUMBER among its actions)");
      }
      return;
    }
    const auto [known, is_new] = ids_.try_emplace(*rule.actions.id, rule.actions.id_place);
    if (!is_new) {
      reporter_.error(rule.actions.id_place, "the id " + std::to_string(*rule.actions.id) +
                                                 " is taken by the rule at " +
                                                 reporter_.text(known->second));
    }
  }

  void take_link(RuleNode& rule) {
    Chain& chain = program_.chains[open_chain_];
    if (rule.actions.disruptive && rule.actions.disruptive->id != abi::ActionId::kBlock) {
      reporter_.error(rule.actions.disruptive->place,
                      "a disruptive action stands on the first rule of a chain only");
    }
    if (rule.actions.id || rule.actions.phase) {
      const Place& place = rule.actions.id ? rule.actions.id_place : rule.actions.phase_place;
      reporter_.warning(place,
                        "a link of a chain takes id and phase from the chain's first rule, "
                        "which is at " +
                            reporter_.text(chain.nodes.front().place));
    }
    chain.complete = !rule.actions.chain;
    if (chain.complete) open_chain_ = kNone;
    chain.nodes.push_back(std::move(rule));
  }

  void take(MarkerNode& marker) {
    program_.markers.push_back({marker.name, program_.chains.size(), marker.place});
  }

  void take(DefaultActionNode& node) {
    const ActionList& actions = node.actions;
    if (!actions.disruptive || actions.disruptive->id == abi::ActionId::kBlock) {
      reporter_.error(node.place,
                      "SecDefaultAction needs a disruptive action other than block (expected pass, "
                      "deny, drop, allow or redirect)");
      return;
    }
    if (!check_default(node)) return;
    std::optional<DefaultActionNode>& known = program_.defaults[actions.phase.value_or(1)];
    if (known && !same_defaults(known->actions, actions)) {
      reporter_.error(node.place, "phase " + std::to_string(actions.phase.value_or(1)) +
                                      " has another SecDefaultAction at " +
                                      reporter_.text(known->place));
      return;
    }
    known = std::move(node);
  }

  /// What has no sense for all rules of a phase at once.
  bool check_default(const DefaultActionNode& node) {
    const ActionList& actions = node.actions;
    const char* wrong = nullptr;
    if (actions.id_place.line != 0) wrong = "id";
    if (actions.none_place.line != 0) wrong = "t:none";
    if (actions.chain) wrong = "chain";
    if (actions.jump) wrong = "skip and skipAfter";
    if (!actions.set_variables.empty()) wrong = "setvar";
    if (!actions.rev.empty() || !actions.ver.empty()) wrong = "rev and ver";
    if (actions.multi_match || actions.capture) wrong = "multiMatch and capture";
    if (wrong == nullptr) return true;
    reporter_.error(node.place, std::string(wrong) + " cannot stand in a SecDefaultAction");
    return false;
  }

  void take(RemoveNode& node) { program_.removals.push_back(std::move(node)); }
  void take(UpdateTargetNode& node) { program_.target_updates.push_back(std::move(node)); }
  void take(UpdateActionNode& node) { program_.action_updates.push_back(std::move(node)); }
  void take(SettingNode& node) { program_.settings.push_back(std::move(node)); }
  void take(IncludeNode&) {}  // the loader has put the nodes of the file in its place

  static constexpr std::size_t kNone = SIZE_MAX;
  Reporter& reporter_;
  Program program_;
  std::map<std::uint32_t, Place> ids_;
  std::size_t open_chain_ = kNone;
};

}  // namespace

Program sort_nodes(std::vector<Node> nodes, Reporter& reporter) {
  return Sorter(reporter).run(std::move(nodes));
}

}  // namespace sluice::seclang
