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

/// Calls visit(node) for each node of a set.
template <typename Visit>
void for_each_node(const abi::ScanSet& set, Visit visit) {
  for (std::size_t word = 0; word < std::size(set.nodes); ++word) {
    for (std::uint64_t left = set.nodes[word]; left != 0; left &= left - 1) {
      visit(64 * word + static_cast<std::size_t>(std::countr_zero(left)));
    }
  }
}

constexpr std::size_t kRowsMax = 64;  // of one passing_rows()

/// The classes of the rows that a set looks at behind its late nodes, each once.
void add_late_rows(const Ruleset& ruleset, std::span<const std::uint64_t> patterns,
                   ScanIndex::Set& to) {
  const auto rows = ruleset.array<abi::ScanRow>(ruleset.header().rows);
  const auto classes = ruleset.array<std::uint64_t>(ruleset.header().row_classes);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::uint16_t pattern = rows[row].pattern;
    if ((rows[row].nodes & to.late_nodes) == 0) continue;
    if ((patterns[pattern / 64] >> pattern % 64 & 1) == 0) continue;
    if (std::find(to.classes.begin(), to.classes.end(), classes[row]) != to.classes.end()) continue;
    to.classes.push_back(classes[row]);
  }
  if (to.classes.size() <= kRowsMax) return;
  to.classes.clear();
  to.late_nodes = 0;
}

/// The classes that the rows of a set under keys ask for: the least of them, as whatever passes
/// another passes one of these.
void add_keyed_rows(const Ruleset& ruleset, std::span<const std::uint64_t> patterns,
                    ScanIndex::Set& to) {
  const auto rows = ruleset.array<abi::ScanRow>(ruleset.header().rows);
  const auto classes = ruleset.array<std::uint64_t>(ruleset.header().row_classes);
  std::vector<std::uint64_t> all;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::uint16_t pattern = rows[row].pattern;
    if (rows[row].grams[0] == kAnyGram) continue;
    if ((patterns[pattern / 64] >> pattern % 64 & 1) != 0) all.push_back(classes[row]);
  }
  to.has_keys = !all.empty();
  std::sort(all.begin(), all.end(), [](std::uint64_t one, std::uint64_t other) {
    return std::popcount(one) < std::popcount(other);
  });
  for (const std::uint64_t each : all) {
    const bool asks_for_more =
        std::any_of(to.keyed.begin(), to.keyed.end(),
                    [each](std::uint64_t least) { return (least & ~each) == 0; });
    if (asks_for_more) continue;
    if (to.keyed.size() == kRowsMax) return to.keyed.clear();
    to.keyed.push_back(each);
  }
}

}  // namespace

bool begins_as(const abi::ScanLead& lead, base::Bytes value) {
  if (value.size() < lead.least) return false;
  const std::size_t count = std::min<std::size_t>(lead.count, value.size());
  for (std::size_t at = 0; at < count; ++at) {
    if ((lead.bytes[at][value[at] / 64] >> value[at] % 64 & 1) != 0) continue;
    constexpr std::uint64_t kLines = class_bit(ByteClass::kOtherWhitespace);
    return lead.by_line != 0 && (class_bitmap(value) & kLines) != 0;
  }
  return true;
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
    const std::uint64_t ignored = node.ignores_case != 0 ? class_bit(ByteClass::kUpper) : 0;
    node_changes.push_back(change_classes(id) & ~ignored);
  }
  const auto nodes = ruleset.array<abi::TransformNode>(header.nodes);
  std::vector<bool> late;
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    const std::size_t parent = nodes[node].parent;
    const bool always = node_changes[node] == kChangesAlways;
    late.push_back(always || (node != 0 && late[parent]));
    chain_changes.push_back(node_changes[node] | (node != 0 ? chain_changes[parent] : 0));
  }
  const auto set_grams = ruleset.array<std::uint64_t>(header.set_grams);
  const auto set_patterns = ruleset.array<std::uint64_t>(header.set_patterns);
  const std::size_t words = abi::pattern_words(header.patterns.count);
  for (const abi::ScanSet& set : ruleset.array<abi::ScanSet>(header.sets)) {
    const std::size_t index = sets.size();
    Set& made = sets.emplace_back(WantedGrams(&set_grams[index * abi::kGramWords]));
    for_each_node(set, [&](std::size_t node) {
      if (late[node]) {
        made.has_late = true;
        made.late_nodes |= abi::node_bit(node);
      } else {
        made.changes |= chain_changes[node];
      }
    });
    add_late_rows(ruleset, set_patterns.subspan(index * words, words), made);
    add_keyed_rows(ruleset, set_patterns.subspan(index * words, words), made);
  }
  std::uint32_t keys = 0;
  const auto key_grams = ruleset.array<std::uint64_t>(header.key_grams);
  for (std::size_t word = 0; word < key_grams.size(); ++word) {
    word_keys[word] = keys;
    keys += static_cast<std::uint32_t>(std::popcount(key_grams[word]));
  }
  const auto row_classes = ruleset.array<std::uint64_t>(header.row_classes);
  for (const abi::ScanRows& key : ruleset.array<abi::ScanRows>(header.keys)) {
    std::uint64_t shared = ~std::uint64_t{0};
    for (const std::uint64_t each : row_classes.subspan(key.first_row, key.row_count)) {
      shared &= each;
    }
    key_classes.push_back(shared);
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
