// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/backtracking.h"

#include <hs/hs.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/compile/databases.h"
#include "controlplane/compile/regex_lexer.h"
#include "controlplane/compile/scanned.h"

namespace sluice::compile {

namespace {

constexpr std::size_t kStatesMax = 4000;
constexpr std::size_t kAmbiguousStatesMax = 96;
constexpr std::size_t kNestingMax = 200;
/// Repetitions up to a bound below this are taken for a constant.
constexpr std::size_t kLoopFrom = 64;

using State = std::uint16_t;

/// A part of a pattern: the states in which it can begin and end.
struct Part {
  bool nullable = true;
  std::vector<State> first, last;
};

/// The position automaton (Glushkov): a state for each byte class of the pattern, entered by
/// reading one of its bytes. Edges that the pattern has twice count twice.
class Automaton : RegexLexer {
 public:
  explicit Automaton(std::string_view pattern) : RegexLexer(pattern) {
    caseless_ = pattern.find("(?i") != std::string_view::npos;
  }

  /// The pattern with its possessive quantifiers made greedy; behind judge().
  [[nodiscard]] std::string greedy() const {
    std::string result;
    for (std::size_t i = 0; i < text_.size(); ++i) {
      if (!possessive_.contains(i)) result += text_[i];
    }
    return result;
  }

  Backtracking judge() {
    const Part all = alternatives();
    if (failed_ || at_ != text_.size()) return Backtracking::kUnknown;
    accept(all);
    std::vector<State> live;
    for (State state = 0; state < labels_.size(); ++state) {
      if (labels_[state].any() && !accepting_[state]) live.push_back(state);
    }
    return judge(live);
  }

 private:
  // -- the parts of a pattern ---------------------------------------------------------------------

  State add_state(const ByteSet& label) {
    if (labels_.size() == kStatesMax) failed_ = true;
    if (failed_) return 0;
    labels_.push_back(caseless_ ? without_case(label) : label);
    accepting_.push_back(false);
    edges_.emplace_back();
    return static_cast<State>(labels_.size() - 1);
  }
  static ByteSet without_case(ByteSet label) {
    for (unsigned letter = 'a'; letter <= 'z'; ++letter) {
      const unsigned upper = letter - 'a' + 'A';
      if (label[letter] || label[upper]) label.set(letter).set(upper);
    }
    return label;
  }
  Part one(const ByteSet& label) {
    const State state = add_state(label);
    if (failed_) return {};
    return {false, {state}, {state}};
  }
  /// Something that reads nothing and may fail.
  Part condition() { return one({}); }

  void link(const std::vector<State>& from, const std::vector<State>& to) {
    for (const State one : from) {
      for (const State other : to) {
        std::uint8_t& count = edges_[one][other];
        count = static_cast<std::uint8_t>(std::min(count + 1, 2));
      }
    }
  }
  void accept(const Part& part) {
    for (const State state : part.last) accepting_[state] = true;
  }

  static void join(std::vector<State>& into, const std::vector<State>& more) {
    into.insert(into.end(), more.begin(), more.end());
  }
  Part then(Part left, const Part& right) {
    link(left.last, right.first);
    if (left.nullable) join(left.first, right.first);
    std::vector<State> last = right.last;
    if (right.nullable) join(last, left.last);
    return {left.nullable && right.nullable, std::move(left.first), std::move(last)};
  }
  /// What is not entered again by backtracking: one state that reads any byte of it.
  Part closed(const Part& part, std::size_t from) {
    ByteSet label;
    for (std::size_t state = from; state < labels_.size(); ++state) {
      label |= labels_[state];
      labels_[state].reset();
    }
    Part result = one(label);
    result.nullable = part.nullable;
    return result;
  }

  Part alternatives() {
    if (++depth_ > kNestingMax) failed_ = true;
    if (failed_) return {};
    Part all = sequence();
    while (more() && take("|")) {
      const Part next = sequence();
      all.nullable = all.nullable || next.nullable;
      join(all.first, next.first);
      join(all.last, next.last);
    }
    --depth_;
    return all;
  }

  Part sequence() {
    Part all;
    while (more() && peek() != '|' && peek() != ')') {
      const std::size_t from = labels_.size();
      Part part = atom();
      std::size_t least = 1, most = 1;
      const bool possessive = !failed_ && quantifier(least, most);
      if (failed_) return {};
      if (most >= kLoopFrom) link(part.last, part.first);
      if (possessive) {
        possessive_.insert(at_ - 1);
        part = closed(part, from);
      }
      part.nullable = part.nullable || least == 0;
      if (most != 0) all = then(std::move(all), part);
    }
    return all;
  }

