// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/abi/ruleset.h"
#include "dataplane/abi/variables.h"

namespace sluice::rules {

class Ruleset;

/// What scans look up for every value, made when an image is opened: read-only afterwards.
struct ScanIndex {
  /// The zones of one variable, or of the names of its members.
  struct Zones {
    std::uint32_t first = 0, count = 0;  ///< of those with keys
    std::uint32_t set = abi::kNone32;    ///< of every other key
    std::uint64_t key_sizes = 0;         ///< bit n: a key has n bytes; bit 63: it has more
  };
  std::array<Zones, 2 * abi::kVariableCount> zones{};
  std::vector<std::uint64_t> node_changes;  ///< change_classes() by node; 0 where transparent
  std::vector<std::uint64_t> set_changes;   ///< of all plain nodes of a set together
  std::vector<std::uint32_t> word_keys;     ///< by word of `set_grams`: the key of its first bit
  /// By phase and position in it: the check without which the rule is passed over, or kNone32.
  /// Apart from the rules, so that passing over many of them touches few lines of memory.
  std::array<std::vector<std::uint32_t>, abi::kPhaseCount> phase_checks;

  /// The same for rules that look at REQUEST_BODY: 1.
  std::array<std::vector<std::uint8_t>, abi::kPhaseCount> phase_bodies;

  /// A pattern of keys that is plain text: what most selectors are.
  struct KeyShape {
    enum class Kind : std::uint8_t { kPattern, kBegins, kContains } kind = Kind::kPattern;
    std::string_view text;
  };
  std::vector<KeyShape> key_shapes;  ///< by regex

  void build(const Ruleset& ruleset);
  /// The set that looks at a member's value (code: VariableId * 2) or name (+ 1); kNone32: none
  /// does.
  [[nodiscard]] std::uint32_t set_for(const Ruleset& ruleset, std::uint32_t code,
                                      std::string_view key) const;
};

}  // namespace sluice::rules
