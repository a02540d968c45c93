// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/scan_index.h"
#include "dataplane/rules/scanner.h"

namespace sluice::rules {

inline constexpr std::uint64_t kAllNodes = ~std::uint64_t{0};

/// Scans the values of one call. Every value is transformed as far as its bytes ask for, and each
/// form goes through sieves: byte classes or a pair of bytes that a pattern cannot do without, all
/// its pairs, Hyperscan. Nearly all honest values end before the last.
class ValueScanner {
 public:
  explicit ValueScanner(TransactionState& state)
      : state_(state),
        index_(state.ruleset->scan_index()),
        scratch_(state.worker->scan),
        patterns_(state.ruleset->array<abi::ScanPattern>(state.header().patterns)),
        uses_(state.ruleset->array<abi::PatternUse>(state.header().uses)),
        rows_(state.ruleset->array<abi::ScanRow>(state.header().rows)),
        row_classes_(state.ruleset->array<std::uint64_t>(state.header().row_classes)),
        groups_(state.ruleset->array<abi::ScanRows>(state.header().groups)),
        keys_(state.ruleset->array<abi::ScanRows>(state.header().keys)),
        group_classes_(state.ruleset->array<std::uint64_t>(state.header().group_classes)),
        key_grams_(state.ruleset->array<std::uint64_t>(state.header().key_grams)),
        set_patterns_(state.ruleset->array<std::uint64_t>(state.header().set_patterns)),
        nodes_(state.ruleset->array<abi::TransformNode>(state.header().nodes)),
        leads_(state.ruleset->array<abi::ScanLead>(state.header().leads)),
        node_leads_(state.ruleset->array<std::uint16_t>(state.header().node_leads)),
        sets_(state.ruleset->array<abi::ScanSet>(state.header().sets)) {}

  /// From now on for the checks in asked_checks alone. What the memo keeps is for all.
  void ask_less() {
    asks_less_ = true;
    std::fill(std::begin(scratch_.asked_patterns), std::end(scratch_.asked_patterns), 0);
    std::memset(asked_nodes_, 0, nodes_.size());
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      for (const abi::PatternUse& use :
           uses_.subspan(patterns_[i].first_use, patterns_[i].use_count)) {
        if ((scratch_.asked_checks[use.check / 64] >> use.check % 64 & 1) == 0) continue;
        scratch_.asked_patterns[i / 64] |= std::uint64_t{1} << i % 64;
        for (std::uint16_t at = use.node; at != 0; at = nodes_[at].parent) asked_nodes_[at] = true;
      }
    }
  }

  /// Scans a value, or with a memo, at the latest in finish(): its entries are on their way from
  /// memory meanwhile. False: the slice is over at stopped_at().
  [[nodiscard]] bool scan(Item item, std::uint32_t code, std::string_view key, Bytes value) {
    const std::uint32_t set = index_.set_for(*state_.ruleset, code, key);
    if (set == abi::kNone32) return true;
    WorkerScratch& worker = *state_.worker;
    if (!worker.use_memo) {
      if (value.size() >= least_to_stop_) return scan_in_slices({item, set, value, {}});
      scan_at_a_stretch(item, set, value);
      return true;
    }
    if (waiting_count_ == kWaitingMax && !finish()) return false;
    scratch_.waiting[waiting_count_++] = {item, set, value,
                                          worker.memo.place_of(worker.key, set, value)};
    return true;
  }
  [[nodiscard]] bool finish() {
    const std::size_t count = std::exchange(waiting_count_, 0);
    for (std::size_t i = 0; i < count && !state_.failed(); ++i) {
      if (!look_up(scratch_.waiting[i])) return false;
    }
    return true;
  }
  /// Goes on with the value whose scans have stopped. False: the slice is over once more.
  [[nodiscard]] bool go_on() {
    LongWork& scan = *state_.long_work;
    use_set(scan.of.set);
    at_ = scan.progress;
    memory_ = &scan.memory;
    arena_ = &scan.arena;
    const bool is_done = run();
    scan.progress = at_;
    memory_ = &scratch_.memory;
    arena_ = &state_.worker->arena;
    if (!is_done) {
      stopped_at_ = scan.of.item;
      return false;
    }
    const WaitingValue waiting = scan.of;
    state_.give_up_work();
    if (at_.is_full) {
      state_.steps_left = scan.steps_left;
      state_.steps_spent = scan.steps_spent;
      scan_at_a_stretch(waiting.item, waiting.set, waiting.value);
    }
    remember_found(waiting.place);
    return true;
  }
  [[nodiscard]] Item stopped_at() const { return stopped_at_; }

