// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/scanner.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/abi/names.h"
#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/injection.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/operator/sqli_words.h"
#include "dataplane/rules/row_filter.h"
#include "dataplane/rules/scan_index.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {

namespace {

constexpr std::uint8_t kNoForm = 0xff;
constexpr std::uint64_t kAllNodes = ~std::uint64_t{0};
/// Of values that PCRE2 looks at instead of Hyperscan.
constexpr std::size_t kBriefBytesMax = 40;

/// node_bit() of each of the 64 nodes of a word that is set in `places`.
constexpr std::uint64_t nodes_at(std::size_t word, std::uint64_t places) {
  return word == 0 || places == 0 ? places : abi::node_bit(63);
}

/// The first match will do: a pattern that is only approximate may match at every byte.
int on_first_match(unsigned, unsigned long long, unsigned long long, unsigned, void* found) {
  *static_cast<bool*>(found) = true;
  return 1;
}

/// Scans the values of one call. Every value is transformed as far as its bytes ask for, and each
/// form goes through sieves: byte classes or a pair of bytes that a pattern cannot do without, all
/// its pairs, Hyperscan. Nearly all honest values end before the last.
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
  /// memory meanwhile.
  void scan(Item item, std::uint32_t code, std::string_view key, Bytes value) {
    const std::uint32_t set = index_.set_for(*state_.ruleset, code, key);
    if (set == abi::kNone32) return;
    WorkerScratch& worker = *state_.worker;
    if (!worker.use_memo) {
      item_ = item;
      return scan_set(set, value);
    }
    if (waiting_count_ == kWaitingMax) finish();
    scratch_.waiting[waiting_count_++] = {item, set, value,
                                          worker.memo.place_of(worker.key, set, value)};
  }
  void finish() {
    for (std::size_t i = 0; i < waiting_count_ && !state_.failed(); ++i)
      look_up(scratch_.waiting[i]);
    waiting_count_ = 0;
  }

 private:
  /// A value that was scanned before, from the memo; else scan_set().
  void look_up(const WaitingValue& waiting) {
    WorkerScratch& worker = *state_.worker;
    const std::uint32_t serial = state_.ruleset->serial();
    item_ = waiting.item;
    const Memo::Entry* entry = Memo::find(waiting.place, serial, waiting.set);
    if (entry != nullptr) {
      ++worker.counts.memo_hits;
      for (const std::uint16_t check : entry->found()) {
        state_.candidates.add(check, item_, state_.region);
      }
      return;
    }
    ++worker.counts.memo_misses;
    found_count_ = 0;
    scan_set(waiting.set, waiting.value);
    if (found_count_ <= Memo::kChecksMax && !state_.failed() && !asks_less_) {
      Memo::put(waiting.place, serial, waiting.set, {found_, found_count_});
    }
  }
  void scan_set(std::uint32_t set, Bytes value) {
    set_ = &sets_[set];
    set_index_ = set;
    of_set_ = &set_patterns_[set * abi::pattern_words(patterns_.size())];
    forms_[0] = {value, class_bitmap(value), kAllNodes};
    form_count_ = 1;
    step_count_ = 0;
    current_ = 0;
    one_form_ = (index_.sets[set].changes & forms_[0].classes) == 0 && !index_.sets[set].has_late;
    if (one_form_) return scan_form(forms_[0]);
    const std::size_t arena_used = state_.worker->arena.used();
    if (make_forms()) {
      for (; current_ < form_count_; ++current_) scan_form(forms_[current_]);
    }
    state_.worker->arena.shrink_to(arena_used);
  }
  bool make_forms();
  bool step(std::uint16_t node);
  void scan_form(const ValueForm& form);
  /// Whether a value begins as a lead asks; kNone16 asks for nothing.
  [[nodiscard]] bool may_begin(std::uint16_t index, Bytes value) const {
    return index == abi::kNone16 || begins_as(leads_[index], value);
  }
  void sieve_by_class(const ValueForm& form);
  void sieve_by_gram(const ValueForm& form);
  void sieve_rows(const ValueForm& form, const abi::ScanRows& rows);
  void sieve_row(const ValueForm& form, const abi::ScanRow& row);
  [[nodiscard]] static bool has_line_end(const ValueForm& form) {
    return (form.classes & class_bit(ByteClass::kOtherWhitespace)) != 0;
  }
  [[nodiscard]] bool is_of_this_form(std::uint16_t node) const {
    return one_form_ || form_of_node_[node] == current_;
  }
  void look_closely(const ValueForm& form);
  bool may_match(const abi::ScanPattern& pattern, const ValueForm& form);
  bool may_match_briefly(const abi::ScanPattern& pattern, Bytes value);
  void found(const abi::ScanPattern& pattern);

