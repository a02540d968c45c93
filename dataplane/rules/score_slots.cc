// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/score_slots.h"

#include <algorithm>
#include <string_view>

#include "dataplane/abi/names.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/ruleset.h"
#include "dataplane/rules/tx_store.h"

namespace sluice::rules {

namespace {

/// "anomaly_score_pl1" for "anomaly_score_pl".
bool is_level_of(std::string_view key, std::string_view levels) {
  return key.size() == levels.size() + 1 &&
         abi::equal_ignoring_case(key.substr(0, levels.size()), levels);
}

}  // namespace

void ScoreSlots::build(const Ruleset& ruleset) {
  const auto slots = ruleset.array<abi::TxSlot>(ruleset.header().slots);
  const auto is_any = [](std::string_view key, std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return abi::equal_ignoring_case(key, name); });
  };
  // Version 4 of the CRS has a total of its own, and the outbound score in anomaly_score as well.
  const bool split = std::any_of(slots.begin(), slots.end(), [&](const abi::TxSlot& slot) {
    return abi::equal_ignoring_case(ruleset.text(slot.key), "blocking_inbound_anomaly_score");
  });
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const std::string_view key = ruleset.text(slots[i].key);
    const auto slot = static_cast<std::uint16_t>(i);
    if (is_any(key, {"sluice_score", "inbound_anomaly_score", "blocking_inbound_anomaly_score"}) ||
        (!split && is_any(key, {"anomaly_score"}))) {
      inbound_totals_.push_back(slot);
    }
    if (is_any(key, {"outbound_anomaly_score", "blocking_outbound_anomaly_score"})) {
      outbound_totals_.push_back(slot);
    }
    if (is_level_of(key, "anomaly_score_pl")) levels_.push_back(slot);
    if (is_level_of(key, "inbound_anomaly_score_pl")) inbound_levels_.push_back(slot);
    if (is_level_of(key, "outbound_anomaly_score_pl")) outbound_levels_.push_back(slot);
  }
}

std::int32_t ScoreSlots::inbound(const TxStore& tx) const {
  const std::int32_t total = largest(tx, inbound_totals_);
  return total != 0 ? total : std::max(sum(tx, levels_), sum(tx, inbound_levels_));
}

std::int32_t ScoreSlots::outbound(const TxStore& tx) const {
  const std::int32_t total = largest(tx, outbound_totals_);
  return total != 0 ? total : sum(tx, outbound_levels_);
}

std::int32_t ScoreSlots::largest(const TxStore& tx, const Slots& slots) {
  std::int32_t score = 0;
  for (const std::uint16_t slot : slots) {
    score = std::max(score, eq_number(base::as_bytes(tx.value(slot))));
  }
  return score;
}

std::int32_t ScoreSlots::sum(const TxStore& tx, const Slots& slots) {
  std::int32_t score = 0;
  for (const std::uint16_t slot : slots) {
    score = wrapping_sum(score, eq_number(base::as_bytes(tx.value(slot))));
  }
  return score;
}

}  // namespace sluice::rules
