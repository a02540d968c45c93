// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/compile/compile.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/abi/transforms.h"
#include "dataplane/rules/operator/ip_match.h"
#include "dataplane/rules/operator/operator.h"

namespace sluice::compile {

/// Everything of the rules section as arrays. Span32 inside them are filled by the image writer.
struct Program {
  abi::RulesetSettings settings{};
  std::vector<abi::StringRef> response_mime_types;
  std::vector<abi::Rule> rules;
  std::vector<std::uint32_t> phases[abi::kPhaseCount];
  std::vector<abi::RuleTarget> targets;
  std::vector<abi::RuleExclusion> exclusions;
  std::vector<abi::RuleAction> actions;
  std::vector<abi::TextPart> texts;
  std::vector<abi::RuleText> tags;
  std::vector<abi::TransformNode> nodes;
  std::vector<abi::RegexSpec> regexes;
  std::vector<abi::RegexNeed> regex_needs;
  std::vector<abi::PhraseSet> phrase_sets;
  std::vector<abi::StringRef> phrases;
  struct IpRanges {
    std::vector<rules::Ipv4Range> v4;
    std::vector<rules::Ipv6Range> v6;
  };
  std::vector<IpRanges> ip_sets;
  std::vector<rules::ByteRange> byte_ranges;
  std::vector<abi::ScanPattern> patterns;
  std::vector<abi::PatternUse> uses;
  std::vector<abi::ScanRow> rows;
  std::vector<std::uint64_t> row_classes;  ///< one per row
  std::vector<abi::ScanRows> groups, keys;
  std::vector<std::uint64_t> group_classes;  ///< one per group
  std::vector<std::uint64_t> key_grams;      ///< abi::kGramWords
  std::vector<std::uint64_t> set_grams;      ///< abi::kGramWords per set
  std::vector<std::uint64_t> set_patterns;   ///< abi::pattern_words() per set
  std::vector<abi::ScanSet> sets;
  std::vector<abi::ScanLead> leads;
  std::vector<std::uint16_t> node_leads;  ///< one per node
  std::vector<abi::ScanZone> zones;
  std::vector<std::string> databases;      ///< serialised
  std::vector<std::uint32_t> check_rules;  ///< one per check
  std::vector<abi::TxSlot> slots;
  std::vector<abi::UnicodeMap> unicode_map;  ///< none or one
  std::uint64_t variables[4] = {};
};

}  // namespace sluice::compile
