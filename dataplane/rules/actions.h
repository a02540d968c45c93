// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/targets.h"

namespace sluice::rules {

/// The setvar actions of a rule, at one match. Returns what they added to anomaly scores.
std::int32_t run_set_actions(TransactionState& state, const abi::Rule& rule);

/// What runs after a full match but the disruptive action: expirevar, initcol, ctl.
void run_after_actions(TransactionState& state, const abi::Rule& rule);

/// True if a `ctl` of this transaction has removed the rule.
bool is_removed(TransactionState& state, const abi::Rule& rule);
/// True if a `ctl` has removed the whole target from the rule.
bool is_target_removed(TransactionState& state, const abi::Rule& rule,
                       const abi::RuleTarget& target);
/// True if a `ctl` has removed this value from the rule.
bool is_value_removed(TransactionState& state, const abi::Rule& rule, const TargetValue& value);

}  // namespace sluice::rules
