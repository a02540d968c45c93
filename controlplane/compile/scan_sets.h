// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "controlplane/compile/needs.h"
#include "controlplane/compile/program.h"

namespace sluice::compile {

/// A pattern as the sieves know it.
struct SievedPattern {
  Needs needs{Need{}};
  abi::ScanLead lead{};
  std::set<std::uint16_t> nodes;  ///< of all its uses
};

/// What the values of some zones are scanned for.
struct SetContent {
  std::set<std::uint32_t> patterns;
  std::set<std::uint16_t> nodes;

  bool operator<(const SetContent& other) const {
    return std::tie(patterns, nodes) < std::tie(other.patterns, other.nodes);
  }
};

/// Writes rows, groups, keys, leads and sets into a program. The rows are those of all patterns
/// together, once; a set says which of them it looks at.
class ScanSets {
 public:
  ScanSets(const std::vector<SievedPattern>& patterns, Program& program);

  /// The lead of a pattern, as an index into the program's leads.
  [[nodiscard]] std::uint16_t lead_of(std::uint32_t pattern) const { return leads_of_[pattern]; }
  /// The set with this content, made at the first call.
  std::uint32_t set_for(const SetContent& content);
  /// Behind the last set.
  void make_node_leads();

 private:
  struct Row {
    std::uint32_t pattern;
    const Need* need;
  };

  void make_rows();
  std::uint16_t add_lead(const abi::ScanLead& lead);
  abi::ScanRows add_rows(const std::vector<Row>& rows);

  const std::vector<SievedPattern>& patterns_;
  Program& program_;
  std::vector<std::set<rules::Gram>> grams_;              ///< by pattern: its keys
  std::vector<std::bitset<abi::kScanGroupsMax>> groups_;  ///< by pattern
  std::vector<std::uint16_t> leads_of_;                   ///< by pattern
  std::map<std::string, std::uint16_t> leads_;            ///< by their bytes
  std::map<SetContent, std::uint32_t> sets_;
};

}  // namespace sluice::compile
