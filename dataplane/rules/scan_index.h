// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/abi/ruleset.h"
#include "dataplane/abi/variables.h"
#include "dataplane/rules/grams.h"
#include "dataplane/rules/row_filter.h"

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
  /// change_classes() by node; without upper case where scans ignore it.
  std::vector<std::uint64_t> node_changes;
  /// By place in `set_nodes`: the changes of all steps of the node's chain.
  std::vector<std::uint64_t> chain_changes;
  std::vector<std::uint64_t> set_changes;  ///< of all plain nodes of a set together
  /// Of a set, what the rows ask for that are wanted behind transformations that change every
  /// value (base64Decode): such a form is mostly noise that no row would let through.
  struct Late {
    std::uint64_t nodes = 0;             ///< node_bit() of those nodes; 0: too many rows
    std::vector<std::uint64_t> classes;  ///< of the rows
  };
  std::vector<Late> late;                 ///< by set
  std::vector<WantedGrams> wanted_grams;  ///< by set
  std::vector<std::uint32_t> word_keys;   ///< by word of `set_grams`: the key of its first bit

  /// A pattern of keys that is plain text: what most selectors are.
  struct KeyShape {
    enum class Kind : std::uint8_t { kPattern, kBegins, kContains } kind = Kind::kPattern;
    std::string_view text;
  };
  std::vector<KeyShape> key_shapes;  ///< by regex

  void build(const Ruleset& ruleset);
  /// False if no row lets a form with these nodes and byte classes through.
  [[nodiscard]] bool may_pass(std::uint32_t set, std::uint64_t nodes, std::uint64_t classes) const {
    const Late& rows = late[set];
    return (nodes & ~rows.nodes) != 0 ||
           passing_rows(rows.classes.data(), static_cast<unsigned>(rows.classes.size()), classes) !=
               0;
  }
  /// The set that looks at a member's value (code: VariableId * 2) or name (+ 1); kNone32: none
  /// does.
  [[nodiscard]] std::uint32_t set_for(const Ruleset& ruleset, std::uint32_t code,
                                      std::string_view key) const;
};

}  // namespace sluice::rules
