// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/targets.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "dataplane/abi/names.h"
#include "dataplane/rules/matcher.h"
#include "dataplane/rules/persistent.h"
#include "dataplane/rules/scalars.h"
#include "dataplane/rules/scan_index.h"
#include "dataplane/rules/slot_index.h"

namespace sluice::rules {

namespace {

using abi::Selector;

/// The lists that hold a variable's members, and whether their names are meant.
struct Source {
  VariableId lists[3];
  std::uint8_t count;
  bool names;
};

Source source_of(VariableId variable) {
  using enum VariableId;
  switch (variable) {
    case kArgs:
      return {{kArgsGet, kArgsPost, kArgs}, 3, false};
    case kArgsNames:
      return {{kArgsGet, kArgsPost, kArgs}, 3, true};
    case kArgsGetNames:
      return {{kArgsGet}, 1, true};
    case kArgsPostNames:
      return {{kArgsPost}, 1, true};
    case kRequestHeadersNames:
      return {{kRequestHeaders}, 1, true};
    case kRequestCookiesNames:
      return {{kRequestCookies}, 1, true};
    case kResponseHeadersNames:
      return {{kResponseHeaders}, 1, true};
    case kFilesNames:
      return {{kFiles}, 1, true};
    default:
      return {{variable}, 1, false};
  }
}

/// Writes target values one behind the other into the worker's arena.
class Collector {
 public:
  Collector(TransactionState& state, const abi::RuleTarget& target, const CandidateSet* candidates,
            bool in_parts = false)
      : state_(state),
        target_(target),
        candidates_(candidates),
        variable_(static_cast<VariableId>(target.variable)),
        most_(in_parts ? kCollectedMax : std::numeric_limits<std::size_t>::max()) {}

  [[nodiscard]] bool is_candidate(Item item) const {
    return candidates_ == nullptr || (item.exists() && candidates_->contains(item));
  }
  bool add(const TargetValue& value) {
    if (!is_candidate(value.item)) return true;
    base::Arena& arena = state_.worker->arena;
    if (first_ == nullptr) first_ = arena.allocate_array<TargetValue>(0);
    if (first_ == nullptr || !arena.extend(sizeof value)) {
      state_.fail(abi::Reason::kTransactionMemory);
      return false;
    }
    first_[count_++] = value;
    return true;
  }
  /// A member, if selector and exclusions let it through. Nothing else may be allocated between the
  /// values: regexes take nothing from the arena.
  bool add_member(std::string_view key, Bytes value, Item item) {
    if (!is_candidate(item) || !wanted(key)) return true;
    return add({value, key, variable_, true, item});
  }
  [[nodiscard]] bool wanted(std::string_view key) const {
    if (!selects(state_, target_.selector, state_.text(target_.key), target_.regex, key)) {
      return false;
    }
    if (target_.is_count != 0) return true;
    const auto exclusions = state_.ruleset->array<abi::RuleExclusion>(state_.header().exclusions)
                                .subspan(target_.first_exclusion, target_.exclusion_count);
    return std::none_of(exclusions.begin(), exclusions.end(), [&](const auto& each) {
      return selects(state_, each.selector, state_.text(each.key), each.regex, key);
    });
  }
  /// Most members that a selector leaves out differ from its key in their length.
  [[nodiscard]] bool is_other_key(std::string_view key) const {
    return target_.selector == Selector::kKey && target_.key.bytes != key.size();
  }
  [[nodiscard]] bool is_full() const { return count_ >= most_; }
  [[nodiscard]] std::span<const TargetValue> values() const { return {first_, count_}; }
  [[nodiscard]] VariableId variable() const { return variable_; }