  Part atom() {
    switch (text_[at_]) {
      case '(':
        return group();
      case '[':
        return one(bracket());
      case '.':
        ++at_;
        return one(ByteSet().set());
      case '^':
      case '$':
        ++at_;
        return condition();
      case '\\':
        return escape();
      case '*':
      case '+':
      case '?':
        failed_ = true;
        return {};
      default:
        return one(ByteSet().set(static_cast<std::uint8_t>(text_[at_++])));
    }
  }

  Part group() {
    const std::size_t from = labels_.size();
    const Group kind = open_group();
    if (kind == Group::kNothing) return {};
    Part inside = kind == Group::kUnknown ? Part() : alternatives();
    if (kind == Group::kUnknown || !take(")")) failed_ = true;
    if (failed_ || kind == Group::kPlain) return inside;
    if (kind == Group::kAtomic) return closed(inside, from);
    accept(inside);  // a lookaround is decided there
    return condition();
  }

  Part escape() {
    ++at_;
    const char c = peek();
    if (at_ >= text_.size()) failed_ = true;
    if (const auto set = shorthand(c); !failed_ && set.has_value()) {
      ++at_;
      if (c == 'N' && peek() == '{') failed_ = true;
      return one(*set);
    }
    if (std::string_view("bBAzZGK").find(c) != std::string_view::npos || (c >= '1' && c <= '9')) {
      ++at_;
      return condition();
    }
    const auto byte = escaped_byte();
    if (!byte.has_value()) failed_ = true;
    return one(ByteSet().set(byte.value_or(0)));
  }

  // -- ambiguity ----------------------------------------------------------------------------------

  /// The live states from which `start` is reached and that it reaches, itself among them.
  [[nodiscard]] std::set<State> loop_of(State start, const std::set<State>& live,
                                        const std::vector<std::vector<State>>& backwards) const {
    const auto reach = [&](auto&& next) {
      std::set<State> seen;
      std::vector<State> todo{start};
      while (!todo.empty()) {
        const State state = todo.back();
        todo.pop_back();
        next(state, [&](State other) {
          if (live.contains(other) && seen.insert(other).second) todo.push_back(other);
        });
      }
      return seen;
    };
    const std::set<State> behind = reach([&](State state, auto&& visit) {
      for (const auto& [other, count] : edges_[state]) visit(other);
    });
    if (!behind.contains(start)) return {};
    const std::set<State> before = reach([&](State state, auto&& visit) {
      for (const State other : backwards[state]) visit(other);
    });
    std::set<State> both;
    std::set_intersection(behind.begin(), behind.end(), before.begin(), before.end(),
                          std::inserter(both, both.end()));
    return both;
  }

  [[nodiscard]] Backtracking judge(const std::vector<State>& list) const {
    std::set<State> live(list.begin(), list.end());
    std::vector<std::vector<State>> backwards(labels_.size());
    for (const State state : list) {
      for (const auto& [other, count] : edges_[state]) backwards[other].push_back(state);
    }
    Backtracking result = Backtracking::kPolynomial;
    while (!live.empty()) {
      const State start = *live.begin();
      const std::set<State> loop = loop_of(start, live, backwards);
      live.erase(start);
      for (const State state : loop) live.erase(state);
      if (loop.empty()) continue;
      const std::vector<State> states(loop.begin(), loop.end());
      if (has_double_edge(loop) || (states.size() <= kAmbiguousStatesMax && has_two_ways(states))) {
        return Backtracking::kExponential;
      }
      if (states.size() > kAmbiguousStatesMax) result = Backtracking::kUnknown;
    }
    return result;
  }

  /// Two edges between the same states of a loop, as in (a+)+.
  [[nodiscard]] bool has_double_edge(const std::set<State>& loop) const {
    return std::any_of(loop.begin(), loop.end(), [&](State from) {
      return std::any_of(edges_[from].begin(), edges_[from].end(), [&](const auto& edge) {
        return edge.second > 1 && loop.contains(edge.first);
      });
    });
  }

