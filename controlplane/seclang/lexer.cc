// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/lexer.h"

#include <algorithm>

namespace sluice::seclang {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

class Lexer {
 public:
  Lexer(const SourceText& source, Reporter& reporter)
      : source_(source), text_(source.text()), reporter_(reporter) {}

  std::vector<RawDirective> run() {
    std::vector<RawDirective> directives;
    if (text_.substr(0, 3) == "\xef\xbb\xbf") at_ = 3;  // a byte order mark says nothing
    while (skip_to_directive()) directives.push_back(take_directive());
    return directives;
  }

 private:
  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  [[nodiscard]] bool at_line_end() const { return done() || text_[at_] == '\n'; }

  /// Bytes of a backslash that continues the line: 2 or 3 with CR, else 0.
  [[nodiscard]] std::size_t continuation(std::size_t offset) const {
    if (offset >= text_.size() || text_[offset] != '\\') return 0;
    if (text_.substr(offset + 1, 1) == "\n") return 2;
    if (text_.substr(offset + 1, 2) == "\r\n") return 3;
    return 0;
  }

  bool skip_to_directive() {
    while (!done()) {
      const char c = text_[at_];
      if (c == '\n' || is_blank(c)) {
        ++at_;
      } else if (const std::size_t bytes = continuation(at_); bytes != 0) {
        at_ += bytes;
      } else if (c == '#') {
        skip_comment();
      } else {
        return true;
      }
    }
    return false;
  }

  /// A comment that holds a rule goes on behind a backslash at its end, as the rule would (the
  /// reference reads it so); any other ends with its line.
  void skip_comment() {
    bool holds_rule = false;
    while (!done()) {
      const std::size_t end = std::min(text_.find('\n', at_), text_.size());
      std::string_view line = text_.substr(at_, end - at_);
      at_ = std::min(end + 1, text_.size());
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      holds_rule = holds_rule || line.find("SecRule") != std::string_view::npos ||
                   line.find("SecAction") != std::string_view::npos;
      if (!holds_rule || line.empty() || line.back() != '\\') return;
    }
  }

  void skip_blanks() {
    while (!done()) {
      if (is_blank(text_[at_])) {
        ++at_;
      } else if (const std::size_t bytes = continuation(at_); bytes != 0) {
        at_ += bytes;
      } else {
        return;
      }
    }
  }

  RawDirective take_directive() {
    RawDirective directive;
    directive.begin = at_;
    directive.name = take_word();
    const std::size_t values = is_rule(directive.name) ? 2 : 1;
    for (skip_blanks(); !at_line_end(); skip_blanks()) {
      const char c = text_[at_];
      if (c == '#' && directive.arguments.size() >= values) break;
      directive.arguments.push_back(c == '"' || c == '\'' ? take_quoted(c) : take_word());
    }
    directive.end = at_;
    // A comment behind the values, which ends with its line.
    at_ = std::min(text_.find('\n', at_), text_.size());
    while (directive.end > directive.begin && is_blank(text_[directive.end - 1])) --directive.end;
    return directive;
  }

  /// The operator of a rule may begin with a # of its own; what is behind it does not.
  [[nodiscard]] bool is_rule(const Token& name) const {
    return abi::equal_ignoring_case(text_.substr(name.begin, name.end - name.begin), "SecRule");
  }

  Token take_word() {
    Token token{at_, at_, 0};
    while (!at_line_end() && !is_blank(text_[at_])) {
      const std::size_t bytes = continuation(at_);
      if (bytes != 0 && !list_goes_on(at_, bytes)) break;
      at_ += std::max<std::size_t>(bytes, 1);
      while (bytes != 0 && !at_line_end() && is_blank(text_[at_])) ++at_;
    }
    token.end = at_;
    return token;
  }

  /// A list of variables may go on behind a backslash, on either side of its separator.
  [[nodiscard]] bool list_goes_on(std::size_t offset, std::size_t bytes) const {
    const std::size_t next = text_.find_first_not_of(" \t\r", offset + bytes);
    const char before = offset > 0 ? text_[offset - 1] : ' ';
    return before == '|' || before == ',' ||
           (next != std::string_view::npos && (text_[next] == '|' || text_[next] == ','));
  }

  Token take_quoted(char quote) {
    const std::size_t open = at_;
    Token token{++at_, 0, quote};
    while (!done() && text_[at_] != quote) {
      if (const std::size_t bytes = continuation(at_); bytes != 0) {
        at_ += bytes;
      } else if (text_[at_] == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
        at_ += 2;
      } else if (text_[at_] == '\n') {
        break;
      } else {
        ++at_;
      }
    }
    at_ = std::min(at_, text_.size());
    token.end = at_;
    if (done() || text_[at_] != quote) {
      reporter_.error(source_.at(open), std::string("the text that ") + quote +
                                            " opens here is not closed (expected " + quote +
                                            ", or a backslash at the end of the line)");
      return token;
    }
    ++at_;
    if (!at_line_end() && !is_blank(text_[at_]) && continuation(at_) == 0) {
      reporter_.error(source_.at(at_), std::string("expected a blank behind the closing ") + quote);
    }
    return token;
  }

  const SourceText& source_;
  std::string_view text_;
  Reporter& reporter_;
  std::size_t at_ = 0;
};

}  // namespace

SourceText::SourceText(std::uint32_t file, std::string_view text) : file_(file), text_(text) {
  line_starts_.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') line_starts_.push_back(static_cast<std::uint32_t>(i + 1));
  }
}

Place SourceText::at(std::size_t offset) const {
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<std::uint32_t>(next - line_starts_.begin());
  return {file_, line, static_cast<std::uint32_t>(offset - line_starts_[line - 1] + 1)};
}

std::vector<RawDirective> lex(const SourceText& source, Reporter& reporter) {
  return Lexer(source, reporter).run();
}

}  // namespace sluice::seclang
