// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/split.h"

#include <vector>

#include "controlplane/compile/regex_lexer.h"

namespace sluice::compile {

namespace {

constexpr std::size_t kNestingMax = 200;

/// A choice: where its alternatives begin and end in the pattern.
struct Choice {
  std::size_t begin = 0, end = 0;
  std::vector<std::size_t> bars;
};

/// Finds the choices that every match makes exactly once.
class ChoiceFinder : RegexLexer {
 public:
  explicit ChoiceFinder(std::string_view text) : RegexLexer(text) {}

  std::optional<Choice> largest() {
    Choice all = alternatives();
    if (failed_ || at_ != text_.size()) return std::nullopt;
    consider(all);
    if (!found_) return std::nullopt;
    return largest_;
  }

 private:
  void consider(const Choice& choice) {
    if (choice.bars.empty()) return;
    if (found_ && choice.end - choice.begin <= largest_.end - largest_.begin) return;
    largest_ = choice;
    found_ = true;
  }

  /// Up to the closing parenthesis. What is inside an alternative of several is chosen with it.
  Choice alternatives() {
    if (++depth_ > kNestingMax) failed_ = true;
    Choice choice;
    choice.begin = at_;
    const Choice before = largest_;
    const bool found_before = found_;
    while (more() && peek() != ')') {
      if (take("|")) {
        choice.bars.push_back(at_ - 1);
      } else {
        item();
      }
    }
    choice.end = at_;
    if (!choice.bars.empty()) {
      largest_ = before;
      found_ = found_before;
    }
    --depth_;
    return choice;
  }

  void item() {
    switch (peek()) {
      case '(':
        return group();
      case '[':
        (void)bracket();
        break;
      case '\\':
        ++at_;
        // \Q begins a text, and a reference to a group is not to be kept apart from it.
        if (!more() || peek() == 'Q' || peek() == 'g' || peek() == 'k' ||
            (peek() >= '1' && peek() <= '9')) {
          failed_ = true;
        }
        ++at_;
        break;
      default:
        ++at_;
        break;
    }
    repeated();
  }

  void group() {
    const Choice before = largest_;
    const bool found_before = found_;
    const bool is_head = at_ == 0;
    const Group kind = open_group();
    if (kind == Group::kNothing) {
      // Flags for the rest hold in the alternatives behind them too.
      if (!is_head) failed_ = true;
      return;
    }
    if (kind == Group::kUnknown) failed_ = true;
    const Choice choice = alternatives();
    if (!take(")")) failed_ = true;
    if (failed_) return;
    if (repeated() || kind != Group::kPlain) {
      largest_ = before;
      found_ = found_before;
    } else {
      consider(choice);
    }
  }

  bool repeated() {
    std::size_t least = 1, most = 1;
    if (failed_) return false;
    const std::size_t from = at_;
    (void)quantifier(least, most);
    return at_ != from;
  }

  Choice largest_;
  bool found_ = false;
  std::size_t depth_ = 0;
};

}  // namespace

std::optional<std::pair<std::string, std::string>> split_pattern(std::string_view pattern) {
  const std::optional<Choice> choice = ChoiceFinder(pattern).largest();
  if (!choice.has_value()) return std::nullopt;
  // The bar next to the middle of the text.
  const std::size_t middle = (choice->begin + choice->end) / 2;
  std::size_t bar = choice->bars[0];
  for (const std::size_t each : choice->bars) {
    const auto distance = [&](std::size_t at) { return at > middle ? at - middle : middle - at; };
    if (distance(each) < distance(bar)) bar = each;
  }
  // Flags at the head of a choice of the whole pattern are of both.
  std::size_t head = choice->begin;
  if (head == 0 && pattern.starts_with("(?")) {
    const std::size_t end = pattern.find_first_not_of("imsU-", 2);
    if (end != std::string_view::npos && pattern[end] == ')') head = end + 1;
  }
  const std::string before(pattern.substr(0, head)), behind(pattern.substr(choice->end));
  return std::make_pair(
      before + std::string(pattern.substr(head, bar - head)) + behind,
      before + std::string(pattern.substr(bar + 1, choice->end - bar - 1)) + behind);
}

}  // namespace sluice::compile
