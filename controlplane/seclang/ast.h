// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "controlplane/seclang/directives.h"
#include "controlplane/seclang/link.h"

/// One file as it is written, directive by directive, names resolved and values parsed; nothing
/// that another directive says is applied yet.
namespace sluice::seclang {

/// An entry of a variable list. `!` entries are exclusions.
struct TargetNode {
  Target target;
  bool exclude = false;
};

/// allow, block, deny...: what an action list says about the request.
struct DisruptiveNode {
  abi::ActionId id = abi::ActionId::kPass;
  Disruptive kind = Disruptive::kNone;  ///< of `block`: kNone
  MacroText redirect;
  Place place;
};

/// skip and skipAfter before their targets are known.
struct JumpNode {
  std::uint32_t count = 0;
  std::string marker;
  Place place;
};

/// log, nolog, auditlog and noauditlog in the order written.
enum class LogSwitch : std::uint8_t { kLog, kNoLog, kAuditLog, kNoAuditLog };

/// An action list with every value parsed. `..._place`: where it was written, line 0 if it was not.
struct ActionList {
  Place place;
  std::optional<std::uint32_t> id;
  Place id_place, phase_place, status_place, chain_place;
  std::optional<std::uint8_t> phase;
  std::optional<DisruptiveNode> disruptive;  ///< the last one
  std::vector<abi::TransformId> transforms;  ///< as written, kNone included
  Place none_place;                          ///< of a t:none
  bool multi_match = false, capture = false, chain = false;
  std::vector<SetVariable> set_variables;
  std::vector<Effect> effects;
  std::optional<JumpNode> jump;  ///< the last one
  std::vector<LogSwitch> logs;
  std::uint16_t status = 0;
  std::optional<MacroText> msg, logdata;
  std::vector<MacroText> tags;
  std::uint8_t severity = kSeverityUnset;
  std::string rev, ver;
  std::uint8_t maturity = 0, accuracy = 0;
};

struct RuleNode {
  Place place;
  std::string text;
  bool unconditional = false;  ///< SecAction
  std::vector<TargetNode> targets;
  Operator op;
  ActionList actions;
};

struct MarkerNode {
  Place place;
  std::string name;
};

struct DefaultActionNode {
  Place place;
  ActionList actions;
};

struct IdRange {
  std::uint32_t first = 0, last = 0;
  Place place;
};

/// SecRuleRemoveById, ByTag, ByMsg.
struct RemoveNode {
  Place place;
  std::vector<IdRange> ids;
  std::string tag, msg;
};

/// SecRuleUpdateTargetById, ByTag, ByMsg. Only one of the three is set.
struct UpdateTargetNode {
  Place place;
  std::vector<IdRange> ids;
  std::string tag, msg;
  std::vector<TargetNode> targets;
};

struct UpdateActionNode {
  Place place;
  std::uint32_t id = 0;
  std::uint32_t link = 0;  ///< of ID:LINK
  ActionList actions;
};

struct IncludeNode {
  Place place;
  std::string pattern;
  bool optional = false;
};

/// Any other directive that says something.
struct SettingNode {
  Place place;
  DirectiveId id{};
  std::vector<std::string> values;
  std::vector<Place> places;  ///< of the values
};

using Node = std::variant<RuleNode, MarkerNode, DefaultActionNode, RemoveNode, UpdateTargetNode,
                          UpdateActionNode, IncludeNode, SettingNode>;

}  // namespace sluice::seclang
