// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#define PCRE2_CODE_UNIT_WIDTH 8
#include "dataplane/rules/operator/regex_meter.h"

#include <pcre2.h>

#include <algorithm>
#include <vector>

namespace sluice::rules {

namespace {

/// Choices that PCRE2 may come back to in all their combinations between two callouts.
constexpr std::size_t kChoicesMax = 64;
/// A repetition of more is told of before it begins as well, where no callout is near.
constexpr std::size_t kLongRepeat = 256;
constexpr std::string_view kRun = "(?C1)", kReference = "(?C2)";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Copies a pattern piece by piece.
class MeterWriter {
 public:
  explicit MeterWriter(std::string_view text) : text_(text) {}

  std::optional<std::string> write() {
    while (at_ < text_.size() && !failed_) {
      item_ = out_.size();
      switch (text_[at_]) {
        case '\\':
          escape();
          break;
        case '[':
          bracket();
          break;
        case '(':
          open();
          break;
        case ')':
          close();
          break;
        default:
          closed_ = kNothing;
          is_told_ = is_told_ && peek() != '|';
          copy(1);
          break;
      }
      if (!failed_) quantifier();
    }
    if (failed_ || !open_.empty()) return std::nullopt;
    // From the back, so that the places in front stay what they are.
    std::sort(loops_.rbegin(), loops_.rend());
    for (const std::size_t place : loops_) out_.insert(place, kRun);
    return std::move(out_);
  }

 private:
  static constexpr std::size_t kNothing = std::string::npos;

  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void copy(std::size_t bytes) {
    bytes = std::min(bytes, text_.size() - at_);
    out_ += text_.substr(at_, bytes);
    at_ += bytes;
  }
  void copy_to(char end) {
    const std::size_t found = text_.find(end, at_);
    failed_ = failed_ || found == std::string_view::npos;
    copy(found == std::string_view::npos ? 0 : found + 1 - at_);
  }

  void escape() {
    closed_ = kNothing;
    const char c = peek(1);
    if (c == 'Q' || c == 'E' || c == '\0') failed_ = true;
    // \g<..> and \g'..' call groups, the other forms refer to what one has matched.
    if (c == 'g' || c == 'k' || (c >= '1' && c <= '9')) out_ += kReference;
    copy(c == 'c' ? 3 : 2);
    const char next = peek();
    const bool has_braces = std::string_view("xopPgkN").find(c) != std::string_view::npos;
    if (has_braces && next == '{') return copy_to('}');
    if ((c == 'g' || c == 'k') && (next == '<' || next == '\'')) {
      copy(1);
      return copy_to(next == '<' ? '>' : '\'');
    }
    if (c == 'g' && (next == '-' || next == '+')) copy(1);
    if (c == 'g' || is_digit(c)) {
      while (is_digit(peek())) copy(1);
    }
  }

  void bracket() {
    closed_ = kNothing;
    copy(1);
    if (peek() == '^') copy(1);
    if (peek() == ']') copy(1);
    while (at_ < text_.size() && peek() != ']') {
      if (peek() == '\\') {
        if (peek(1) == 'Q' || peek(1) == 'E') failed_ = true;
        copy(peek(1) == 'c' ? 3 : 2);
      } else if (peek() == '[' && peek(1) == ':') {
        const std::size_t end = text_.find(":]", at_ + 2);
        copy(end == std::string_view::npos ? 1 : end + 2 - at_);
      } else {
        copy(1);
      }
    }
    copy(1);
  }

  void open() {
    closed_ = kNothing;
    if (peek(1) == '*') {
      // Verbs are upper case; (*atomic:...) and the like hold patterns.
      if (!is_letter(peek(2)) || (peek(2) >= 'a' && peek(2) <= 'z')) failed_ = true;
      return copy_to(')');
    }
    if (peek(1) != '?') {
      copy(1);
      return open_.push_back(out_.size());
    }
    if (peek(2) == '#') return copy_to(')');
    const std::string_view rest = text_.substr(at_ + 2);
    for (const std::string_view kind : {"<=", "<!", ":", "|", ">", "=", "!"}) {
      if (!rest.starts_with(kind)) continue;
      copy(2 + kind.size());
      return open_.push_back(out_.size());
    }
    if (rest.starts_with('<') || rest.starts_with("P<") || rest.starts_with('\'')) {
      copy(rest.starts_with('P') ? 4 : 3);
      copy_to(rest.starts_with('\'') ? '\'' : '>');
      return open_.push_back(out_.size());
    }
    flags(rest);
  }