 private:
  TransactionState& state_;
  const abi::RuleTarget& target_;
  const CandidateSet* candidates_;
  VariableId variable_;
  std::size_t most_;
  TargetValue* first_ = nullptr;
  std::size_t count_ = 0;
};

void collect_tx(TransactionState& state, const abi::RuleTarget& target, Collector& to) {
  if (target.selector == Selector::kKey) {
    const std::uint32_t index =
        target.slot != abi::kNone16 ? target.slot : state.tx.find(state.text(target.key));
    if (index == TxStore::kNotFound || !state.tx.is_set(index)) return;
    // The name that is shown is the selector's spelling.
    to.add_member(state.text(target.key), base::as_bytes(state.tx.value(index)), {});
    return;
  }
  const auto add = [&](std::uint32_t i) {
    return !state.tx.is_set(i) ||
           to.add_member(state.tx.key(i), base::as_bytes(state.tx.value(i)), {});
  };
  if (target.selector == Selector::kRegex) {
    for (const std::uint16_t slot : state.ruleset->slot_index().selected(target.regex)) {
      if (!add(slot)) return;
    }
  } else {
    for (std::uint32_t i = 0; i < state.tx.slot_count(); ++i) {
      if (!add(i)) return;
    }
  }
  for (std::uint32_t i = state.tx.slot_count(); i < state.tx.size(); ++i) {
    if (!add(i)) return;
  }
}

void collect_matched(TransactionState& state, bool names, Collector& to) {
  // Full names come first: the collector's values must lie one behind the other.
  const std::uint32_t count = state.matched_count;
  auto* full = state.worker->arena.allocate_array<std::string_view>(count);
  if (full == nullptr) return state.fail(abi::Reason::kTransactionMemory);
  for (std::uint32_t i = 0; i < count; ++i) {
    const MatchedVariable& each = state.matched[i];
    full[i] = full_name(state, each.variable, each.keyed, each.key);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const Bytes value = names ? base::as_bytes(full[i]) : state.matched[i].value;
    if (!to.add_member(full[i], value, {})) return;
  }
}

std::string_view rule_field(TransactionState& state, std::string_view key) {
  const abi::Rule* rule = state.current_rule;
  if (rule == nullptr) return {};
  const abi::Rule& starter = state.ruleset->rules()[rule->starter];
  if (abi::equal_ignoring_case(key, "id")) return number_text(state, rule->id);
  if (abi::equal_ignoring_case(key, "rev")) return state.text(starter.revision);
  if (abi::equal_ignoring_case(key, "severity")) {
    const std::uint8_t severity = rule->severity != 255 ? rule->severity : starter.severity;
    return severity == 255 ? std::string_view() : number_text(state, severity);
  }
  if (abi::equal_ignoring_case(key, "msg")) {
    return expand(state, rule->message.part_count > 0 ? rule->message : starter.message);
  }
  if (abi::equal_ignoring_case(key, "logdata")) {
    return expand(state, rule->logdata.part_count > 0 ? rule->logdata : starter.logdata);
  }
  return {};
}

void collect_persistent(TransactionState& state, const abi::RuleTarget& target, Collector& to) {
  const RecordView record = persistent_record(state, to.variable());
  const std::string_view wanted = state.text(target.key);
  const bool by_name = target.selector == Selector::kKey;
  // Built-in members only by their names, and before the values, which lie in one piece.
  const auto built_in = by_name ? persistent_built_in(state, to.variable(), record, wanted)
                                : std::optional<std::string_view>();
  bool found = false;
  if (record.exists()) {
    record.for_each([&](const CollectionMember& member) {
      if (member.expired(state.info.monotonic_ns)) return true;
      found |= by_name && to.wanted(member.name);
      return to.add_member(member.name, base::as_bytes(member.value), {});
    });
  }
  if (built_in && !found) to.add_member(wanted, base::as_bytes(*built_in), {});
}

/// The members of the lists from value `first` on; kNoValue: all. Where the rest begins, if it is
/// full.
std::uint16_t collect_lists(TransactionState& state, Collector& to, std::uint16_t first) {
  const Source source = source_of(to.variable());
  std::uint8_t list = 0;
  if (first != kNoValue) {
    while (source.lists[list] != state.values.at(first).variable) ++list;
  }
  for (; list < source.count; ++list) {
    std::uint16_t i = std::exchange(first, kNoValue);
    if (i == kNoValue) i = state.values.first(source.lists[list]);
    while (i != kNoValue) {
      const Value& value = state.values.at(i);
      if (to.is_other_key(value.key())) {
        i = value.next;
        continue;
      }
      if (to.is_full()) return i;
      const bool added =
          source.names ? to.add_member(value.key(), base::as_bytes(value.key()), Item::of_name(i))
                       : to.add_member(value.key(), value.view(), Item::of_value(i));
      if (!added) return kNoValue;
      i = value.next;
    }
  }
  return kNoValue;
}

/// The selector is a path: the members of each are a list of their own.
std::uint16_t collect_tree(TransactionState& state, Collector& to, std::uint16_t first) {
  for (std::uint16_t i = first != kNoValue ? first : state.values.first(VariableId::kXml);
       i != kNoValue; i = state.values.at(i).next) {
    if (to.is_full()) return i;
    const Value& value = state.values.at(i);
    if (!to.add_member(value.key(), value.view(), Item::of_value(i))) break;
  }
  return kNoValue;
}

void collect_scalar(TransactionState& state, VariableId variable, Collector& to) {
  if (is_computed(variable)) {
    const std::string_view text = computed_scalar(state, variable);
    to.add({base::as_bytes(text), {}, variable, false, {}});
    return;
  }
  const std::uint16_t index = state.values.first(variable);
  if (index != kNoValue) {
    to.add({state.values.at(index).view(), {}, variable, false, Item::of_value(index)});
  } else if (abi::variable_info(variable).kind != abi::VariableKind::kAbsent) {
    to.add({{}, {}, variable, false, {}});
  }
}

}  // namespace

namespace {

bool has_shape(const ScanIndex::KeyShape& shape, std::string_view key) {
  if (shape.text.size() > key.size()) return false;
  const std::size_t last =
      shape.kind == ScanIndex::KeyShape::Kind::kBegins ? 0 : key.size() - shape.text.size();
  for (std::size_t start = 0; start <= last; ++start) {
    if (abi::equal_ignoring_case(key.substr(start, shape.text.size()), shape.text)) return true;
  }
  return false;
}

}  // namespace

bool selects(TransactionState& state, Selector selector, std::string_view wanted,
             std::uint32_t regex, std::string_view key) {
  switch (selector) {
    case Selector::kAll:
      return true;
    case Selector::kKey:
      return wanted.size() == key.size() && abi::equal_ignoring_case(wanted, key);
    case Selector::kRegex: {
      const ScanIndex::KeyShape& shape = state.ruleset->scan_index().key_shapes[regex];
      if (shape.kind != ScanIndex::KeyShape::Kind::kPattern) return has_shape(shape, key);
      const MatchOutcome outcome =
          match_pattern(state, state.ruleset->regex(regex), base::as_bytes(key));
      if (outcome == MatchOutcome::kLimit) state.fail(abi::Reason::kRuleBudget);
      return outcome == MatchOutcome::kMatch;
    }
  }
  return false;
}

std::span<const TargetValue> collect(TransactionState& state, const abi::RuleTarget& target,
                                     const CandidateSet* candidates, std::uint16_t* next) {
  Collector collector(state, target, candidates, next != nullptr);
  const std::uint16_t first = next != nullptr ? *next : kNoValue;
  std::uint16_t rest = kNoValue;
  const VariableId variable = collector.variable();
  switch (abi::variable_info(variable).kind) {
    case abi::VariableKind::kScalar:
    case abi::VariableKind::kAbsent:
      collect_scalar(state, variable, collector);
      break;
    case abi::VariableKind::kStore:
      collect_tx(state, target, collector);
      break;
    case abi::VariableKind::kPersistent:
      collect_persistent(state, target, collector);
      break;
    case abi::VariableKind::kTree:
      rest = collect_tree(state, collector, first);
      break;
    case abi::VariableKind::kCollection:
      if (variable == VariableId::kMatchedVars || variable == VariableId::kMatchedVarsNames) {
        collect_matched(state, variable == VariableId::kMatchedVarsNames, collector);
      } else if (variable == VariableId::kRule) {
        const std::string_view field = rule_field(state, state.text(target.key));
        collector.add({base::as_bytes(field), state.text(target.key), variable, true, {}});
      } else {
        rest = collect_lists(state, collector, first);
      }
      break;
  }
  if (next != nullptr) *next = rest;
  return collector.values();
}

std::uint32_t count_values(TransactionState& state, const abi::RuleTarget& target) {
  const VariableId variable = static_cast<VariableId>(target.variable);
  const abi::VariableKind kind = abi::variable_info(variable).kind;
  if (kind == abi::VariableKind::kScalar) return 1;
  if (kind == abi::VariableKind::kCollection && target.selector == Selector::kAll &&
      variable != VariableId::kMatchedVars && variable != VariableId::kMatchedVarsNames) {
    const Source source = source_of(variable);
    std::uint32_t count = 0;
    for (std::uint8_t list = 0; list < source.count; ++list) {
      count += state.values.count(source.lists[list]);
    }
    return count;
  }
  const std::size_t used = state.worker->arena.used();
  const auto count = static_cast<std::uint32_t>(collect(state, target).size());
  state.worker->arena.shrink_to(used);
  return count;
}

std::string_view variable_text(TransactionState& state, VariableId variable, std::string_view key,
                               std::uint16_t slot) {
  using enum abi::VariableKind;
  const abi::VariableKind kind = abi::variable_info(variable).kind;
  if (kind == kStore) {
    const std::uint32_t index = slot != abi::kNone16 ? slot : state.tx.find(key);
    return index == TxStore::kNotFound ? std::string_view() : state.tx.value(index);
  }
  if (variable == VariableId::kRule) return rule_field(state, key);
  if (kind == kPersistent) return persistent_text(state, variable, key);
  if ((kind == kScalar || kind == kAbsent) && is_computed(variable)) {
    return computed_scalar(state, variable);
  }
  if (kind == kScalar || kind == kAbsent) {
    const std::uint16_t index = state.values.first(variable);
    return index == kNoValue ? std::string_view() : base::as_text(state.values.at(index).view());
  }
  // Of a collection the last member with that key, which is what 3.0.9 usually shows.
  const Source source = source_of(variable);
  std::string_view found;
  for (std::uint8_t list = 0; list < source.count; ++list) {
    for (std::uint16_t i = state.values.first(source.lists[list]); i != kNoValue;
         i = state.values.at(i).next) {
      const Value& value = state.values.at(i);
      if (!key.empty() && !abi::equal_ignoring_case(key, value.key())) continue;
      found = source.names ? value.key() : base::as_text(value.view());
    }
  }
  return found;
}

std::string_view full_name(TransactionState& state, VariableId variable, bool keyed,
                           std::string_view key) {
  const std::string_view name = abi::variable_info(variable).name;
  if (!keyed) return name;
  auto* to = static_cast<char*>(state.worker->arena.allocate(name.size() + 1 + key.size(), 1));
  if (to == nullptr) {
    state.fail(abi::Reason::kTransactionMemory);
    return {};
  }
  std::memcpy(to, name.data(), name.size());
  to[name.size()] = ':';
  if (!key.empty()) std::memcpy(to + name.size() + 1, key.data(), key.size());
  return {to, name.size() + 1 + key.size()};
}

namespace {

/// expand() and expand_kept(): where the text is put together.
std::string_view expand_to(TransactionState& state, abi::RuleText text, bool kept) {
  const auto parts = state.ruleset->array<abi::TextPart>(state.header().texts)
                         .subspan(text.first_part, text.part_count);
  if (parts.empty()) return {};
  if (parts.size() == 1 && parts[0].variable == abi::kNone16) return state.text(parts[0].text);
  struct {
    const char* data;
    std::size_t size;
  } pieces[48];  // not string_views, which would be cleared first
  std::size_t count = 0, bytes = 0;
  for (const abi::TextPart& part : parts) {
    std::string_view piece = part.variable == abi::kNone16
                                 ? state.text(part.text)
                                 : variable_text(state, static_cast<VariableId>(part.variable),
                                                 state.text(part.text), part.slot);
    piece = piece.substr(0, abi::kExpandedBytesMax - bytes);
    bytes += piece.size();
    if (count == std::size(pieces)) break;
    pieces[count++] = {piece.data(), piece.size()};
  }
  if (count == 1 && !kept) return {pieces[0].data, pieces[0].size};
  auto* to = static_cast<char*>(kept ? state.region.allocate(bytes, 1)
                                     : state.worker->arena.allocate(bytes, 1));
  if (to == nullptr) {
    if (kept) {
      state.fail_memory();
    } else {
      state.fail(abi::Reason::kTransactionMemory);
    }
    return {};
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (pieces[i].size > 0) std::memcpy(to + at, pieces[i].data, pieces[i].size);
    at += pieces[i].size;
  }
  return {to, bytes};
}

}  // namespace

std::string_view expand(TransactionState& state, abi::RuleText text) {
  return expand_to(state, text, false);
}

std::string_view expand_kept(TransactionState& state, abi::RuleText text) {
  return expand_to(state, text, true);
}

}  // namespace sluice::rules
