// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/scanner.h"

#include <hs/hs.h>

#include <algorithm>

#include "dataplane/abi/names.h"
#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {

namespace {

/// One form of a value: what some of the transformation chains make of it.
struct Form {
  Bytes bytes;
  std::uint64_t classes;
};

/// A transformation of a form that is known already.
struct KnownStep {
  std::uint8_t from, to, transform;
};

constexpr std::size_t kFormsMax = 48;  // a chain has at most 32 steps; beyond: rule_budget
constexpr std::size_t kStepsMax = 96;

class ItemScan {
 public:
  ItemScan(TransactionState& state, Item item, const abi::ScanSet& set)
      : state_(state),
        item_(item),
        set_(set),
        patterns_(state.ruleset->array<abi::ScanPattern>(state.header().patterns)),
        set_patterns_(state.ruleset->array<std::uint32_t>(state.header().set_patterns)),
        uses_(state.ruleset->array<abi::PatternUse>(state.header().uses)),
        gates_(state.ruleset->array<std::uint64_t>(state.header().gates)),
        mask_(state.ruleset->array<std::uint64_t>(state.header().set_masks)
                  .subspan(set.first_mask, abi::mask_words(patterns_.size()))) {}

  void run(Bytes value) {
    if (!make_forms(value)) return;
    for (std::size_t i = 0; i < form_count_; ++i) {
      current_ = static_cast<std::uint8_t>(i);
      scan_form(forms_[i]);
    }
  }

 private:
  bool make_forms(Bytes value);
  bool step(std::uint16_t node, const abi::TransformNode& transform);
  void scan_form(const Form& form);
  void scan_database(std::uint32_t database, const Form& form);
  [[nodiscard]] bool passes_gate(const abi::ScanPattern& pattern, std::uint64_t classes) const;
  void found(const abi::ScanPattern& pattern);
  static int on_match(unsigned id, unsigned long long, unsigned long long, unsigned, void* context);