  /// (?i) for the rest, (?i:...), and what is none of them.
  void flags(std::string_view rest) {
    const std::size_t end = rest.find_first_not_of("imnsUJ^-");
    if (end == std::string_view::npos || (rest[end] != ')' && rest[end] != ':') || end == 0) {
      failed_ = true;  // free spacing, conditions, calls of groups
      return;
    }
    copy(2 + end + 1);
    if (rest[end] == ':') open_.push_back(out_.size());
  }

  void close() {
    if (open_.empty()) {
      failed_ = true;
      return;
    }
    closed_ = open_.back();
    open_.pop_back();
    is_told_ = false;
    choices_ *= 2;
    copy(1);
  }

  /// What stands behind an item, if anything does.
  void quantifier() {
    std::size_t bytes = 0, most = 1;
    if (peek() == '*' || peek() == '+' || peek() == '?') {
      bytes = 1;
      most = peek() == '?' ? 1 : kLongRepeat;
    } else if (peek() == '{') {
      bytes = braces(most);
    }
    const bool is_group = closed_ != kNothing;
    if (bytes == 0) {
      if (is_group && choices_ > kChoicesMax) tell();
      return;
    }
    copy(bytes);
    if (peek() == '?' || peek() == '+') copy(1);
    choices_ *= most + 1;
    if (is_group && most > 1) {
      loops_.push_back(closed_);
      tell();
    } else if (choices_ > kChoicesMax) {
      if (!is_told_ && most >= kLongRepeat) out_.insert(item_, kRun);
      tell();
    } else {
      is_told_ = false;
    }
    closed_ = kNothing;
  }

  void tell() {
    out_ += kRun;
    is_told_ = true;
    choices_ = 1;
  }

  /// Bytes of {n}, {n,} or {n,m}, and the most repetitions; 0: the brace stands for itself.
  std::size_t braces(std::size_t& most) const {
    std::size_t ahead = 1, value = 0;
    const auto number = [&] {
      value = 0;
      const std::size_t first = ahead;
      for (; is_digit(peek(ahead)); ++ahead) {
        value = std::min(10 * value + static_cast<std::size_t>(peek(ahead) - '0'), kLongRepeat);
      }
      return ahead > first;
    };
    if (!number()) return 0;
    if (peek(ahead) == ',') {
      ++ahead;
      if (!number()) value = kLongRepeat;
    }
    if (peek(ahead) != '}') return 0;
    most = value;
    return ahead + 1;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string out_;
  std::vector<std::size_t> open_;   ///< where the inside of each open group begins in out_
  std::vector<std::size_t> loops_;  ///< the same of those that are repeated
  std::size_t closed_ = kNothing;   ///< the same of the group that has just been closed
  std::size_t item_ = 0;            ///< where the latest item begins in out_
  /// The latest callout, or the start of the match, is not far from here: no choice lies between,
  /// to which PCRE2 could come back from anywhere without a word.
  bool is_told_ = true;
  std::size_t choices_ = 1;  ///< since the latest callout, multiplied; 2 for a group
  bool failed_ = false;
};

}  // namespace

std::optional<std::string> metered_pattern(std::string_view pattern) {
  return MeterWriter(pattern).write();
}

int RegexMeter::on_callout(pcre2_callout_block_8* block, void* data) {
  auto* meter = static_cast<RegexMeter*>(data);
  const std::size_t at = block->current_position;
  if (block->start_match != meter->start_) {
    meter->start_ = block->start_match;
    meter->last_ = block->start_match;
  }
  std::size_t bytes = at > meter->last_ ? at - meter->last_ : meter->last_ - at;
  meter->last_ = at;
  if (block->callout_number != kCalloutRun) {
    for (std::size_t group = 1; group < block->capture_top; ++group) {
      const std::size_t from = block->offset_vector[2 * group];
      const std::size_t to = block->offset_vector[2 * group + 1];
      if (from != PCRE2_UNSET && to > from) bytes = std::max(bytes, to - from);
    }
  }
  const std::uint64_t work = 1 + bytes / kMeterBytes;
  if (meter->left_ < work) {
    meter->left_ = 0;
    return PCRE2_ERROR_CALLOUT;
  }
  meter->left_ -= work;
  return 0;
}

}  // namespace sluice::rules
