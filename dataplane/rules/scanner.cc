// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/scanner.h"

#include <hs/hs.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/row_filter.h"
#include "dataplane/rules/scan_index.h"
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
constexpr std::uint8_t kNoForm = 0xff;
constexpr std::size_t kScansMax = 64;  // of one form; the clusters of a rule set are fewer

/// Scans the values of one call. Every value is transformed as far as its bytes ask for, and each
/// form goes through three sieves, each dearer and finer than the one before: byte classes, pairs
/// of bytes, Hyperscan. Most honest values end in the first.
class Scanner {
 public:
  explicit Scanner(TransactionState& state)
      : state_(state),
        index_(state.ruleset->scan_index()),
        scratch_(state.worker->scan),
        patterns_(state.ruleset->array<abi::ScanPattern>(state.header().patterns)),
        uses_(state.ruleset->array<abi::PatternUse>(state.header().uses)),
        rows_(state.ruleset->array<abi::ScanRow>(state.header().rows)),
        row_classes_(state.ruleset->array<std::uint64_t>(state.header().row_classes)),
        nodes_(state.ruleset->array<abi::TransformNode>(state.header().nodes)),
        set_nodes_(state.ruleset->array<abi::ScanNode>(state.header().set_nodes)),
        sets_(state.ruleset->array<abi::ScanSet>(state.header().sets)) {}

  void scan(Item item, std::uint32_t code, std::string_view key, Bytes value) {
    const std::uint32_t set = index_.set_for(*state_.ruleset, code, key);
    if (set == abi::kNone32) return;
    item_ = item;
    const std::uint64_t classes = class_bitmap(value);
    forms_[0] = {value, classes};
    const std::uint64_t changes = index_.set_changes[set];
    if ((changes & classes) == 0 && changes != kChangesAlways) {
      one_form_ = true;
      sieve(forms_[0], sets_[set].first_row, sets_[set].row_count);
      look_closely(forms_[0]);
      return;
    }
    const std::size_t arena_used = state_.worker->arena.used();
    one_form_ = false;
    if (make_forms(sets_[set])) scan_forms(sets_[set]);
    state_.worker->arena.shrink_to(arena_used);
  }

 private:
  bool make_forms(const abi::ScanSet& set);
  bool step(std::uint16_t node);
  void scan_forms(const abi::ScanSet& set);
  void sieve(const Form& form, std::uint32_t first_row, std::uint32_t row_count);
  [[nodiscard]] bool has_grams(const abi::ScanRow& row, const Form& form);
  void look_closely(const Form& form);
  void scan_database(std::uint32_t database, const Form& form);
  void found(const abi::ScanPattern& pattern);
  static int on_match(unsigned id, unsigned long long, unsigned long long, unsigned, void* context);

  [[nodiscard]] bool is_wanted(std::uint32_t pattern) const {
    return (scratch_.wanted[pattern / 64] >> pattern % 64 & 1) != 0;
  }

  TransactionState& state_;
  const ScanIndex& index_;
  ScanScratch& scratch_;
  std::span<const abi::ScanPattern> patterns_;
  std::span<const abi::PatternUse> uses_;
  std::span<const abi::ScanRow> rows_;
  std::span<const std::uint64_t> row_classes_;
  std::span<const abi::TransformNode> nodes_;
  std::span<const abi::ScanNode> set_nodes_;
  std::span<const abi::ScanSet> sets_;
  Item item_;
  bool one_form_ = true;    ///< every node gives the value itself
  bool has_grams_ = false;  ///< scratch_.grams are those of the current form
  std::uint8_t current_ = 0;
  std::size_t wanted_count_ = 0, wanted_left_ = 0;
  std::size_t form_count_ = 0, step_count_ = 0;
  Form forms_[kFormsMax];
  KnownStep steps_[kStepsMax];
  std::uint8_t form_of_node_[abi::kTransformNodesMax];
};

bool Scanner::make_forms(const abi::ScanSet& set) {
  form_count_ = 1;
  step_count_ = 0;
  std::memset(form_of_node_, kNoForm, nodes_.size());
  form_of_node_[0] = 0;
  for (const abi::ScanNode& node : set_nodes_.subspan(set.first_node, set.node_count)) {
    if (node.node != 0 && !step(node.node)) return false;
  }
  return true;
}

