// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/regex_automaton.h"

#include <algorithm>

namespace sluice::compile {

namespace {

constexpr std::size_t kStatesMax = 4000;
constexpr std::size_t kNestingMax = 200;
/// kBacktracking: repetitions up to a bound below this are taken for a constant.
constexpr std::size_t kLoopFrom = 64;

}  // namespace

std::string RegexAutomaton::greedy() const {
  std::string result;
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (!possessive_.contains(i)) result += text_[i];
  }
  return result;
}

bool RegexAutomaton::read() {
  all_ = alternatives();
  if (failed_ || at_ != text_.size()) return false;
  accept(all_);
  return true;
}

RegexAutomaton::State RegexAutomaton::add_state(const ByteSet& label, Kind kind) {
  if (labels_.size() == kStatesMax) failed_ = true;
  if (failed_) return 0;
  labels_.push_back(caseless_ ? without_case(label) : label);
  kinds_.push_back(kind);
  accepting_.push_back(false);
  edges_.emplace_back();
  return static_cast<State>(labels_.size() - 1);
}

ByteSet RegexAutomaton::without_case(ByteSet label) {
  for (unsigned letter = 'a'; letter <= 'z'; ++letter) {
    const unsigned upper = letter - 'a' + 'A';
    if (label[letter] || label[upper]) label.set(letter).set(upper);
  }
  return label;
}

RegexAutomaton::Part RegexAutomaton::one(const ByteSet& label, Kind kind) {
  const State state = add_state(label, kind);
  if (failed_) return {};
  return {false, {state}, {state}};
}

void RegexAutomaton::link(const std::vector<State>& from, const std::vector<State>& to) {
  for (const State one : from) {
    for (const State other : to) {
      std::uint8_t& count = edges_[one][other];
      count = static_cast<std::uint8_t>(std::min(count + 1, 2));
    }
  }
}

void RegexAutomaton::accept(const Part& part) {
  for (const State state : part.last) accepting_[state] = true;
}

namespace {

void join(std::vector<RegexAutomaton::State>& into,
          const std::vector<RegexAutomaton::State>& more) {
  into.insert(into.end(), more.begin(), more.end());
}

}  // namespace

RegexAutomaton::Part RegexAutomaton::then(Part left, const Part& right) {
  link(left.last, right.first);
  if (left.nullable) join(left.first, right.first);
  std::vector<State> last = right.last;
  if (right.nullable) join(last, left.last);
  return {left.nullable && right.nullable, std::move(left.first), std::move(last)};
}

/// What is not entered again by backtracking: one state that reads any byte of it.
RegexAutomaton::Part RegexAutomaton::closed(const Part& part, std::size_t from) {
  if (view_ == View::kTexts) return part;
  ByteSet label;
  for (std::size_t state = from; state < labels_.size(); ++state) {
    label |= labels_[state];
    labels_[state].reset();
  }
  Part result = one(label);
  result.nullable = part.nullable;
  return result;
}

RegexAutomaton::Part RegexAutomaton::alternatives() {
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

RegexAutomaton::Part RegexAutomaton::sequence() {
  Part all;
  while (more() && peek() != '|' && peek() != ')') {
    const std::size_t from = labels_.size();
    Part part = atom();
    std::size_t least = 1, most = 1;
    const bool possessive = !failed_ && quantifier(least, most);
    if (failed_) return {};
    if (most >= (view_ == View::kTexts ? 2 : kLoopFrom)) link(part.last, part.first);
    if (possessive) {
      possessive_.insert(at_ - 1);
      part = closed(part, from);
    }
    part.nullable = part.nullable || least == 0;
    if (most != 0) all = then(std::move(all), part);
  }
  return all;
}

RegexAutomaton::Part RegexAutomaton::atom() {
  switch (text_[at_]) {
    case '(':
      return group();
    case '[':
      return one(bracket());
    case '.':
      ++at_;
      return one(ByteSet().set());
    case '^':
      ++at_;
      return condition(Kind::kBeginOfLine);
    case '$':
      ++at_;
      return condition(Kind::kEndOfLine);
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

RegexAutomaton::Part RegexAutomaton::group() {
  const std::size_t from = labels_.size();
  const Group kind = open_group();
  if (kind == Group::kNothing) return {};
  Part inside = kind == Group::kUnknown ? Part() : alternatives();
  if (kind == Group::kUnknown || !take(")")) failed_ = true;
  if (failed_ || kind == Group::kPlain) return inside;
  if (kind == Group::kAtomic) return closed(inside, from);
  accept(inside);  // a lookaround is decided there
  return condition(Kind::kCondition);
}

RegexAutomaton::Part RegexAutomaton::escape() {
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
    return condition(c == 'A'   ? Kind::kBeginOfValue
                     : c == 'z' ? Kind::kEndOfValue
                     : c == 'Z' ? Kind::kEndOfLine
                     : c <= '9' ? Kind::kAnyText
                                : Kind::kCondition);
  }
  const auto byte = escaped_byte();
  if (!byte.has_value()) failed_ = true;
  return one(ByteSet().set(byte.value_or(0)));
}

}  // namespace sluice::compile
