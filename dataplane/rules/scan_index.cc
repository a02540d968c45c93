// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/scan_index.h"

#include <algorithm>

#include "dataplane/abi/names.h"
#include "dataplane/rules/ruleset.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {

namespace {
constexpr std::size_t kLongKey = 63;
}

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
    node_changes.push_back(node.is_transparent != 0 ? 0 : change_classes(id));
  }
  const auto set_nodes = ruleset.array<abi::ScanNode>(header.set_nodes);
  for (const abi::ScanSet& set : ruleset.array<abi::ScanSet>(header.sets)) {
    std::uint64_t changes = 0;
    for (const abi::ScanNode& node : set_nodes.subspan(set.first_node, set.node_count)) {
      if (node.node != 0) changes |= node_changes[node.node];
    }
    set_changes.push_back(changes);
  }
}

std::uint32_t ScanIndex::set_for(const Ruleset& ruleset, std::uint32_t code,
                                 std::string_view key) const {
  const Zones& place = zones[code];
  if ((place.key_sizes >> std::min(key.size(), kLongKey) & 1) == 0) return place.set;
  for (const abi::ScanZone& zone :
       ruleset.array<abi::ScanZone>(ruleset.header().zones).subspan(place.first, place.count)) {
    if (zone.key.bytes == key.size() && abi::same_name(ruleset.text(zone.key), key)) {
      return zone.set;
    }
  }
  return place.set;
}

}  // namespace sluice::rules
