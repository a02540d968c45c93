// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// True if the transaction takes another match: there is room, or it decided the verdict.
inline bool takes_match(const TransactionState& state, bool blocking) {
  return blocking || state.match_count < abi::kRuleMatchesMax;
}
/// True if the rule has been reported: it runs once for each batch of a long body. O(matches).
bool is_reported(const TransactionState& state, std::uint32_t rule_index);
/// Adds a match, whose texts are the transaction's; the last one makes room where there is none.
void add_match(TransactionState& state, const RuleMatch& match);

}  // namespace sluice::rules
