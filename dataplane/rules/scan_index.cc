// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/scan_index.h"

#include <algorithm>
#include <bit>

#include "dataplane/abi/names.h"
#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/ruleset.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {

namespace {

constexpr std::size_t kLongKey = 63;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

/// `^name`, `name`, `name_*` as text. The keys' patterns ignore case.
ScanIndex::KeyShape shape_of(std::string_view pattern, bool caseless) {
  ScanIndex::KeyShape shape;
  const bool begins = pattern.starts_with("^");
  if (begins) pattern.remove_prefix(1);
  // A last `x*` may match nothing, so it asks for nothing.
  if (pattern.size() > 2 && pattern.ends_with("*") && is_plain(pattern[pattern.size() - 2])) {
    pattern.remove_suffix(2);
  }
  if (!caseless || pattern.empty() || !std::all_of(pattern.begin(), pattern.end(), is_plain)) {
    return shape;
  }
  shape.kind = begins ? ScanIndex::KeyShape::Kind::kBegins : ScanIndex::KeyShape::Kind::kContains;
  shape.text = pattern;
  return shape;
}

ScanIndex::Late late_rows(const Ruleset& ruleset, const abi::ScanSet& set) {
  constexpr std::size_t kRowsMax = 64;  // of one passing_rows()
  const abi::RulesetHeader& header = ruleset.header();
  ScanIndex::Late late;
  for (std::uint32_t at = set.plain_node_count; at < set.node_count; ++at) {
    late.nodes |= abi::node_bit(at);
  }
  const auto rows = ruleset.array<abi::ScanRow>(header.rows);
  const auto classes = ruleset.array<std::uint64_t>(header.row_classes);
  const auto add = [&](const abi::ScanRows& some) {
    for (std::uint32_t row = some.first_row; row < some.first_row + some.row_count; ++row) {
      const bool known =
          std::find(late.classes.begin(), late.classes.end(), classes[row]) != late.classes.end();
      if ((rows[row].nodes & late.nodes) != 0 && !known) late.classes.push_back(classes[row]);
    }
  };
  for (const abi::ScanRows& each :
       ruleset.array<abi::ScanRows>(header.groups).subspan(set.first_group, set.group_count)) {
    add(each);
  }
  for (const abi::ScanRows& each :
       ruleset.array<abi::ScanRows>(header.keys).subspan(set.first_key, set.key_count)) {
    add(each);
  }
  return late.classes.size() <= kRowsMax ? late : ScanIndex::Late{};
}

}  // namespace

void ScanIndex::build(const Ruleset& ruleset) {
  const abi::RulesetHeader& header = ruleset.header();
  const auto all = ruleset.array<abi::ScanZone>(header.zones);
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    Zones& place = zones[all[i].zone];
    if (all[i].key.bytes == 0) {
      place.set = all[i].set;
      continue;
    }
    if (place.count == 0) place.first = i;
    place.count = i + 1 - place.first;
    place.key_sizes |= std::uint64_t{1} << std::min<std::size_t>(all[i].key.bytes, kLongKey);
  }
  for (const abi::TransformNode& node : ruleset.array<abi::TransformNode>(header.nodes)) {
    const auto id = static_cast<abi::TransformId>(node.transform);
    const std::uint64_t ignored = node.ignores_case != 0 ? class_bit(ByteClass::kUpper) : 0;
    node_changes.push_back(change_classes(id) & ~ignored);
  }
  const auto set_nodes = ruleset.array<std::uint16_t>(header.set_nodes);
  const auto nodes = ruleset.array<abi::TransformNode>(header.nodes);
  for (std::uint16_t node : set_nodes) {
    std::uint64_t changes = 0;
    for (; node != 0; node = nodes[node].parent) changes |= node_changes[node];
    chain_changes.push_back(changes);
  }
  const auto set_grams = ruleset.array<std::uint64_t>(header.set_grams);
  for (const abi::ScanSet& set : ruleset.array<abi::ScanSet>(header.sets)) {
    std::uint64_t changes = 0;
    for (const std::uint16_t node : set_nodes.subspan(set.first_node, set.plain_node_count)) {
      if (node != 0) changes |= node_changes[node];
    }
    set_changes.push_back(changes);
    late.push_back(late_rows(ruleset, set));
    wanted_grams.emplace_back(&set_grams[word_keys.size()]);
    std::uint32_t keys = set.first_key;
    for (std::uint32_t word = 0; word < abi::kGramWords; ++word) {
      word_keys.push_back(keys);
      keys += static_cast<std::uint32_t>(std::popcount(set_grams[word_keys.size() - 1]));
    }
  }
  for (const abi::RegexSpec& regex : ruleset.array<abi::RegexSpec>(header.regexes)) {
    key_shapes.push_back(
        shape_of(ruleset.text(regex.pattern), (regex.flags & abi::kRegexCaseless) != 0));
  }
}

std::uint32_t ScanIndex::set_for(const Ruleset& ruleset, std::uint32_t code,
                                 std::string_view key) const {
  const Zones& place = zones[code];
  if ((place.key_sizes >> std::min(key.size(), kLongKey) & 1) == 0) return place.set;
  for (const abi::ScanZone& zone :
       ruleset.array<abi::ScanZone>(ruleset.header().zones).subspan(place.first, place.count)) {
    if (zone.key.bytes == key.size() && abi::equal_ignoring_case(ruleset.text(zone.key), key)) {
      return zone.set;
    }
  }
  return place.set;
}

}  // namespace sluice::rules
