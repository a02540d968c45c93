// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/slot_index.h"

#include <algorithm>
#include <bit>

#include "dataplane/abi/names.h"
#include "dataplane/abi/variables.h"
#include "dataplane/rules/operator/regex.h"
#include "dataplane/rules/ruleset.h"

namespace sluice::rules {

namespace {

constexpr std::size_t kHashedBytesMax = 128;

}  // namespace

void SlotIndex::build(const Ruleset& ruleset) {
  const abi::RulesetHeader& header = ruleset.header();
  const auto slots = ruleset.array<abi::TxSlot>(header.slots);
  base::random_hash_key(key_);
  table_.assign(std::bit_ceil(2 * slots.size() + 2), abi::kNone16);
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    std::size_t at = hash(ruleset.text(slots[slot].key)) & (table_.size() - 1);
    while (table_[at] != abi::kNone16) at = (at + 1) & (table_.size() - 1);
    table_[at] = static_cast<std::uint16_t>(slot);
  }
  selected_.resize(header.regexes.count);
  auto context = RegexContext::create();
  for (const abi::RuleTarget& target : ruleset.array<abi::RuleTarget>(header.targets)) {
    if (target.selector != abi::Selector::kRegex ||
        target.variable != static_cast<std::uint16_t>(abi::VariableId::kTx) ||
        !selected_[target.regex].empty()) {
      continue;
    }
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      const base::Bytes key = base::as_bytes(ruleset.text(slots[slot].key));
      // What cannot be told here is asked for again at run time.
      if (!context.ok() ||
          context.value().match(ruleset.regex(target.regex), key) != MatchOutcome::kNoMatch) {
        selected_[target.regex].push_back(static_cast<std::uint16_t>(slot));
      }
    }
  }
}

std::uint64_t SlotIndex::hash(std::string_view key) const {
  char lower[kHashedBytesMax];
  const std::size_t size = std::min(key.size(), kHashedBytesMax);
  for (std::size_t i = 0; i < size; ++i) {
    lower[i] = key[i] >= 'A' && key[i] <= 'Z' ? static_cast<char>(key[i] + 32) : key[i];
  }
  return base::keyed_hash64(key_, lower, size);
}

std::uint32_t SlotIndex::find(const Ruleset& ruleset, std::string_view key,
                              std::uint64_t hash) const {
  const auto slots = ruleset.array<abi::TxSlot>(ruleset.header().slots);
  for (std::size_t at = hash & (table_.size() - 1); table_[at] != abi::kNone16;
       at = (at + 1) & (table_.size() - 1)) {
    const std::string_view known = ruleset.text(slots[table_[at]].key);
    if (known.size() == key.size() && abi::equal_ignoring_case(known, key)) return table_[at];
  }
  return abi::kNone32;
}

}  // namespace sluice::rules
