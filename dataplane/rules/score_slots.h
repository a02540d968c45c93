// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <vector>

namespace sluice::rules {

class Ruleset;
class TxStore;

/// Where rule sets keep their anomaly scores: slots of TX, under names that differ by version. Made
/// when an image is opened, read-only afterwards; every transaction is asked for its scores.
class ScoreSlots {
 public:
  void build(const Ruleset& ruleset);
  /// The largest of the totals; where all are 0 (early, or without a rule that adds up), of the
  /// sums over the paranoia levels. O(slots of scores).
  [[nodiscard]] std::int32_t inbound(const TxStore& tx) const;
  [[nodiscard]] std::int32_t outbound(const TxStore& tx) const;

 private:
  using Slots = std::vector<std::uint16_t>;
  static std::int32_t largest(const TxStore& tx, const Slots& slots);
  static std::int32_t sum(const TxStore& tx, const Slots& slots);

  Slots inbound_totals_, outbound_totals_;
  Slots levels_, inbound_levels_, outbound_levels_;
};

}  // namespace sluice::rules
