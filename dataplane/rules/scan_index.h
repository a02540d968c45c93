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

/// Whether a value is as long as a lead asks and begins with its bytes. O(1), but O(n) for leads
/// that hold by line.
[[nodiscard]] bool begins_as(const abi::ScanLead& lead, base::Bytes value);

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
  /// By node: the changes of all steps of its chain.
  std::vector<std::uint64_t> chain_changes;
  /// Of a set, what the plain nodes together change, and what the rows ask for that are wanted
  /// behind the others: transformations that change every value (base64Decode), which give mostly
  /// noise that no row would let through.
  struct Set {
    explicit Set(const WantedGrams& wanted) : grams(wanted) {}

    std::uint64_t changes = 0;
    bool has_late = false;               ///< a node that is not plain
    std::uint64_t late_nodes = 0;        ///< node_bit() of those; 0: too many rows
    std::vector<std::uint64_t> classes;  ///< of the rows behind them
    /// What the rows under keys ask for, without those that ask for more than another; empty: too
    /// many, or there are none.
    std::vector<std::uint64_t> keyed;
    bool has_keys = false;
    WantedGrams grams;
  };
  std::vector<Set> sets;
  std::vector<std::uint64_t> key_classes;  ///< by key: what all of its rows ask for
  std::array<std::uint32_t, abi::kGramWords>
      word_keys{};  ///< by word of `key_grams`: its first key

  /// A pattern of keys that is plain text: what most selectors are.
  struct KeyShape {
    enum class Kind : std::uint8_t { kPattern, kBegins, kContains } kind = Kind::kPattern;
    std::string_view text;
  };
  std::vector<KeyShape> key_shapes;  ///< by regex

  void build(const Ruleset& ruleset);
  /// False if no row lets a form with these nodes and byte classes through.
  [[nodiscard]] bool may_pass(std::uint32_t set, std::uint64_t nodes, std::uint64_t classes) const {
    const Set& rows = sets[set];
    return (nodes & ~rows.late_nodes) != 0 ||
           passing_rows(rows.classes.data(), static_cast<unsigned>(rows.classes.size()), classes) !=
               0;
  }
  /// False if no row under a key of the set lets these byte classes through.
  [[nodiscard]] bool may_pass_key(std::uint32_t set, std::uint64_t classes) const {
    const Set& rows = sets[set];
    return rows.keyed.empty()
               ? rows.has_keys
               : passing_rows(rows.keyed.data(), static_cast<unsigned>(rows.keyed.size()),
                              classes) != 0;
  }
  /// The set that looks at a member's value (code: VariableId * 2) or name (+ 1); kNone32: none
  /// does.
  [[nodiscard]] std::uint32_t set_for(const Ruleset& ruleset, std::uint32_t code,
                                      std::string_view key) const;
};

}  // namespace sluice::rules