  TransactionState& state_;
  Item item_;
  const abi::ScanSet& set_;
  std::span<const abi::ScanPattern> patterns_;
  std::span<const std::uint32_t> set_patterns_;
  std::span<const abi::PatternUse> uses_;
  std::span<const std::uint64_t> gates_, mask_;
  Form forms_[kFormsMax];
  KnownStep steps_[kStepsMax];
  std::size_t form_count_ = 0, step_count_ = 0;
  std::uint8_t form_of_node_[abi::kTransformNodesMax];
  std::uint8_t current_ = 0;
};

bool ItemScan::make_forms(Bytes value) {
  forms_[0] = {value, class_bitmap(value)};
  form_count_ = 1;
  step_count_ = 0;
  form_of_node_[0] = 0;
  const auto nodes = state_.ruleset->array<abi::TransformNode>(state_.header().nodes);
  for (const std::uint16_t node : state_.ruleset->array<std::uint16_t>(state_.header().set_nodes)
                                      .subspan(set_.first_node, set_.node_count)) {
    if (node != 0 && !step(node, nodes[node])) return false;
  }
  return true;
}

bool ItemScan::step(std::uint16_t node, const abi::TransformNode& transform) {
  const std::uint8_t from = form_of_node_[transform.parent];
  const auto id = static_cast<abi::TransformId>(transform.transform);
  if (transform.is_transparent != 0 || !may_change(id, forms_[from].classes)) {
    form_of_node_[node] = from;
    return true;
  }
  for (std::size_t i = 0; i < step_count_; ++i) {
    if (steps_[i].from == from && steps_[i].transform == transform.transform) {
      form_of_node_[node] = steps_[i].to;
      return true;
    }
  }
  const abi::UnicodeMap* map =
      state_.header().unicode_map == 0
          ? nullptr
          : reinterpret_cast<const abi::UnicodeMap*>(state_.ruleset->image().data() +
                                                     state_.header().unicode_map);
  const Bytes input = forms_[from].bytes;
  state_.spend(1 + input.size() / 64);
  const TransformResult result = apply_transform(id, input, map, state_.worker->arena);
  if (result.outcome == TransformOutcome::kArenaFull || step_count_ == kStepsMax ||
      form_count_ == kFormsMax) {
    state_.fail(abi::Reason::kTransactionMemory);
    return false;
  }
  std::uint8_t to = from;
  if (result.outcome == TransformOutcome::kChanged) {
    const auto same = std::find_if(forms_, forms_ + form_count_, [&](const Form& form) {
      return form.bytes.size() == result.output.size() &&
             std::equal(form.bytes.begin(), form.bytes.end(), result.output.begin());
    });
    to = static_cast<std::uint8_t>(same - forms_);
    if (to == form_count_) forms_[form_count_++] = {result.output, class_bitmap(result.output)};
  }
  steps_[step_count_++] = {from, to, transform.transform};
  form_of_node_[node] = to;
  return true;
}

bool ItemScan::passes_gate(const abi::ScanPattern& pattern, std::uint64_t classes) const {
  if (pattern.gate_count == 0) return true;
  const auto gates = gates_.subspan(pattern.first_gate, pattern.gate_count);
  return std::any_of(gates.begin(), gates.end(),
                     [&](std::uint64_t gate) { return (gate & ~classes) == 0; });
}

void ItemScan::found(const abi::ScanPattern& pattern) {
  for (const abi::PatternUse& use : uses_.subspan(pattern.first_use, pattern.use_count)) {
    if (form_of_node_[use.node] == current_) {
      state_.candidates.add(use.check, item_, state_.region);
    }
  }
}

int ItemScan::on_match(unsigned id, unsigned long long, unsigned long long, unsigned,
                       void* context) {
  auto* scan = static_cast<ItemScan*>(context);
  // A database looks for patterns of other zones too. An id beyond the patterns is no id of ours.
  if (id < scan->patterns_.size() && (scan->mask_[id / 64] >> id % 64 & 1) != 0) {
    scan->found(scan->patterns_[id]);
  }
  return 0;
}

void ItemScan::scan_form(const Form& form) {
  std::uint32_t last = abi::kNone32;  // patterns are ordered by database: each is scanned once
  for (const std::uint32_t index : set_patterns_.subspan(set_.first_pattern, set_.pattern_count)) {
    const abi::ScanPattern& pattern = patterns_[index];
    if (!passes_gate(pattern, form.classes)) continue;
    if (pattern.kind == static_cast<std::uint8_t>(abi::ScanKind::kAlways)) {
      found(pattern);
    } else if (pattern.database != last && !form.bytes.empty()) {
      last = pattern.database;
      scan_database(last, form);
    }
  }
}

void ItemScan::scan_database(std::uint32_t database, const Form& form) {
  ++state_.worker->counts.scans;
  state_.worker->counts.scan_bytes += form.bytes.size();
  state_.spend(1 + form.bytes.size() / 64);
  hs_scan(
      static_cast<const hs_database_t*>(state_.ruleset->database(database)),
      reinterpret_cast<const char*>(form.bytes.data()), static_cast<unsigned>(form.bytes.size()), 0,
      static_cast<hs_scratch_t*>(state_.ruleset->scratch(state_.worker->index)), on_match, this);
}

const abi::ScanZone* find_zone(const TransactionState& state, std::uint32_t code,
                               std::string_view key) {
  const abi::ScanZone* found = nullptr;
  for (const abi::ScanZone& zone : state.ruleset->array<abi::ScanZone>(state.header().zones)) {
    if (zone.zone != code) continue;
    if (zone.key.bytes == 0) {
      found = found == nullptr ? &zone : found;
    } else if (zone.key.bytes == key.size() && abi::same_name(state.text(zone.key), key)) {
      return &zone;
    }
  }
  return found;
}

void scan_item(TransactionState& state, Item item, const Value& value) {
  const std::uint32_t code =
      static_cast<std::uint32_t>(value.variable) * 2 + (item.is_name() ? 1U : 0U);
  const abi::ScanZone* zone = find_zone(state, code, value.key());
  if (zone == nullptr) return;
  const std::size_t arena_used = state.worker->arena.used();
  ItemScan scan(state, item, state.ruleset->array<abi::ScanSet>(state.header().sets)[zone->set]);
  scan.run(item.is_name() ? base::as_bytes(value.key()) : value.view());
  state.worker->arena.shrink_to(arena_used);
}

}  // namespace

void scan_values(TransactionState& state, std::uint32_t first) {
  for (std::uint32_t i = first; i < state.values.size() && !state.failed(); ++i) {
    const auto index = static_cast<std::uint16_t>(i);
    const Value value = state.values.at(index);
    scan_item(state, Item::of_value(index), value);
    if (!value.key().empty()) scan_item(state, Item::of_name(index), value);
  }
}

}  // namespace sluice::rules
