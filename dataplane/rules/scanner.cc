// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/scanner.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "dataplane/abi/names.h"
#include "dataplane/rules/injection.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/operator/sqli_words.h"
#include "dataplane/rules/row_filter.h"
#include "dataplane/rules/transform/transform.h"
#include "dataplane/rules/value_scanner.h"

namespace sluice::rules {

namespace {

constexpr std::uint8_t kNoForm = 0xff;
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

}  // namespace

/// A value whose scans may stop, from where they did. False: the slice is over.
bool ValueScanner::run() {
  if (!at_.has_forms) {
    if (!make_forms(at_.next_node)) return state_.failed() || at_.is_full;
    at_.has_forms = true;
  }
  for (; at_.current < at_.form_count; ++at_.current) {
    const ValueForm& form = memory_->forms[at_.current];
    if (!at_.is_sieved) {
      sieve(form);
      at_.is_sieved = true;
      at_.wanted_done = 0;
      if (at_.wanted_count > 0 && pauses()) return false;
    }
    while (at_.wanted_done < at_.wanted_count && !state_.failed()) {
      const abi::ScanPattern& pattern = patterns_[memory_->wanted[at_.wanted_done++]];
      if (may_match(pattern, form)) found(pattern);
      if (pauses()) return false;
    }
    at_.wanted_count = 0;
    at_.is_sieved = false;
  }
  return true;
}

/// The forms of the value, from those behind `first_node` on. False: the slice is over, or there is
/// no room.
bool ValueScanner::make_forms(std::uint16_t first_node) {
  ValueForm* const forms = memory_->forms;
  if (first_node == 0) {
    std::memset(memory_->form_of_node, 0, nodes_.size());
    forms[0].nodes = 0;
  }
  for (std::size_t word = first_node / 64; word < std::size(set_->nodes); ++word) {
    if (set_->nodes[word] == 0) continue;
    const std::size_t first = 64 * word;
    const auto count = static_cast<unsigned>(std::min<std::size_t>(nodes_.size() - first, 64));
    // Chains that ask for nothing that the value has leave it as it is.
    const std::uint64_t unchanged =
        forms[0].bytes.empty()
            ? 0
            : passing_rows(&index_.chain_changes[first], count, ~forms[0].classes) &
                  set_->nodes[word];
    forms[0].nodes |= nodes_at(word, unchanged);
    std::uint64_t left = set_->nodes[word] & ~unchanged;
    if (first_node > first) left &= ~std::uint64_t{0} << first_node % 64;
    for (; left != 0; left &= left - 1) {
      const auto node =
          static_cast<std::uint16_t>(first + static_cast<std::size_t>(std::countr_zero(left)));
      if (asks_less_ && node != 0 && !asked_nodes_[node]) {
        memory_->form_of_node[node] = kNoForm;
        continue;
      }
      const std::size_t steps_before = at_.step_count;
      if (node != 0 && !step(node)) return false;
      if (memory_->form_of_node[node] != kNoForm) {
        forms[memory_->form_of_node[node]].nodes |= abi::node_bit(node);
      }
      if (at_.stops && at_.step_count != steps_before && pauses()) {
        at_.next_node = static_cast<std::uint16_t>(node + 1);
        return false;
      }
    }
  }
  return true;
}

/// The form that a node gives, from its parent's; none if it does not begin as its lead asks.
bool ValueScanner::step(std::uint16_t node) {
  const abi::TransformNode& transform = nodes_[node];
  const std::uint8_t from = memory_->form_of_node[transform.parent];
  const std::uint64_t changes = index_.node_changes[node];
  if ((changes & memory_->forms[from].classes) == 0 && changes != kChangesAlways) {
    memory_->form_of_node[node] = from;
    return true;
  }
  for (std::size_t i = 0; i < at_.step_count; ++i) {
    if (memory_->steps[i].from == from && memory_->steps[i].transform == transform.transform &&
        memory_->steps[i].ignores_case == transform.ignores_case) {
      memory_->form_of_node[node] = memory_->steps[i].to;
      return true;
    }
  }
  const abi::UnicodeMap* map =
      state_.header().unicode_map == 0
          ? nullptr
          : reinterpret_cast<const abi::UnicodeMap*>(state_.ruleset->image().data() +
                                                     state_.header().unicode_map);
  const Bytes input = memory_->forms[from].bytes;
  const auto id = static_cast<abi::TransformId>(transform.transform);
  const std::uint16_t lead = node_leads_[node];
  if (lead != abi::kNone16 &&
      longest_output(id, input.size(), memory_->forms[from].classes) < leads_[lead].least) {
    memory_->form_of_node[node] = kNoForm;
    return true;
  }
  state_.spend(1 + input.size() / 64);
  const TransformResult result = apply_transform(id, input, map, *arena_);
  if (result.outcome == TransformOutcome::kArenaFull && at_.stops) {
    at_.is_full = true;
    return false;
  }
  if (result.outcome == TransformOutcome::kArenaFull || at_.step_count == kStepsMax ||
      at_.form_count == kFormsMax) {
    state_.fail(abi::Reason::kTransactionMemory);
    return false;
  }
  std::uint8_t to = from;
  if (result.outcome == TransformOutcome::kChanged && !may_begin(lead, result.output)) {
    to = kNoForm;
  } else if (result.outcome == TransformOutcome::kChanged) {
    const bool ignores_case = transform.ignores_case != 0;
    const auto same =
        std::find_if(memory_->forms, memory_->forms + at_.form_count, [&](const ValueForm& form) {
          return ignores_case
                     ? abi::equal_ignoring_case(base::as_text(form.bytes),
                                                base::as_text(result.output))
                     : form.bytes.size() == result.output.size() &&
                           std::equal(form.bytes.begin(), form.bytes.end(), result.output.begin());
        });
    to = static_cast<std::uint8_t>(same - memory_->forms);
    if (to == at_.form_count)
      memory_->forms[at_.form_count++] = {result.output, class_bitmap(result.output), 0};
  }
  memory_->steps[at_.step_count++] = {from, to, transform.transform, transform.ignores_case};
  memory_->form_of_node[node] = to;
  return true;
}

void ValueScanner::scan_form(const ValueForm& form) {
  sieve(form);
  for (std::size_t i = 0; i < at_.wanted_count && !state_.failed(); ++i) {
    const abi::ScanPattern& pattern = patterns_[memory_->wanted[i]];
    if (may_match(pattern, form)) found(pattern);
  }
  at_.wanted_count = 0;
}

/// Puts the patterns that the form may match into memory_->wanted.
void ValueScanner::sieve(const ValueForm& form) {
  if (!index_.may_pass(set_index_, form.nodes, form.classes)) return;
  sieve_by_class(form);
  if (form.bytes.size() > 1 && index_.may_pass_key(set_index_, form.classes)) sieve_by_gram(form);
  for (std::size_t i = 0; i < at_.wanted_count; ++i)
    scratch_.is_wanted[memory_->wanted[i] / 64] = 0;
}

void ValueScanner::sieve_by_class(const ValueForm& form) {
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
void ValueScanner::sieve_by_gram(const ValueForm& form) {
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

void ValueScanner::sieve_rows(const ValueForm& form, const abi::ScanRows& rows) {
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
void ValueScanner::sieve_row(const ValueForm& form, const abi::ScanRow& row) {
  if ((row.nodes & form.nodes) == 0 || !is_of_set(row.pattern) || is_wanted(row.pattern)) return;
  if (!is_asked_for(row.pattern)) return;
  if ((row.forbidden & form.classes) != 0 && (row.by_line == 0 || !has_line_end(form))) return;
  // A group by class asks for no pairs, and scratch_.grams is not this form's there.
  if (row.grams[0] != kAnyGram && !has_grams(row)) return;
  if (!may_begin(patterns_[row.pattern].lead, form.bytes)) return;
  scratch_.is_wanted[row.pattern / 64] |= std::uint64_t{1} << row.pattern % 64;
  memory_->wanted[at_.wanted_count++] = row.pattern;
}

/// libinjection is asked here and not first by its rule, so that the memo spares it too; beyond its
/// limits a value stays a candidate and its rule fails by name.
bool ValueScanner::may_match(const abi::ScanPattern& pattern, const ValueForm& form) {
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
             detect_new_injection(state_, abi::OperatorId::kDetectSqli, form.bytes) !=
                 MatchOutcome::kNoMatch;
    case abi::ScanKind::kXss:
      return detect_new_injection(state_, abi::OperatorId::kDetectXss, form.bytes) !=
             MatchOutcome::kNoMatch;
  }
  return true;
}

/// PCRE2 answers before Hyperscan has begun. Beyond its limits a value stays a candidate, and its
/// rule fails the request by name.
bool ValueScanner::may_match_briefly(const abi::ScanPattern& pattern, Bytes value) {
  ++state_.worker->counts.regex_confirms;
  state_.spend(1 + value.size() / 16);
  return state_.worker->regex.match_briefly(state_.ruleset->regex(pattern.regex), value) !=
         MatchOutcome::kNoMatch;
}

void ValueScanner::found(const abi::ScanPattern& pattern) {
  for (const abi::PatternUse& use : uses_.subspan(pattern.first_use, pattern.use_count)) {
    if (is_of_this_form(use.node)) {
      state_.candidates.add(use.check, at_.item, state_.region);
      remember(use.check);
    }
  }
}

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
  const auto end = [&] { return 2 * state.values.size(); };
  if (state.next_scan >= end()) return true;
  ValueScanner scanner(state);
  if (state.long_work != nullptr) {
    if (!scanner.go_on()) return false;
    ++state.next_scan;
  }
  const auto stop = [&] {
    state.next_scan = scanner.stopped_at().code;
    return false;
  };
  std::size_t values = 0, bytes = 0;  // since the slice was asked
  while (state.next_scan < end() && !state.failed()) {
    if (bytes >= Slice::kLongValueBytes || values >= kWaitingMax ||
        (values > 0 && state.worker->slice.ends_with_each_unit())) {
      if (!scanner.finish()) return stop();
      if (bytes >= Slice::kLongValueBytes) state.worker->slice.look_soon();
      if (state.slice_over()) return false;
      values = bytes = 0;
    }
    const auto index = static_cast<std::uint16_t>(state.next_scan / 2);
    const bool only_name = state.next_scan % 2 != 0;
    state.next_scan = 2U * (index + 1U);
    const Value& value = state.values.at(index);
    ++values;
    bytes += value.bytes + value.name_bytes;
    if (value.variable == VariableId::kRequestBody) {
      state.unscanned_body = index;
      continue;
    }
    const std::uint32_t code = static_cast<std::uint32_t>(value.variable) * 2;
    const std::string_view key = value.key();
    if (!only_name && !scanner.scan(Item::of_value(index), code, key, value.view())) return stop();
    if (!key.empty() && !scanner.scan(Item::of_name(index), code + 1, key, base::as_bytes(key))) {
      return stop();
    }
  }
  return scanner.finish() || stop();
}

bool scan_body(TransactionState& state, bool only_asked) {
  const std::uint16_t index = state.unscanned_body;
  ValueScanner scanner(state);
  if (only_asked) scanner.ask_less();
  if (state.long_work != nullptr) {
    if (!scanner.go_on()) return false;
  } else if (!scanner.scan(Item::of_value(index),
                           static_cast<std::uint32_t>(VariableId::kRequestBody) * 2, {},
                           state.values.at(index).view()) ||
             !scanner.finish()) {
    return false;
  }
  state.unscanned_body = kNoValue;
  state.worker->slice.look_soon();
  return true;
}

}  // namespace sluice::rules
