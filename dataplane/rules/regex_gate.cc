// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/regex_gate.h"

#include <algorithm>
#include <iterator>

#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/grams.h"

namespace sluice::rules {
namespace {

/// The pairs of a value, looked at when the first need asks for one.
class LazyGrams {
 public:
  LazyGrams(ScanScratch& scratch, Bytes value) : scratch_(scratch), value_(value) {}

  bool has_all(const abi::RegexNeed& need) {
    if (need.grams[0] == kAnyGram) return true;
    if (value_.size() < 2) return false;
    if (!assigned_) {
      static constexpr std::uint64_t kNone[abi::kGramWords] = {};
      static const WantedGrams nothing(kNone);
      scratch_.grams.assign(value_, nothing, scratch_.hits);
      assigned_ = true;
    }
    return std::all_of(std::begin(need.grams), std::end(need.grams),
                       [&](Gram pair) { return scratch_.grams.has(pair); });
  }

 private:
  ScanScratch& scratch_;
  Bytes value_;
  bool assigned_ = false;
};

}  // namespace

bool may_match(TransactionState& state, std::uint32_t index, Bytes value) {
  const abi::RegexSpec& regex = state.ruleset->array<abi::RegexSpec>(state.header().regexes)[index];
  if (regex.need_count == 0) return true;
  state.spend(1 + value.size() / 64);
  const std::uint64_t classes = class_bitmap(value);
  const bool lines = (classes & class_bit(ByteClass::kOtherWhitespace)) != 0;
  LazyGrams grams(state.worker->scan, value);
  for (const abi::RegexNeed& need : state.ruleset->array<abi::RegexNeed>(state.header().regex_needs)
                                        .subspan(regex.first_need, regex.need_count)) {
    if ((need.classes & ~classes) != 0) continue;
    if ((need.forbidden & classes) != 0 && (need.by_line == 0 || !lines)) continue;
    if (grams.has_all(need)) return true;
  }
  return false;
}

}  // namespace sluice::rules
