// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/backtracking.h"

#include <hs/hs.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "controlplane/compile/databases.h"
#include "controlplane/compile/regex_automaton.h"
#include "controlplane/compile/scanned.h"

namespace sluice::compile {

namespace {

constexpr std::size_t kAmbiguousStatesMax = 96;

using State = RegexAutomaton::State;

/// Looks for loops that one text can go through in two ways.
class Ambiguity {
 public:
  explicit Ambiguity(const RegexAutomaton& automaton) : automaton_(automaton) {}

  [[nodiscard]] Backtracking judge() const {
    std::vector<State> live;
    for (std::size_t i = 0; i < automaton_.size(); ++i) {
      const auto state = static_cast<State>(i);
      if (automaton_.label(state).any() && !automaton_.is_accepting(state)) live.push_back(state);
    }
    return judge(live);
  }

 private:
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
      for (const auto& [other, count] : automaton_.edges(state)) visit(other);
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
    std::vector<std::vector<State>> backwards(automaton_.size());
    for (const State state : list) {
      for (const auto& [other, count] : automaton_.edges(state)) backwards[other].push_back(state);
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
      return std::any_of(
          automaton_.edges(from).begin(), automaton_.edges(from).end(),
          [&](const auto& edge) { return edge.second > 1 && loop.contains(edge.first); });
    });
  }

  /// Two states of a loop that one text reaches from the same state, and from which one text leads
  /// to the same state again.
  [[nodiscard]] bool has_two_ways(const std::vector<State>& states) const {
    const std::size_t n = states.size();
    if (n == 0) return false;
    std::map<State, std::size_t> number;
    for (std::size_t i = 0; i < n; ++i) number[states[i]] = i;
    std::vector<std::vector<std::size_t>> next(n), before(n);
    for (std::size_t i = 0; i < n; ++i) {
      for (const auto& [other, count] : automaton_.edges(states[i])) {
        const auto found = number.find(other);
        if (found == number.end()) continue;
        next[i].push_back(found->second);
        before[found->second].push_back(i);
      }
    }
    const auto overlap = [&](std::size_t i, std::size_t j) {
      return (automaton_.label(states[i]) & automaton_.label(states[j])).any();
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

  const RegexAutomaton& automaton_;
};

Backtracking judge(RegexAutomaton& automaton) {
  return automaton.read() ? Ambiguity(automaton).judge() : Backtracking::kUnknown;
}

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
      RegexAutomaton automaton(pattern, RegexAutomaton::View::kBacktracking);
      known->second.exponential = judge(automaton) == Backtracking::kExponential;
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

Backtracking backtracking_of(std::string_view pattern) {
  RegexAutomaton automaton(pattern, RegexAutomaton::View::kBacktracking);
  return judge(automaton);
}

void check_backtracking(const seclang::LinkedRules& rules, config::Diagnostics& diagnostics) {
  Checker checker(rules, diagnostics);
  for (const seclang::Rule& rule : rules.rules) checker.check(rule);
}

}  // namespace sluice::compile