 private:
  /// A value that was scanned before, from the memo; else scan_value().
  [[nodiscard]] bool look_up(const WaitingValue& waiting) {
    WorkerScratch& worker = *state_.worker;
    const Memo::Entry* entry = Memo::find(waiting.place, state_.ruleset->serial(), waiting.set);
    if (entry != nullptr) {
      ++worker.counts.memo_hits;
      for (const std::uint16_t check : entry->found()) {
        state_.candidates.add(check, waiting.item, state_.region);
      }
      return true;
    }
    ++worker.counts.memo_misses;
    return scan_value(waiting);
  }
  [[nodiscard]] bool scan_value(const WaitingValue& waiting) {
    if (waiting.value.size() >= least_to_stop_) return scan_in_slices(waiting);
    scan_at_a_stretch(waiting.item, waiting.set, waiting.value);
    remember_found(waiting.place);
    return true;
  }
  [[nodiscard]] [[gnu::noinline]] bool scan_in_slices(const WaitingValue& waiting) {
    LongWork* scan = scratch_.take_long_work();
    if (scan == nullptr) {
      stopped_at_ = waiting.item;
      return false;
    }
    state_.long_work = scan;
    scan->of = waiting;
    scan->steps_left = state_.steps_left;
    scan->steps_spent = state_.steps_spent;
    memory_ = &scan->memory;
    begin(waiting.item, waiting.set, waiting.value);
    at_.stops = true;
    at_.is_full = at_.is_sieved = false;
    at_.has_forms = at_.one_form;
    at_.next_node = 0;
    scan->progress = at_;
    return go_on();
  }
  void scan_at_a_stretch(Item item, std::uint32_t set, Bytes value) {
    begin(item, set, value);
    if (at_.one_form) return scan_form(memory_->forms[0]);
    const std::size_t arena_used = arena_->used();
    if (make_forms(0)) {
      for (; at_.current < at_.form_count; ++at_.current) scan_form(memory_->forms[at_.current]);
    }
    arena_->shrink_to(arena_used);
  }
  void begin(Item item, std::uint32_t set, Bytes value) {
    use_set(set);
    at_.item = item;
    at_.stops = false;
    ValueForm& whole = memory_->forms[0];
    whole = {value, class_bitmap(value), kAllNodes};
    at_.form_count = 1;
    at_.step_count = at_.found_count = at_.wanted_count = 0;
    at_.current = 0;
    at_.one_form = (index_.sets[set].changes & whole.classes) == 0 && !index_.sets[set].has_late;
  }
  void use_set(std::uint32_t set) {
    set_index_ = set;
    set_ = &sets_[set];
    of_set_ = &set_patterns_[set * abi::pattern_words(patterns_.size())];
  }
  void remember_found(const Memo::Place& place) {
    if (!state_.worker->use_memo || asks_less_ || state_.failed()) return;
    if (at_.found_count > Memo::kChecksMax) return;
    Memo::put(place, state_.ruleset->serial(), set_index_, {at_.found, at_.found_count});
  }
  /// Between two units of a value whose scans may stop.
  [[nodiscard]] bool pauses() { return at_.stops && state_.slice_over_now(); }
  bool run();
  bool make_forms(std::uint16_t first_node);
  // Inline, so that each becomes part of its only caller.
  [[gnu::always_inline]] inline bool step(std::uint16_t node);
  inline void scan_form(const ValueForm& form);
  inline void sieve(const ValueForm& form);
  /// Whether a value begins as a lead asks; kNone16 asks for nothing.
  [[nodiscard]] bool may_begin(std::uint16_t index, Bytes value) const {
    return index == abi::kNone16 || begins_as(leads_[index], value);
  }
  inline void sieve_by_class(const ValueForm& form);
  inline void sieve_by_gram(const ValueForm& form);
  inline void sieve_rows(const ValueForm& form, const abi::ScanRows& rows);
  inline void sieve_row(const ValueForm& form, const abi::ScanRow& row);
  [[nodiscard]] static bool has_line_end(const ValueForm& form) {
    return (form.classes & class_bit(ByteClass::kOtherWhitespace)) != 0;
  }
  [[nodiscard]] bool is_of_this_form(std::uint16_t node) const {
    return at_.one_form || memory_->form_of_node[node] == at_.current;
  }
  inline bool may_match(const abi::ScanPattern& pattern, const ValueForm& form);
  inline bool may_match_briefly(const abi::ScanPattern& pattern, Bytes value);
  inline void found(const abi::ScanPattern& pattern);