bool Scanner::step(std::uint16_t node) {
  const abi::TransformNode& transform = nodes_[node];
  const std::uint8_t from = form_of_node_[transform.parent];
  const std::uint64_t changes = index_.node_changes[node];
  if ((changes & forms_[from].classes) == 0 && changes != kChangesAlways) {
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
  const auto id = static_cast<abi::TransformId>(transform.transform);
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

void Scanner::scan_forms(const abi::ScanSet& set) {
  const auto nodes = set_nodes_.subspan(set.first_node, set.node_count);
  for (std::size_t form = 0; form < form_count_; ++form) {
    current_ = static_cast<std::uint8_t>(form);
    for (const abi::ScanNode& node : nodes) {
      if (node.row_count > 0 && form_of_node_[node.node] == current_) {
        sieve(forms_[form], node.first_row, node.row_count);
      }
    }
    look_closely(forms_[form]);
  }
}

/// Byte classes of all rows, then pairs of those that pass. What is left is wanted.
void Scanner::sieve(const Form& form, std::uint32_t first_row, std::uint32_t row_count) {
  for (std::uint32_t start = 0; start < row_count; start += 64) {
    const std::uint32_t block = first_row + start;
    std::uint64_t passing =
        passing_rows(&row_classes_[block], std::min(row_count - start, 64u), form.classes);
    for (; passing != 0; passing &= passing - 1) {
      const abi::ScanRow& row = rows_[block + static_cast<unsigned>(std::countr_zero(passing))];
      if (is_wanted(row.pattern) || !has_grams(row, form)) continue;
      scratch_.wanted[row.pattern / 64] |= std::uint64_t{1} << row.pattern % 64;
      scratch_.wanted_list[wanted_count_++] = static_cast<std::uint16_t>(row.pattern);
    }
  }
}

bool Scanner::has_grams(const abi::ScanRow& row, const Form& form) {
  if (!has_grams_) {
    scratch_.grams.assign(form.bytes);
    has_grams_ = true;
  }
  for (const std::uint16_t pair : row.grams) {
    if (!scratch_.grams.has(pair)) return false;
  }
  return true;
}

void Scanner::look_closely(const Form& form) {
  std::uint32_t databases[kScansMax];
  std::size_t database_count = 0;
  wanted_left_ = 0;
  for (std::size_t i = 0; i < wanted_count_; ++i) {
    const abi::ScanPattern& pattern = patterns_[scratch_.wanted_list[i]];
    if (pattern.kind == static_cast<std::uint8_t>(abi::ScanKind::kAlways)) {
      found(pattern);
      continue;
    }
    ++wanted_left_;
    const auto end = databases + database_count;
    if (std::find(databases, end, pattern.database) != end) continue;
    if (database_count == kScansMax) {
      found(pattern);  // looked at by its rules instead
      continue;
    }
    databases[database_count++] = pattern.database;
  }
  if (!form.bytes.empty()) {
    for (std::size_t i = 0; i < database_count && wanted_left_ > 0; ++i) {
      scan_database(databases[i], form);
    }
  }
  for (std::size_t i = 0; i < wanted_count_; ++i) {
    scratch_.wanted[scratch_.wanted_list[i] / 64] = 0;
  }
  wanted_count_ = 0;
  has_grams_ = false;
}

void Scanner::scan_database(std::uint32_t database, const Form& form) {
  ++state_.worker->counts.scans;
  state_.worker->counts.scan_bytes += form.bytes.size();
  state_.spend(1 + form.bytes.size() / 64);
  hs_scan(
      static_cast<const hs_database_t*>(state_.ruleset->database(database)),
      reinterpret_cast<const char*>(form.bytes.data()), static_cast<unsigned>(form.bytes.size()), 0,
      static_cast<hs_scratch_t*>(state_.ruleset->scratch(state_.worker->index)), on_match, this);
}

/// A database looks for patterns of other zones too, and for some that the sieves excluded: those
/// are not wanted. Once all that is wanted is found, the scan stops.
int Scanner::on_match(unsigned id, unsigned long long, unsigned long long, unsigned,
                      void* context) {
  auto* self = static_cast<Scanner*>(context);
  if (id >= self->patterns_.size() || !self->is_wanted(id)) return 0;
  self->scratch_.wanted[id / 64] &= ~(std::uint64_t{1} << id % 64);
  self->found(self->patterns_[id]);
  return --self->wanted_left_ == 0 ? 1 : 0;
}

void Scanner::found(const abi::ScanPattern& pattern) {
  for (const abi::PatternUse& use : uses_.subspan(pattern.first_use, pattern.use_count)) {
    if (one_form_ || form_of_node_[use.node] == current_) {
      state_.candidates.add(use.check, item_, state_.region);
    }
  }
}

}  // namespace

void scan_values(TransactionState& state, std::uint32_t first) {
  Scanner scanner(state);
  for (std::uint32_t i = first; i < state.values.size() && !state.failed(); ++i) {
    const auto index = static_cast<std::uint16_t>(i);
    const Value& value = state.values.at(index);
    const std::uint32_t code = static_cast<std::uint32_t>(value.variable) * 2;
    const std::string_view key = value.key();
    scanner.scan(Item::of_value(index), code, key, value.view());
    if (!key.empty()) scanner.scan(Item::of_name(index), code + 1, key, base::as_bytes(key));
  }
}

}  // namespace sluice::rules
