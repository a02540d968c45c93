// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/values.h"

namespace sluice::seclang {
namespace {

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_separator(char c) { return c == '|' || c == ','; }
/// The reference takes TX.a for TX:a; no variable has a dot in its name.
constexpr bool opens_selector(char c) { return c == ':' || c == '.'; }

std::vector<std::string_view> variable_names() {
  std::vector<std::string_view> names;
  names.reserve(abi::kVariables.size());
  for (const abi::VariableInfo& info : abi::kVariables) names.push_back(info.name);
  return names;
}

class TargetParser {
 public:
  TargetParser(const PlacedText& list, Reporter& reporter)
      : list_(list), text_(list.text()), reporter_(reporter) {}

  std::vector<TargetNode> run() {
    std::vector<TargetNode> targets;
    bool good = true;
    while (at_ <= text_.size()) {
      const std::size_t start = at_;
      if (auto target = take_target()) {
        targets.push_back(std::move(*target));
      } else {
        good = false;
        skip_to_separator(start);
      }
      if (at_ >= text_.size()) break;
      ++at_;  // the separator
    }
    if (!good) targets.clear();
    return targets;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  void skip_to_separator(std::size_t start) {
    at_ = std::max(at_, start);
    while (at_ < text_.size() && !is_separator(text_[at_])) ++at_;
  }
  std::nullopt_t fail(std::size_t index, std::string message) {
    reporter_.error(list_.at(index), std::move(message));
    return std::nullopt;
  }

  std::optional<TargetNode> take_target() {
    TargetNode node;
    skip_blanks();
    node.target.place = list_.at(at_);
    while (at_ < text_.size() && (text_[at_] == '!' || text_[at_] == '&')) {
      bool& flag = text_[at_] == '!' ? node.exclude : node.target.count;
      if (flag || (node.exclude && text_[at_] == '&')) {
        return fail(at_, "expected the name of a variable behind ! or &");
      }
      flag = true;
      ++at_;
    }
    if (node.exclude && node.target.count) {
      return fail(at_, "a count (&) cannot be excluded (!): counts ignore exclusions");
    }
    const std::size_t start = at_;
    while (at_ < text_.size() && !is_separator(text_[at_]) && !opens_selector(text_[at_]) &&
           !is_blank(text_[at_])) {
      ++at_;
    }
    const std::string_view name = text_.substr(start, at_ - start);
    if (name.empty()) return fail(start, "expected the name of a variable");
    const auto variable = abi::find_variable(name);
    if (!variable) {
      return fail(start, "unknown variable " + std::string(name) +
                             config::suggestion(name, variable_names()));
    }
    node.target.variable = *variable;
    const abi::VariableInfo& info = abi::variable_info(*variable);
    if (info.support == abi::VariableSupport::kRefused) {
      return fail(start, "the variable " + std::string(info.name) +
                             " is not supported: " + std::string(abi::variable_note(*variable)));
    }
    if (at_ < text_.size() && opens_selector(text_[at_]) && !take_selector(node.target)) {
      return std::nullopt;
    }
    skip_blanks();
    if (at_ < text_.size() && !is_separator(text_[at_])) {
      return fail(at_, "expected | between variables");
    }
    return node;
  }

  bool take_selector(Target& target) {
    const std::size_t colon = at_++;
    const abi::VariableInfo& info = abi::variable_info(target.variable);
    if (!info.has_members()) {
      fail(colon, "the variable " + std::string(info.name) +
                      " is a single value: nothing can be selected from it");
      return false;
    }
    if (info.kind == abi::VariableKind::kTree) return take_xpath(target.selector);
    if (at_ < text_.size() && text_[at_] == '\'') return take_quoted(target.selector);
    if (at_ < text_.size() && text_[at_] == '/') return take_regex(target.selector);
    const std::size_t start = at_;
    while (at_ < text_.size() && !is_separator(text_[at_]) && !is_blank(text_[at_])) ++at_;
    target.selector = {Selector::Kind::kName, std::string(text_.substr(start, at_ - start))};
    if (at_ == start) {
      fail(start, "expected a name or a /regex/ behind the colon");
      return false;
    }
    return true;
  }

  bool take_xpath(Selector& selector) {
    const std::size_t start = at_;
    while (at_ < text_.size() && !is_separator(text_[at_]) && !is_blank(text_[at_])) ++at_;
    selector = {Selector::Kind::kXPath, std::string(text_.substr(start, at_ - start))};
    for (const std::string_view path : {"/*", "//@*", "//text()"}) {
      if (selector.text == path) return true;
    }
    fail(start, "the XPath " + selector.text +
                    " is not supported: bodies are judged as they stream (expected /*, //@* or "
                    "//text())");
    return false;
  }

  /// 'name' or '/regex/', where | and , stand for themselves and \' for a quote.
  bool take_quoted(Selector& selector) {
    const std::size_t open = at_++;
    std::string inside;
    while (at_ < text_.size() && text_[at_] != '\'') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) inside.push_back(text_[at_++]);
      inside.push_back(text_[at_++]);
    }
    if (at_ == text_.size()) {
      fail(open, "the selector that opens here is not closed (expected ')");
      return false;
    }
    ++at_;
    if (inside.size() >= 2 && inside.front() == '/' && inside.back() == '/') {
      selector = {Selector::Kind::kRegex, inside.substr(1, inside.size() - 2)};
    } else {
      selector = {Selector::Kind::kName, inside};
    }
    return true;
  }

  /// /regex/ up to the slash that a separator follows.
  bool take_regex(Selector& selector) {
    const std::size_t open = at_++;
    for (std::size_t i = at_; i < text_.size(); ++i) {
      if (text_[i] == '\\') {
        ++i;
        continue;
      }
      if (text_[i] != '/') continue;
      const std::size_t next = i + 1;
      if (next < text_.size() && !is_separator(text_[next]) && !is_blank(text_[next])) continue;
      selector = {Selector::Kind::kRegex, std::string(text_.substr(at_, i - at_))};
      at_ = next;
      return true;
    }
    fail(open, "the regex that opens here has no end (expected /)");
    at_ = text_.size();
    return false;
  }

  const PlacedText& list_;
  std::string_view text_;
  Reporter& reporter_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<TargetNode> parse_targets(const PlacedText& list, Reporter& reporter) {
  return TargetParser(list, reporter).run();
}

}  // namespace sluice::seclang