  void remember(std::uint32_t check) {
    std::uint16_t* const end = at_.found + at_.found_count;
    if (at_.found_count > Memo::kChecksMax || std::find(at_.found, end, check) != end) return;
    // Checks are below kNone16: image_check.
    if (at_.found_count < Memo::kChecksMax) *end = static_cast<std::uint16_t>(check);
    ++at_.found_count;
  }

  [[nodiscard]] bool has_grams(const abi::ScanRow& row) {
    return std::all_of(std::begin(row.grams), std::end(row.grams),
                       [&](Gram pair) { return scratch_.grams.has(pair); });
  }
  [[nodiscard]] bool is_asked_for(std::uint32_t pattern) const {
    return !asks_less_ || (scratch_.asked_patterns[pattern / 64] >> pattern % 64 & 1) != 0;
  }
  [[nodiscard]] bool is_of_set(std::uint32_t pattern) const {
    return (of_set_[pattern / 64] >> pattern % 64 & 1) != 0;
  }
  [[nodiscard]] bool is_wanted(std::uint32_t pattern) const {
    return (scratch_.is_wanted[pattern / 64] >> pattern % 64 & 1) != 0;
  }

  TransactionState& state_;
  const ScanIndex& index_;
  ScanScratch& scratch_;
  std::span<const abi::ScanPattern> patterns_;
  std::span<const abi::PatternUse> uses_;
  std::span<const abi::ScanRow> rows_;
  std::span<const std::uint64_t> row_classes_;
  std::span<const abi::ScanRows> groups_, keys_;
  std::span<const std::uint64_t> group_classes_, key_grams_, set_patterns_;
  std::span<const abi::TransformNode> nodes_;
  std::span<const abi::ScanLead> leads_;
  std::span<const std::uint16_t> node_leads_;
  std::span<const abi::ScanSet> sets_;
  const abi::ScanSet* set_ = nullptr;
  const std::uint64_t* of_set_ = nullptr;  ///< a bit per pattern
  std::uint32_t set_index_ = 0;
  bool asks_less_ = false;  ///< ask_less()
  bool asked_nodes_[abi::kTransformNodesMax];
  std::size_t waiting_count_ = 0;
  const std::size_t least_to_stop_ = state_.least_to_stop(abi::kLongWorkBytes);
  Item stopped_at_;
  ScanProgress at_;  ///< the value under way
  ScanMemory* memory_ = &scratch_.memory;
  base::Arena* arena_ = &state_.worker->arena;  ///< of its forms
};

}  // namespace sluice::rules
