// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/matches.h"

#include <algorithm>
#include <span>

namespace sluice::rules {

bool is_reported(const TransactionState& state, std::uint32_t rule_index) {
  const std::span<const RuleMatch> known(state.matches, state.match_count);
  return std::ranges::any_of(
      known, [rule_index](const RuleMatch& match) { return match.rule_index == rule_index; });
}

void add_match(TransactionState& state, const RuleMatch& match) {
  if (state.match_count == abi::kRuleMatchesMax) --state.match_count;
  if (state.match_count == state.match_capacity) {
    const std::uint32_t capacity = std::max<std::uint32_t>(8, 2 * state.match_capacity);
    auto* larger = state.region.allocate_array<RuleMatch>(capacity);
    if (larger == nullptr) return state.fail_memory();
    std::copy_n(state.matches, state.match_count, larger);
    state.matches = larger;
    state.match_capacity = capacity;
  }
  state.matches[state.match_count++] = match;
}

}  // namespace sluice::rules
