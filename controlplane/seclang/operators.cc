// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/values.h"

namespace sluice::seclang {
namespace {

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::vector<std::string_view> operator_names() {
  std::vector<std::string_view> names;
  for (const abi::OperatorInfo& info : abi::kOperators) {
    names.push_back(info.name);
    if (!info.alias.empty()) names.push_back(info.alias);
  }
  return names;
}

/// An operator string is kept byte for byte, so a place is an offset.
class Source {
 public:
  Source(const SourceText& source, const Token& token)
      : source_(source), begin_(token.begin), text_(source.slice(token.begin, token.end)) {}
  [[nodiscard]] std::string_view text() const { return text_; }
  [[nodiscard]] Place at(std::size_t index) const { return source_.at(begin_ + index); }

 private:
  const SourceText& source_;
  std::size_t begin_;
  std::string_view text_;
};

/// Notes and refusals by name.
bool check_support(const Operator& op, Reporter& reporter) {
  const abi::OperatorInfo& info = abi::operator_info(op.id);
  if (info.support == abi::OperatorSupport::kRefused) {
    reporter.error(op.place, "@" + std::string(info.name) +
                                 " is not supported: " + std::string(abi::operator_refusal(op.id)));
    return false;
  }
  if (info.support == abi::OperatorSupport::kNeverMatches) {
    reporter.warning(op.place, "@" + std::string(info.name) + " never matches here");
  }
  return true;
}

}  // namespace

std::optional<Operator> parse_operator(const SourceText& source, const Token& token,
                                       Reporter& reporter) {
  const Source written(source, token);
  const std::string_view text = written.text();
  Operator op;
  op.place = written.at(0);
  std::size_t at = 0;
  if (!text.empty() && text[0] == '!') {
    op.negated = true;
    ++at;
  }
  op.id = abi::OperatorId::kRx;  // where no operator is named
  bool named = false;
  if (at < text.size() && text[at] == '@') {
    const std::size_t start = ++at;
    while (at < text.size() && !is_blank(text[at])) ++at;
    const std::string_view name = text.substr(start, at - start);
    const auto id = abi::find_operator(name);
    if (!id) {
      reporter.error(written.at(start), "unknown operator @" + std::string(name) +
                                            config::suggestion(name, operator_names()));
      return std::nullopt;
    }
    op.id = *id;
    named = true;
    while (at < text.size() && is_blank(text[at])) ++at;
  } else if (text.substr(at).find_first_not_of(" \t") != std::string_view::npos &&
             text[text.find_first_not_of(" \t", at)] == '@') {
    reporter.warning(written.at(at),
                     "read as a regex, since a blank stands in front of the @ (as ModSecurity "
                     "reads it)");
  }
  if (!check_support(op, reporter)) return std::nullopt;
  const abi::OperatorInfo& info = abi::operator_info(op.id);
  op.argument = text.substr(at);
  op.argument_place = written.at(at);
  if (named && op.argument.empty() && info.argument != abi::OperatorArgument::kNothing) {
    reporter.error(op.argument_place, "@" + std::string(info.name) + " needs an argument");
    return std::nullopt;
  }
  if (info.argument == abi::OperatorArgument::kNothing && !op.argument.empty()) {
    reporter.warning(op.argument_place, "@" + std::string(info.name) + " takes no argument");
    op.argument.clear();
  }
  if (!info.macro) {
    op.expanded = literal_text(op.argument);
    return op;
  }
  auto expanded = parse_macros(PlacedText(source, token.begin + at, token.end), reporter);
  if (!expanded) return std::nullopt;
  if (expanded->is_constant()) {
    op.expanded = literal_text(op.argument);  // byte for byte, also across lines
  } else {
    op.expanded = std::move(*expanded);
  }
  return op;
}

}  // namespace sluice::seclang
