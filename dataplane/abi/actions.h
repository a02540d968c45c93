// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/abi/names.h"

namespace sluice::abi {

/// When an action takes effect.
enum class ActionGroup : std::uint8_t {
  kMetadata,       ///< says something about the rule, fixed at load
  kFlow,           ///< chain, skip, skipAfter
  kDisruptive,     ///< decides about the request; of several the last written wins
  kNonDisruptive,  ///< changes the transaction
};

enum class ActionArgument : std::uint8_t { kNone, kOptional, kRequired };

enum class ActionSupport : std::uint8_t {
  kRuns,
  kMapped,   ///< onto something of ours (action_note)
  kNoted,    ///< accepted without effect, noted by name at load (action_note)
  kRefused,  ///< a load error with a reason (action_note)
};

/// The actions of SecLang, by the names that rules write (compared without case). Append only.
// X(enumerator, name, alias, group, argument, support)
#define SLUICE_ACTIONS(X)                                                                        \
  X(kId, "id", "", kMetadata, kRequired, kRuns)                                                  \
  X(kPhase, "phase", "", kMetadata, kRequired, kRuns)                                            \
  X(kRev, "rev", "", kMetadata, kRequired, kRuns)                                                \
  X(kVer, "ver", "", kMetadata, kRequired, kRuns)                                                \
  X(kMaturity, "maturity", "", kMetadata, kRequired, kRuns)                                      \
  X(kAccuracy, "accuracy", "", kMetadata, kRequired, kRuns)                                      \
  X(kMsg, "msg", "", kMetadata, kRequired, kRuns)                                                \
  X(kLogData, "logdata", "", kMetadata, kRequired, kRuns)                                        \
  X(kTag, "tag", "", kMetadata, kRequired, kRuns)                                                \
  X(kSeverity, "severity", "", kMetadata, kRequired, kRuns)                                      \
  X(kTransform, "t", "", kMetadata, kRequired, kRuns)                                            \
  X(kMultiMatch, "multiMatch", "", kMetadata, kNone, kRuns)                                      \
  X(kCapture, "capture", "", kMetadata, kNone, kRuns)                                            \
  X(kXmlns, "xmlns", "", kMetadata, kRequired, kNoted)                                           \
  X(kChain, "chain", "", kFlow, kNone, kRuns)                                                    \
  X(kSkip, "skip", "", kFlow, kRequired, kRuns)                                                  \
  X(kSkipAfter, "skipAfter", "", kFlow, kRequired, kRuns)                                        \
  X(kAllow, "allow", "", kDisruptive, kOptional, kRuns)                                          \
  X(kBlock, "block", "", kDisruptive, kNone, kRuns)                                              \
  X(kDeny, "deny", "", kDisruptive, kNone, kRuns)                                                \
  X(kDrop, "drop", "", kDisruptive, kNone, kRuns)                                                \
  X(kPass, "pass", "", kDisruptive, kNone, kRuns)                                                \
  X(kRedirect, "redirect", "", kDisruptive, kRequired, kRuns)                                    \
  X(kPause, "pause", "", kDisruptive, kOptional, kRefused)                                       \
  X(kProxy, "proxy", "", kDisruptive, kRequired, kRefused)                                       \
  X(kLog, "log", "", kNonDisruptive, kNone, kRuns)                                               \
  X(kNoLog, "nolog", "", kNonDisruptive, kNone, kRuns)                                           \
  X(kAuditLog, "auditlog", "", kNonDisruptive, kNone, kMapped)                                   \
  X(kNoAuditLog, "noauditlog", "", kNonDisruptive, kNone, kMapped)                               \
  X(kStatus, "status", "", kNonDisruptive, kRequired, kRuns)                                     \
  X(kSetVar, "setvar", "", kNonDisruptive, kRequired, kRuns)                                     \
  X(kExpireVar, "expirevar", "", kNonDisruptive, kRequired, kRuns)                               \
  X(kInitCol, "initcol", "", kNonDisruptive, kRequired, kRuns)                                   \
  X(kSetSid, "setsid", "", kNonDisruptive, kRequired, kRuns)                                     \
  X(kSetUid, "setuid", "", kNonDisruptive, kRequired, kRuns)                                     \
  X(kSetRsc, "setrsc", "", kNonDisruptive, kRequired, kRuns)                                     \
  X(kCtl, "ctl", "", kNonDisruptive, kRequired, kRuns)                                           \
  X(kSetEnv, "setenv", "", kNonDisruptive, kRequired, kNoted)                                    \
  X(kExec, "exec", "", kNonDisruptive, kRequired, kRefused)                                      \
  X(kAppend, "append", "", kNonDisruptive, kRequired, kRefused)                                  \
  X(kPrepend, "prepend", "", kNonDisruptive, kRequired, kRefused)                                \
  X(kDeprecateVar, "deprecatevar", "", kNonDisruptive, kRequired, kRefused)                      \
  X(kSanitiseArg, "sanitiseArg", "sanitizeArg", kNonDisruptive, kRequired, kRefused)             \
  X(kSanitiseMatched, "sanitiseMatched", "sanitizeMatched", kNonDisruptive, kOptional, kRefused) \
  X(kSanitiseMatchedBytes, "sanitiseMatchedBytes", "sanitizeMatchedBytes", kNonDisruptive,       \
    kOptional, kRefused)                                                                         \
  X(kSanitiseRequestHeader, "sanitiseRequestHeader", "sanitizeRequestHeader", kNonDisruptive,    \
    kRequired, kRefused)                                                                         \
  X(kSanitiseResponseHeader, "sanitiseResponseHeader", "sanitizeResponseHeader", kNonDisruptive, \
    kRequired, kRefused)

/// The settings that `ctl` changes for one transaction. `argument` is what follows `=`.
enum class ControlArgument : std::uint8_t {
  kOnOff,
  kEngine,         ///< On, Off or DetectionOnly
  kProcessor,      ///< JSON, XML or URLENCODED
  kIds,            ///< a rule id or a range a-b
  kText,           ///< a tag or a message, exact
  kIdsAndTarget,   ///< a rule id or range, `;`, a target
  kTextAndTarget,  ///< a tag or a message, `;`, a target
  kNumber,
  kOther,  ///< not looked at
};

// X(enumerator, name, argument, support)
#define SLUICE_CONTROLS(X)                                                  \
  X(kRuleEngine, "ruleEngine", kEngine, kRuns)                              \
  X(kRuleRemoveById, "ruleRemoveById", kIds, kRuns)                         \
  X(kRuleRemoveByTag, "ruleRemoveByTag", kText, kRuns)                      \
  X(kRuleRemoveByMsg, "ruleRemoveByMsg", kText, kRuns)                      \
  X(kRuleRemoveTargetById, "ruleRemoveTargetById", kIdsAndTarget, kRuns)    \
  X(kRuleRemoveTargetByTag, "ruleRemoveTargetByTag", kTextAndTarget, kRuns) \
  X(kRuleRemoveTargetByMsg, "ruleRemoveTargetByMsg", kTextAndTarget, kRuns) \
  X(kRequestBodyProcessor, "requestBodyProcessor", kProcessor, kRuns)       \
  X(kRequestBodyAccess, "requestBodyAccess", kOnOff, kRuns)                 \
  X(kRequestBodyLimit, "requestBodyLimit", kNumber, kRuns)                  \
  X(kForceRequestBodyVariable, "forceRequestBodyVariable", kOnOff, kRuns)   \
  X(kResponseBodyAccess, "responseBodyAccess", kOnOff, kRuns)               \
  X(kResponseBodyLimit, "responseBodyLimit", kNumber, kRuns)                \
  X(kAuditEngine, "auditEngine", kOther, kMapped)                           \
  X(kAuditLogParts, "auditLogParts", kOther, kMapped)                       \
  X(kDebugLogLevel, "debugLogLevel", kOther, kNoted)                        \
  X(kParseXmlIntoArgs, "parseXmlIntoArgs", kOther, kRefused)                \
  X(kHashEngine, "hashEngine", kOther, kRefused)                            \
  X(kHashEnforcement, "hashEnforcement", kOther, kRefused)

enum class ActionId : std::uint8_t {
#define SLUICE_X(enumerator, name, alias, group, argument, support) enumerator,
  SLUICE_ACTIONS(SLUICE_X)
#undef SLUICE_X
      kCount
};
enum class ControlId : std::uint8_t {
#define SLUICE_X(enumerator, name, argument, support) enumerator,
  SLUICE_CONTROLS(SLUICE_X)
#undef SLUICE_X
      kCount
};

struct ActionInfo {
  std::string_view name, alias;  ///< alias: empty if there is none
  ActionGroup group;
  ActionArgument argument;
  ActionSupport support;
};
struct ControlInfo {
  std::string_view name;
  ControlArgument argument;
  ActionSupport support;
};

inline constexpr std::size_t kRuleActionCount = static_cast<std::size_t>(ActionId::kCount);
inline constexpr std::size_t kControlCount = static_cast<std::size_t>(ControlId::kCount);

inline constexpr std::array<ActionInfo, kRuleActionCount> kRuleActions = {{
#define SLUICE_X(enumerator, name, alias, group, argument, support) \
  ActionInfo{name, alias, ActionGroup::group, ActionArgument::argument, ActionSupport::support},
    SLUICE_ACTIONS(SLUICE_X)
#undef SLUICE_X
}};
inline constexpr std::array<ControlInfo, kControlCount> kControls = {{
#define SLUICE_X(enumerator, name, argument, support) \
  ControlInfo{name, ControlArgument::argument, ActionSupport::support},
    SLUICE_CONTROLS(SLUICE_X)
#undef SLUICE_X
}};

constexpr const ActionInfo& action_info(ActionId id) {
  return kRuleActions[static_cast<std::size_t>(id)];
}
constexpr const ControlInfo& control_info(ControlId id) {
  return kControls[static_cast<std::size_t>(id)];
}

/// By name or alias, without case. O(table).
constexpr std::optional<ActionId> find_action(std::string_view name) {
  for (std::size_t i = 0; i < kRuleActionCount; ++i) {
    if (equal_ignoring_case(name, kRuleActions[i].name) ||
        (!kRuleActions[i].alias.empty() && equal_ignoring_case(name, kRuleActions[i].alias))) {
      return static_cast<ActionId>(i);
    }
  }
  return std::nullopt;
}
constexpr std::optional<ControlId> find_control(std::string_view name) {
  for (std::size_t i = 0; i < kControlCount; ++i) {
    if (equal_ignoring_case(name, kControls[i].name)) return static_cast<ControlId>(i);
  }
  return std::nullopt;
}

/// What a mapped action is here, or why one is only noted or refused; empty for the others.
constexpr std::string_view action_note(ActionId id) {
  if (action_info(id).support == ActionSupport::kRuns) return {};
  if (id == ActionId::kAuditLog || id == ActionId::kNoAuditLog) {
    return "whether the match is in the event of its transaction";
  }
  if (id == ActionId::kXmlns) return "XPath is /*, //@* and //text() only, which need no prefixes";
  if (id == ActionId::kSetEnv) return "there is no server process to set a variable of";
  if (id == ActionId::kExec) return "runs a program: not possible on a network appliance";
  if (id == ActionId::kPause) return "holds connections of the server: use a limit of policy.yaml";
  if (id == ActionId::kProxy) return "there is no proxy here: traffic is judged where it passes";
  if (id == ActionId::kAppend || id == ActionId::kPrepend) {
    return "changes the body: traffic is judged here, never rewritten";
  }
  if (id >= ActionId::kSanitiseArg) return "use events.mask of sluice.yaml";
  return "not supported by ModSecurity v3 either";
}

constexpr std::string_view control_note(ControlId id) {
  if (control_info(id).support == ActionSupport::kRuns) return {};
  if (id == ControlId::kAuditEngine || id == ControlId::kAuditLogParts) {
    return "there is one event per transaction; events: in sluice.yaml says what it holds";
  }
  if (id == ControlId::kDebugLogLevel) return "there is no debug log on the packet path";
  return "not supported by ModSecurity 3.0.9 either";
}

}  // namespace sluice::abi
