// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/compile/regex_lexer.h"

namespace sluice::compile {

/// The position automaton (Glushkov, "The abstract theory of automata", 1961) of a pattern in
/// PCRE2's syntax: a state for each byte class of the pattern, entered by reading one of its bytes,
/// and one for each thing that reads nothing and may fail. Edges that the pattern has twice count
/// twice.
class RegexAutomaton : RegexLexer {
 public:
  using State = std::uint16_t;
  enum class Kind : std::uint8_t {
    kBytes,
    kBeginOfValue,  ///< \A
    kBeginOfLine,   ///< ^
    kEndOfValue,    ///< \z
    kEndOfLine,     ///< $ \Z
    kCondition,     ///< reads nothing: \b, lookarounds
    kAnyText,       ///< back references
  };

  enum class View : std::uint8_t {
    /// What a matcher that backtracks may try: repetitions up to a small bound are their part once,
    /// and what is atomic one state that reads any byte of it.
    kBacktracking,
    /// All texts that match, and perhaps more: whatever may occur twice is a loop.
    kTexts,
  };

  RegexAutomaton(std::string_view pattern, View view) : RegexLexer(pattern), view_(view) {
    caseless_ = pattern.find("(?i") != std::string_view::npos;
  }

  /// To be called first. False: the syntax is not understood, or the pattern has more than 4,000
  /// states. O(pattern^2).
  bool read();

  [[nodiscard]] std::size_t size() const { return labels_.size(); }
  [[nodiscard]] Kind kind(State state) const { return kinds_[state]; }
  /// The bytes that lead into it, both cases of a letter where the pattern ignores case; none of a
  /// state that reads nothing, or that an atomic part around it stands for.
  [[nodiscard]] const ByteSet& label(State state) const { return labels_[state]; }
  [[nodiscard]] bool is_accepting(State state) const { return accepting_[state]; }
  [[nodiscard]] const std::map<State, std::uint8_t>& edges(State state) const {
    return edges_[state];
  }
  /// Where a match begins.
  [[nodiscard]] const std::vector<State>& first() const { return all_.first; }
  [[nodiscard]] bool matches_empty() const { return all_.nullable; }
  /// The pattern with its possessive quantifiers made greedy.
  [[nodiscard]] std::string greedy() const;

  static ByteSet without_case(ByteSet label);

 private:
  /// A part of a pattern: the states in which it can begin and end.
  struct Part {
    bool nullable = true;
    std::vector<State> first, last;
  };

  State add_state(const ByteSet& label, Kind kind);
  Part one(const ByteSet& label, Kind kind = Kind::kBytes);
  Part condition(Kind kind) { return one({}, kind); }
  void link(const std::vector<State>& from, const std::vector<State>& to);
  void accept(const Part& part);
  Part then(Part left, const Part& right);
  Part closed(const Part& part, std::size_t from);
  Part alternatives();
  Part sequence();
  Part atom();
  Part group();
  Part escape();

  std::vector<ByteSet> labels_;
  std::vector<Kind> kinds_;
  std::vector<bool> accepting_;
  std::vector<std::map<State, std::uint8_t>> edges_;
  std::set<std::size_t> possessive_;  ///< where their signs stand
  Part all_;
  View view_;
  std::size_t depth_ = 0;
  bool caseless_ = false;
};

}  // namespace sluice::compile
