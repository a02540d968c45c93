// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/scan_sets.h"

#include <algorithm>
#include <string_view>

#include "controlplane/compile/lead.h"
#include "controlplane/compile/scanned.h"

namespace sluice::compile {

ScanSets::ScanSets(const std::vector<SievedPattern>& patterns, Program& program)
    : patterns_(patterns), program_(program), grams_(patterns.size()), groups_(patterns.size()) {
  for (const SievedPattern& pattern : patterns_) leads_of_.push_back(add_lead(pattern.lead));
  make_rows();
}

/// Rows by the pair that fewest values have, or by the class if they ask for no pair.
void ScanSets::make_rows() {
  std::map<rules::Gram, std::vector<Row>> by_gram;
  std::map<std::uint64_t, std::vector<Row>> by_class;
  for (std::uint32_t pattern = 0; pattern < patterns_.size(); ++pattern) {
    for (const Need& need : patterns_[pattern].needs) {
      const std::vector<rules::Gram> rarest = rarest_grams(need, 1);
      if (rarest.empty()) {
        by_class[rarest_class(need)].push_back({pattern, &need});
      } else {
        by_gram[rarest[0]].push_back({pattern, &need});
        grams_[pattern].insert(rarest[0]);
      }
    }
  }
  for (const auto& [rarest, rows] : by_class) {
    std::uint64_t shared = ~std::uint64_t{0};
    for (const Row& row : rows) {
      shared &= row.need->classes;
      groups_[row.pattern].set(program_.groups.size());
    }
    program_.group_classes.push_back(shared);
    program_.groups.push_back(add_rows(rows));
  }
  program_.key_grams.resize(abi::kGramWords);
  for (const auto& [gram, rows] : by_gram) {
    program_.key_grams[gram / 64] |= std::uint64_t{1} << gram % 64;
    program_.keys.push_back(add_rows(rows));
  }
}

abi::ScanRows ScanSets::add_rows(const std::vector<Row>& rows) {
  const auto first = static_cast<std::uint32_t>(program_.rows.size());
  for (const Row& each : rows) {
    abi::ScanRow row{};
    row.pattern = static_cast<std::uint16_t>(each.pattern);
    for (const std::uint16_t node : patterns_[each.pattern].nodes) row.nodes |= abi::node_bit(node);
    row.forbidden = each.need->forbidden;
    row.by_line = each.need->by_line ? 1 : 0;
    std::fill(std::begin(row.grams), std::end(row.grams), rules::kAnyGram);
    const std::vector<rules::Gram> grams = rarest_grams(*each.need, std::size(row.grams));
    std::copy(grams.begin(), grams.end(), row.grams);
    program_.rows.push_back(row);
    program_.row_classes.push_back(each.need->classes);
  }
  return {first, static_cast<std::uint32_t>(rows.size())};
}

std::uint16_t ScanSets::add_lead(const abi::ScanLead& lead) {
  if (lead.least == 0 && lead.count == 0) return abi::kNone16;
  const std::string_view bytes(reinterpret_cast<const char*>(&lead), sizeof lead);
  const auto known = leads_.find(std::string(bytes));
  if (known != leads_.end()) return known->second;
  if (program_.leads.size() == abi::kNone16) return abi::kNone16;
  const auto index = static_cast<std::uint16_t>(program_.leads.size());
  leads_.emplace(bytes, index);
  program_.leads.push_back(lead);
  return index;
}

/// What transformations give that change every value (base64Decode) is mostly noise: how it must
/// begin to be looked at. The same behind each node with that transformation, as what one of them
/// gives may stand for the other's.
void ScanSets::make_node_leads() {
  const std::size_t count = program_.nodes.size();
  std::vector<bool> used(count);  // in a set
  for (const abi::ScanSet& set : program_.sets) {
    for (std::size_t node = 0; node < count; ++node) {
      if ((set.nodes[node / 64] >> node % 64 & 1) != 0) used[node] = true;
    }
  }
  std::map<std::uint8_t, abi::ScanLead> leads;  // by transformation
  for (const SievedPattern& pattern : patterns_) {
    for (const std::uint16_t node : pattern.nodes) {
      const std::uint8_t transform = program_.nodes[node].transform;
      const auto [entry, is_new] = leads.try_emplace(transform, pattern.lead);
      if (!is_new) entry->second = either(entry->second, pattern.lead);
    }
  }
  for (std::size_t node = 1; node < count; ++node) {
    if (used[node]) leads[program_.nodes[program_.nodes[node].parent].transform] = {};
  }
  program_.node_leads.assign(count, abi::kNone16);
  for (std::size_t node = 1; node < count; ++node) {
    if (!always_changes(program_, static_cast<std::uint16_t>(node))) continue;
    const auto lead = leads.find(program_.nodes[node].transform);
    if (lead != leads.end()) program_.node_leads[node] = add_lead(lead->second);
  }
}

std::uint32_t ScanSets::set_for(const SetContent& content) {
  const auto [entry, is_new] =
      sets_.try_emplace(content, static_cast<std::uint32_t>(program_.sets.size()));
  if (!is_new) return entry->second;
  abi::ScanSet set{};
  std::bitset<abi::kScanGroupsMax> groups;
  const std::size_t grams = program_.set_grams.size();
  program_.set_grams.resize(grams + abi::kGramWords);
  const std::size_t words = abi::pattern_words(patterns_.size());
  const std::size_t bits = program_.set_patterns.size();
  program_.set_patterns.resize(bits + words);
  const auto add_node = [&](std::uint16_t node) {
    set.nodes[node / 64] |= std::uint64_t{1} << node % 64;
  };
  add_node(0);
  for (const std::uint32_t pattern : content.patterns) {
    program_.set_patterns[bits + pattern / 64] |= std::uint64_t{1} << pattern % 64;
    groups |= groups_[pattern];
    for (const rules::Gram gram : grams_[pattern]) {
      program_.set_grams[grams + gram / 64] |= std::uint64_t{1} << gram % 64;
    }
  }
  for (std::uint16_t node : content.nodes) {
    for (; node != 0; node = program_.nodes[node].parent) add_node(node);
  }
  for (std::size_t i = 0; i < abi::kScanGroupsMax; ++i) {
    if (groups[i]) set.groups[i / 64] |= std::uint64_t{1} << i % 64;
  }
  program_.sets.push_back(set);
  return entry->second;
}

}  // namespace sluice::compile