  void remember(std::uint32_t check) {
    if (found_count_ > Memo::kChecksMax) return;
    if (std::find(found_, found_ + found_count_, check) != found_ + found_count_) return;
    if (found_count_ < Memo::kChecksMax) {  // checks are below kNone16: image_check
      found_[found_count_++] = static_cast<std::uint16_t>(check);
    } else {
      found_count_ = Memo::kChecksMax + 1;
    }
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
    return (scratch_.wanted[pattern / 64] >> pattern % 64 & 1) != 0;
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
  Item item_;
  const abi::ScanSet* set_ = nullptr;
  const std::uint64_t* of_set_ = nullptr;  ///< a bit per pattern
  std::uint32_t set_index_ = 0;
  bool one_form_ = true;    ///< every node gives the value itself
  bool asks_less_ = false;  ///< ask_less()
  bool asked_nodes_[abi::kTransformNodesMax];
  std::uint8_t current_ = 0;
  std::size_t wanted_count_ = 0;
  std::size_t form_count_ = 0, step_count_ = 0;
  std::uint16_t found_[Memo::kChecksMax];
  std::size_t found_count_ = 0;  ///< beyond kChecksMax: more than the memo takes
  std::size_t waiting_count_ = 0;
  ValueForm* const forms_ = scratch_.forms;
  KnownStep* const steps_ = scratch_.steps;
  std::uint8_t form_of_node_[abi::kTransformNodesMax];
};

bool Scanner::make_forms() {
  std::memset(form_of_node_, 0, nodes_.size());
  forms_[0].nodes = 0;
  for (std::size_t word = 0; word < std::size(set_->nodes); ++word) {
    if (set_->nodes[word] == 0) continue;
    const std::size_t first = 64 * word;
    const auto count = static_cast<unsigned>(std::min<std::size_t>(nodes_.size() - first, 64));
    // Chains that ask for nothing that the value has leave it as it is.
    const std::uint64_t unchanged =
        forms_[0].bytes.empty()
            ? 0
            : passing_rows(&index_.chain_changes[first], count, ~forms_[0].classes) &
                  set_->nodes[word];
    forms_[0].nodes |= nodes_at(word, unchanged);
    for (std::uint64_t left = set_->nodes[word] & ~unchanged; left != 0; left &= left - 1) {
      const auto node =
          static_cast<std::uint16_t>(first + static_cast<std::size_t>(std::countr_zero(left)));
      if (asks_less_ && node != 0 && !asked_nodes_[node]) {
        form_of_node_[node] = kNoForm;
        continue;
      }
      if (node != 0 && !step(node)) return false;
      if (form_of_node_[node] == kNoForm) continue;
      forms_[form_of_node_[node]].nodes |= abi::node_bit(node);
    }
  }
  return true;
}

/// The form that a node gives, from its parent's; none if it does not begin as its lead asks.
bool Scanner::step(std::uint16_t node) {
  const abi::TransformNode& transform = nodes_[node];
  const std::uint8_t from = form_of_node_[transform.parent];
  const std::uint64_t changes = index_.node_changes[node];
  if ((changes & forms_[from].classes) == 0 && changes != kChangesAlways) {
    form_of_node_[node] = from;
    return true;
  }
  for (std::size_t i = 0; i < step_count_; ++i) {
    if (steps_[i].from == from && steps_[i].transform == transform.transform &&
        steps_[i].ignores_case == transform.ignores_case) {
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
  const auto id = static_cast<abi::TransformId>(transform.transform);
  const std::uint16_t lead = node_leads_[node];
  if (lead != abi::kNone16 &&
      longest_output(id, input.size(), forms_[from].classes) < leads_[lead].least) {
    form_of_node_[node] = kNoForm;
    return true;
  }
  state_.spend(1 + input.size() / 64);
  const TransformResult result = apply_transform(id, input, map, state_.worker->arena);
  if (result.outcome == TransformOutcome::kArenaFull || step_count_ == kStepsMax ||
      form_count_ == kFormsMax) {
    state_.fail(abi::Reason::kTransactionMemory);
    return false;
  }
  std::uint8_t to = from;
  if (result.outcome == TransformOutcome::kChanged && !may_begin(lead, result.output)) {
    to = kNoForm;
  } else if (result.outcome == TransformOutcome::kChanged) {
    const bool ignores_case = transform.ignores_case != 0;
    const auto same = std::find_if(forms_, forms_ + form_count_, [&](const ValueForm& form) {
      return ignores_case
                 ? abi::equal_ignoring_case(base::as_text(form.bytes), base::as_text(result.output))
                 : form.bytes.size() == result.output.size() &&
                       std::equal(form.bytes.begin(), form.bytes.end(), result.output.begin());
    });
    to = static_cast<std::uint8_t>(same - forms_);
    if (to == form_count_) forms_[form_count_++] = {result.output, class_bitmap(result.output), 0};
  }
  steps_[step_count_++] = {from, to, transform.transform, transform.ignores_case};
  form_of_node_[node] = to;
  return true;
}

void Scanner::scan_form(const ValueForm& form) {
  if (!index_.may_pass(set_index_, form.nodes, form.classes)) return;
  sieve_by_class(form);
  if (form.bytes.size() > 1 && index_.may_pass_key(set_index_, form.classes)) sieve_by_gram(form);
  if (wanted_count_ > 0) look_closely(form);
}

void Scanner::sieve_by_class(const ValueForm& form) {
  for (std::size_t word = 0; word < std::size(set_->groups); ++word) {
    if (set_->groups[word] == 0) continue;
    const std::size_t first = 64 * word;
    const auto count = static_cast<unsigned>(std::min<std::size_t>(groups_.size() - first, 64));
    std::uint64_t passing =
        passing_rows(&group_classes_[first], count, form.classes) & set_->groups[word];
    for (; passing != 0; passing &= passing - 1) {
      sieve_rows(form, groups_[first + static_cast<unsigned>(std::countr_zero(passing))]);
    }
  }
}

/// The rows of the pairs that the value has: few, whatever the number of patterns.
void Scanner::sieve_by_gram(const ValueForm& form) {
  const std::size_t count =
      scratch_.grams.assign(form.bytes, index_.sets[set_index_].grams, scratch_.hits);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t word = scratch_.hits[i] / 64;
    const std::uint64_t below = (std::uint64_t{1} << scratch_.hits[i] % 64) - 1;
    const auto rank = static_cast<unsigned>(std::popcount(key_grams_[word] & below));
    const std::uint32_t key = index_.word_keys[word] + rank;
    if ((index_.key_classes[key] & ~form.classes) == 0) sieve_rows(form, keys_[key]);
  }
}

void Scanner::sieve_rows(const ValueForm& form, const abi::ScanRows& rows) {
  constexpr std::uint32_t kFew = 4;
  if (rows.row_count <= kFew) {
    for (std::uint32_t row = rows.first_row; row < rows.first_row + rows.row_count; ++row) {
      if ((row_classes_[row] & ~form.classes) == 0) sieve_row(form, rows_[row]);
    }
    return;
  }
  for (std::uint32_t start = 0; start < rows.row_count; start += 64) {
    const std::uint32_t first = rows.first_row + start;
    std::uint64_t passing =
        passing_rows(&row_classes_[first], std::min(rows.row_count - start, 64u), form.classes);
    for (; passing != 0; passing &= passing - 1) {
      sieve_row(form, rows_[first + static_cast<unsigned>(std::countr_zero(passing))]);
    }
  }
}

/// A row whose byte classes the form has.
void Scanner::sieve_row(const ValueForm& form, const abi::ScanRow& row) {
  if ((row.nodes & form.nodes) == 0 || !is_of_set(row.pattern) || is_wanted(row.pattern)) return;
  if (!is_asked_for(row.pattern)) return;
  if ((row.forbidden & form.classes) != 0 && (row.by_line == 0 || !has_line_end(form))) return;
  // A group by class asks for no pairs, and scratch_.grams is not this form's there.
  if (row.grams[0] != kAnyGram && !has_grams(row)) return;
  if (!may_begin(patterns_[row.pattern].lead, form.bytes)) return;
  scratch_.wanted[row.pattern / 64] |= std::uint64_t{1} << row.pattern % 64;
  scratch_.wanted_list[wanted_count_++] = row.pattern;
}

void Scanner::look_closely(const ValueForm& form) {
  for (std::size_t i = 0; i < wanted_count_; ++i) {
    const std::uint16_t pattern = scratch_.wanted_list[i];
    scratch_.wanted[pattern / 64] = 0;
    if (!state_.failed() && may_match(patterns_[pattern], form)) found(patterns_[pattern]);
  }
  wanted_count_ = 0;
}

/// libinjection is asked here and not first by its rule, so that the memo spares it too; beyond its
/// limits a value stays a candidate and its rule fails by name.
bool Scanner::may_match(const abi::ScanPattern& pattern, const ValueForm& form) {
  char fingerprint[kSqliFingerprintBytes];
  bool matches = false;
  switch (static_cast<abi::ScanKind>(pattern.kind)) {
    case abi::ScanKind::kHyperscan:
      if (form.bytes.empty()) return false;
      if (form.bytes.size() <= kBriefBytesMax && pattern.regex != abi::kNone32) {
        return may_match_briefly(pattern, form.bytes);
      }
      run_database(state_, pattern.database, form.bytes, on_first_match, &matches);
      return matches;
    case abi::ScanKind::kAlways:
      return true;
    case abi::ScanKind::kSqli:
      return may_be_sqli(form.bytes, form.classes) &&
             detect_injection(state_, abi::OperatorId::kDetectSqli, form.bytes, fingerprint) !=
                 MatchOutcome::kNoMatch;
    case abi::ScanKind::kXss:
      return detect_injection(state_, abi::OperatorId::kDetectXss, form.bytes, fingerprint) !=
             MatchOutcome::kNoMatch;
  }
  return true;
}

/// PCRE2 answers before Hyperscan has begun. Beyond its limits a value stays a candidate, and its
/// rule fails the request by name.
bool Scanner::may_match_briefly(const abi::ScanPattern& pattern, Bytes value) {
  ++state_.worker->counts.regex_confirms;
  state_.spend(1 + value.size() / 16);
  return state_.worker->regex.match_briefly(state_.ruleset->regex(pattern.regex), value) !=
         MatchOutcome::kNoMatch;
}

void Scanner::found(const abi::ScanPattern& pattern) {
  for (const abi::PatternUse& use : uses_.subspan(pattern.first_use, pattern.use_count)) {
    if (is_of_this_form(use.node)) {
      state_.candidates.add(use.check, item_, state_.region);
      remember(use.check);
    }
  }
}

}  // namespace

void run_database(TransactionState& state, std::uint32_t database, Bytes bytes,
                  match_event_handler on_match, void* context) {
  ++state.worker->counts.scans;
  state.worker->counts.scan_bytes += bytes.size();
  state.spend(1 + bytes.size() / 64);
  const hs_error_t result = hs_scan(
      static_cast<const hs_database_t*>(state.ruleset->database(database)),
      reinterpret_cast<const char*>(bytes.data()), static_cast<unsigned>(bytes.size()), 0,
      static_cast<hs_scratch_t*>(state.ruleset->scratch(state.worker->index)), on_match, context);
  // Nothing that we know of gives an error (of the scratch); what has not been judged fails closed.
  if (result != HS_SUCCESS && result != HS_SCAN_TERMINATED) {
    state.fail(abi::Reason::kWorkerMemory);
  }
}

bool scan_values(TransactionState& state) {
  if (state.next_value >= state.values.size()) return true;
  Scanner scanner(state);
  std::size_t values = 0, bytes = 0;  // since the slice was asked
  while (state.next_value < state.values.size() && !state.failed()) {
    if (bytes >= Slice::kLongValueBytes || values >= kWaitingMax ||
        (values > 0 && state.worker->slice.ends_with_each_unit())) {
      scanner.finish();
      if (bytes >= Slice::kLongValueBytes) state.worker->slice.look_soon();
      if (state.slice_over()) return false;
      values = bytes = 0;
    }
    const auto index = static_cast<std::uint16_t>(state.next_value++);
    const Value& value = state.values.at(index);
    ++values;
    bytes += value.bytes + value.name_bytes;
    if (value.variable == VariableId::kRequestBody) {
      state.unscanned_body = index;
      continue;
    }
    const std::uint32_t code = static_cast<std::uint32_t>(value.variable) * 2;
    const std::string_view key = value.key();
    scanner.scan(Item::of_value(index), code, key, value.view());
    if (!key.empty()) scanner.scan(Item::of_name(index), code + 1, key, base::as_bytes(key));
  }
  scanner.finish();
  return true;
}

void scan_body(TransactionState& state, bool only_asked) {
  const std::uint16_t index = state.unscanned_body;
  if (index == kNoValue) return;
  state.unscanned_body = kNoValue;
  Scanner scanner(state);
  if (only_asked) scanner.ask_less();
  scanner.scan(Item::of_value(index), static_cast<std::uint32_t>(VariableId::kRequestBody) * 2, {},
               state.values.at(index).view());
  scanner.finish();
  state.worker->slice.look_soon();
}

}  // namespace sluice::rules