  /// Two states of a loop that one text reaches from the same state, and from which one text leads
  /// to the same state again.
  [[nodiscard]] bool has_two_ways(const std::vector<State>& states) const {
    const std::size_t n = states.size();
    std::map<State, std::size_t> number;
    for (std::size_t i = 0; i < n; ++i) number[states[i]] = i;
    std::vector<std::vector<std::size_t>> next(n), before(n);
    for (std::size_t i = 0; i < n; ++i) {
      for (const auto& [other, count] : edges_[states[i]]) {
        const auto found = number.find(other);
        if (found == number.end()) continue;
        next[i].push_back(found->second);
        before[found->second].push_back(i);
      }
    }
    const auto overlap = [&](std::size_t i, std::size_t j) {
      return (labels_[states[i]] & labels_[states[j]]).any();
    };
    // Of a step backwards, what is read are the bytes of the states that are left.
    const auto reach = [&](const std::vector<std::vector<std::size_t>>& steps, bool forwards) {
      std::vector<bool> seen(n * n);
      std::vector<std::size_t> todo;
      for (std::size_t i = 0; i < n; ++i) {
        seen[i * n + i] = true;
        todo.push_back(i * n + i);
      }
      while (!todo.empty()) {
        const std::size_t i = todo.back() / n, j = todo.back() % n;
        todo.pop_back();
        if (!forwards && !overlap(i, j)) continue;
        for (const std::size_t a : steps[i]) {
          for (const std::size_t b : steps[j]) {
            if (seen[a * n + b] || (forwards && !overlap(a, b))) continue;
            seen[a * n + b] = true;
            todo.push_back(a * n + b);
          }
        }
      }
      return seen;
    };
    const std::vector<bool> there = reach(next, true), back = reach(before, false);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        if (i != j && there[i * n + j] && back[i * n + j]) return true;
      }
    }
    return false;
  }

  std::vector<ByteSet> labels_;
  std::vector<bool> accepting_;
  std::vector<std::map<State, std::uint8_t>> edges_;
  std::set<std::size_t> possessive_;  ///< where their signs stand
  std::size_t depth_ = 0;
  bool caseless_ = false;
};

class Checker {
 public:
  Checker(const seclang::LinkedRules& rules, config::Diagnostics& diagnostics)
      : rules_(rules), diagnostics_(diagnostics) {}

  void check(const seclang::Rule& rule) {
    for (const seclang::Link& link : rule.links) {
      for (const seclang::Target& target : link.targets) {
        check_selector(rule, target.selector, target.place);
        for (const seclang::Selector& each : target.excluded) {
          check_selector(rule, each, target.place);
        }
      }
      check_operator(rule, link);
    }
  }

 private:
  void check_operator(const seclang::Rule& rule, const seclang::Link& link) {
    const seclang::Operator& op = link.op;
    if (link.unconditional || abi::operator_info(op.id).argument != abi::OperatorArgument::kRegex) {
      return;
    }
    const bool expands = abi::operator_info(op.id).macro;
    if (expands && !op.expanded.is_constant()) return;  // an error already
    const std::string pattern(expands ? op.expanded.constant() : std::string_view(op.argument));
    const bool scanned =
        expands && !op.negated &&
        std::all_of(link.targets.begin(), link.targets.end(), [](const seclang::Target& target) {
          return !target.count && is_scanned(target.variable);
        });
    check_pattern(rule, pattern, scanned, op.argument_place);
  }

  void check_selector(const seclang::Rule& rule, const seclang::Selector& selector,
                      const seclang::Place& place) {
    if (selector.kind == seclang::Selector::Kind::kRegex) {
      check_pattern(rule, selector.text, false, place);
    }
  }

  void check_pattern(const seclang::Rule& rule, const std::string& pattern, bool scanned,
                     const seclang::Place& place) {
    const auto [known, is_new] = known_.try_emplace(pattern);
    if (is_new) {
      Automaton automaton(pattern);
      known->second.exponential = automaton.judge() == Backtracking::kExponential;
      // Hyperscan's sieve for a pattern with possessive quantifiers is the greedy one: nearly
      // nothing that does not match comes as far as PCRE2.
      known->second.linear =
          known->second.exponential &&
          DatabaseMaker::reads(automaton.greedy(), HS_FLAG_DOTALL | HS_FLAG_MULTILINE);
    }
    if (!known->second.exponential || (known->second.linear && scanned)) return;
    const std::string what = "rule " + std::to_string(rule.id) +
                             ": the pattern can take time that doubles with every byte of a value";
    if (!known->second.linear) {
      return seclang::report_error(
          rules_, place,
          what +
              ", and Hyperscan, which takes linear time, cannot run it: write its nested "
              "repetitions so that one text fits in one way, or make the inner one possessive",
          diagnostics_);
    }
    seclang::report_warning(
        rules_, place,
        what +
            ", and here it is not scanned for in linear time: a value that takes too long is "
            "refused (rule_budget)",
        diagnostics_);
  }

  struct Known {
    bool exponential = false;
    bool linear = false;  ///< Hyperscan reads it, but for possessive quantifiers
  };
  const seclang::LinkedRules& rules_;
  config::Diagnostics& diagnostics_;
  std::map<std::string, Known> known_;
};

}  // namespace

Backtracking backtracking_of(std::string_view pattern) { return Automaton(pattern).judge(); }

void check_backtracking(const seclang::LinkedRules& rules, config::Diagnostics& diagnostics) {
  Checker checker(rules, diagnostics);
  for (const seclang::Rule& rule : rules.rules) checker.check(rule);
}

}  // namespace sluice::compile
