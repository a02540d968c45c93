// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/lead.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "controlplane/compile/regex_automaton.h"

namespace sluice::compile {

namespace {

using State = RegexAutomaton::State;
using Kind = RegexAutomaton::Kind;

constexpr std::size_t kLongestLeast = 16;

/// Follows all texts that a pattern matches, byte by byte.
class Walk {
 public:
  explicit Walk(const RegexAutomaton& automaton) : automaton_(automaton) {
    for (const State state : automaton_.first()) enter(state, false, End::kNone);
  }

  abi::ScanLead run() {
    abi::ScanLead lead{};
    bool anchored = anchored_ && !ends_;
    while (!ends_ && !at_end_ && lead.least < kLongestLeast && !reading_.empty()) {
      const ByteSet bytes = step();
      if (anchored && lead.count < abi::kLeadBytes) add(bytes, lead);
      anchored = anchored && !ends_;
      ++lead.least;
    }
    // Behind the shortest match the first bytes still hold for values that are longer.
    while (anchored && lead.count < abi::kLeadBytes && !reading_.empty()) {
      const ByteSet bytes = step();
      add(bytes, lead);
      anchored = !ends_;
    }
    lead.by_line = by_line_ ? 1 : 0;
    return lead;
  }

 private:
  enum class End : std::uint8_t { kNone, kOfLine, kOfValue };

  static void add(const ByteSet& bytes, abi::ScanLead& lead) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (bytes[byte]) lead.bytes[lead.count][byte / 64] |= std::uint64_t{1} << byte % 64;
    }
    ++lead.count;
  }

  /// What may be read next; then what may be read behind it.
  ByteSet step() {
    ByteSet bytes;
    const std::set<State> before = std::move(reading_);
    reading_.clear();
    passed_.clear();
    ends_ = at_end_ = is_begin_ = false;
    for (const State state : before) {
      bytes |= RegexAutomaton::without_case(automaton_.label(state));
      leave(state, true, End::kNone);
    }
    return bytes;
  }

  /// anchored: \A or ^ stands before it; end: what of \z or $ does.
  void enter(State state, bool anchored, End end) {
    switch (automaton_.kind(state)) {
      case Kind::kBytes:
        if (end == End::kOfValue) return;
        if (end == End::kOfLine) {  // only of values with several lines
          ends_ = true;
          return;
        }
        if (is_begin_ && !anchored) anchored_ = false;
        reading_.insert(state);
        return;
      case Kind::kBeginOfValue:
        if (!is_begin_) return;
        anchored = true;
        break;
      case Kind::kBeginOfLine:
        by_line_ = true;
        ends_ = ends_ || !is_begin_;
        anchored = true;
        break;
      case Kind::kEndOfLine:
        by_line_ = true;
        if (end == End::kNone) end = End::kOfLine;
        break;
      case Kind::kEndOfValue:
        end = End::kOfValue;
        break;
      case Kind::kCondition:
        break;
      case Kind::kAnyText:
        ends_ = true;
        return;
    }
    if (passed_.insert({state, anchored, end}).second) leave(state, anchored, end);
  }
  void leave(State state, bool anchored, End end) {
    if (automaton_.is_accepting(state)) {
      (end == End::kNone ? ends_ : at_end_) = true;
      if (is_begin_ && !anchored) anchored_ = false;
    }
    for (const auto& [next, count] : automaton_.edges(state)) enter(next, anchored, end);
  }

  const RegexAutomaton& automaton_;
  std::set<State> reading_;
  std::set<std::tuple<State, bool, End>> passed_;  ///< what reads nothing, since the last byte
  bool is_begin_ = true, anchored_ = true, by_line_ = false;
  bool ends_ = false;    ///< a match may end here, and anything stand behind it
  bool at_end_ = false;  ///< a match may end here with its value
};

}  // namespace

abi::ScanLead lead_of(std::string_view pattern) {
  RegexAutomaton automaton(pattern, RegexAutomaton::View::kTexts);
  if (!automaton.read() || automaton.matches_empty()) return {};
  return Walk(automaton).run();
}

abi::ScanLead either(const abi::ScanLead& left, const abi::ScanLead& right) {
  abi::ScanLead lead{};
  lead.least = std::min(left.least, right.least);
  lead.count = std::min(left.count, right.count);
  lead.by_line = left.by_line | right.by_line;
  for (std::size_t place = 0; place < lead.count; ++place) {
    for (std::size_t word = 0; word < std::size(lead.bytes[place]); ++word) {
      lead.bytes[place][word] = left.bytes[place][word] | right.bytes[place][word];
    }
  }
  return lead;
}

}  // namespace sluice::compile
