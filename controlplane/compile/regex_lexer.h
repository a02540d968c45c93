// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::compile {

using ByteSet = std::bitset<256>;

/// Repetitions from here on are as good as endless.
inline constexpr std::size_t kEndlessRepeat = 1u << 20;

/// The lexical part of the PCRE2 syntax that rules use, for those who look at a pattern's
/// structure. Anything else sets failed_: the pattern is then unknown.
class RegexLexer {
 public:
  explicit RegexLexer(std::string_view text) : text_(text) {}

 protected:
  /// What stands behind an opening parenthesis.
  enum class Group : std::uint8_t {
    kPlain,     ///< capturing or not
    kAtomic,    ///< (?>
    kAhead,     ///< (?= and (?<=
    kNotAhead,  ///< (?! and (?<!
    kNothing,   ///< a comment or flags for the rest: closed already
    kUnknown,
  };

  [[nodiscard]] bool more() const { return at_ < text_.size() && !failed_; }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }

  /// at_ stands on the parenthesis.
  Group open_group() {
    ++at_;
    if (peek() == '*') return Group::kUnknown;
    if (!take("?")) return Group::kPlain;
    if (take(":") || take("|")) return Group::kPlain;
    if (take(">")) return Group::kAtomic;
    if (take("=") || take("<=")) return Group::kAhead;
    if (take("!") || take("<!")) return Group::kNotAhead;
    if (take("#")) {
      while (more() && peek() != ')') ++at_;
      return take(")") ? Group::kNothing : Group::kUnknown;
    }
    if (take("P<") || take("<") || take("'")) {
      while (more() && peek() != '>' && peek() != '\'') ++at_;
      ++at_;
      return Group::kPlain;
    }
    // Flags that change nothing here, as case never counts: (?i), (?i:...).
    while (more() &&
           (peek() == 'i' || peek() == 'm' || peek() == 's' || peek() == 'U' || peek() == '-')) {
      ++at_;
    }
    if (take(")")) return Group::kNothing;
    return take(":") ? Group::kPlain : Group::kUnknown;
  }

  /// What may stand behind an atom; without one, once. Says whether it is possessive.
  bool quantifier(std::size_t& least, std::size_t& most) {
    const char c = peek();
    if (at_ >= text_.size()) return false;
    if (c == '*' || c == '+' || c == '?') {
      ++at_;
      least = c == '+' ? 1 : 0;
      most = c == '?' ? 1 : kEndlessRepeat;
    } else if (c != '{' || !braces(least, most)) {
      return false;
    }
    const bool possessive = more() && peek() == '+';
    if (more() && (peek() == '?' || peek() == '+')) ++at_;  // lazy, possessive
    if (more() && (peek() == '*' || peek() == '?' || peek() == '+')) failed_ = true;
    return possessive;
  }

  /// `{2}`, `{2,}`, `{2,5}`; anything else is a literal brace.
  bool braces(std::size_t& least, std::size_t& most) {
    std::size_t i = at_ + 1;
    const auto number = [&](std::size_t& value) {
      const std::size_t start = i;
      value = 0;
      while (i < text_.size() && text_[i] >= '0' && text_[i] <= '9' && i - start < 6) {
        value = value * 10 + static_cast<std::size_t>(text_[i++] - '0');
      }
      return i > start;
    };
    std::size_t low = 0, high = 0;
    if (!number(low)) return false;
    high = low;
    if (i < text_.size() && text_[i] == ',') {
      ++i;
      if (!number(high)) high = kEndlessRepeat;
    }
    if (i >= text_.size() || text_[i] != '}') return false;
    at_ = i + 1;
    least = low;
    most = high;
    return true;
  }

  static std::optional<unsigned> hex(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
    return std::nullopt;
  }

  static void add_range(ByteSet& set, unsigned first, unsigned last) {
    for (unsigned byte = first; byte <= last; ++byte) set.set(byte);
  }
  /// The class behind a backslash and this letter, if it is one.
  static std::optional<ByteSet> shorthand(char letter) {
    ByteSet set;
    switch (letter) {
      case 'd':
      case 'D':
        add_range(set, '0', '9');
        break;
      case 'w':
      case 'W':
        add_range(set, '0', '9');
        add_range(set, 'a', 'z');
        add_range(set, 'A', 'Z');
        set.set('_');
        break;
      case 's':
      case 'S':
        add_range(set, 0x09, 0x0d);
        set.set(' ');
        break;
      case 'h':
      case 'H':
        set.set(0x09);
        set.set(' ');
        set.set(0xa0);
        break;
      case 'v':
      case 'V':
        add_range(set, 0x0a, 0x0d);
        set.set(0x85);
        break;
      case 'N':  // any byte but a line end; `\N{U+41}` is UTF's
        add_range(set, 0, 255);
        return set;
      default:
        return std::nullopt;
    }
    return letter >= 'a' ? set : ~set;
  }

  /// One byte behind a backslash, in or out of a bracket; at_ stands on the letter.
  std::optional<std::uint8_t> escaped_byte() {
    const char c = peek();
    if (at_ >= text_.size()) return std::nullopt;
    ++at_;
    switch (c) {
      case 'a':
        return 0x07;
      case 'e':
        return 0x1b;
      case 'f':
        return 0x0c;
      case 'n':
        return 0x0a;
      case 'r':
        return 0x0d;
      case 't':
        return 0x09;
      case 'x':
        return hex_byte();
      case '0': {
        unsigned value = 0;
        for (int i = 0; i < 2 && peek() >= '0' && peek() <= '7'; ++i) {
          value = value * 8 + static_cast<unsigned>(text_[at_++] - '0');
        }
        return static_cast<std::uint8_t>(value);
      }
      default:
        break;
    }
    const auto byte = static_cast<std::uint8_t>(c);
    const bool is_alphanumeric = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                                 (byte >= 'A' && byte <= 'Z');
    if (is_alphanumeric || byte >= 0x80) return std::nullopt;
    return byte;
  }

  std::optional<std::uint8_t> hex_byte() {
    unsigned value = 0;
    if (take("{")) {
      std::size_t digits = 0;
      for (; hex(peek()).has_value() && digits < 3; ++digits) {
        value = value * 16 + *hex(text_[at_++]);
      }
      if (!take("}") || digits == 0 || value > 255) return std::nullopt;
      return static_cast<std::uint8_t>(value);
    }
    for (int i = 0; i < 2 && hex(peek()).has_value(); ++i) value = value * 16 + *hex(text_[at_++]);
    return static_cast<std::uint8_t>(value);
  }

  /// One member of a bracket: a byte, or a class that goes into `set` at once.
  std::optional<std::uint8_t> member(ByteSet& set) {
    if (peek() != '\\') return static_cast<std::uint8_t>(text_[at_++]);
    ++at_;
    if (const auto known = shorthand(peek()); known.has_value() && peek() != 'N') {
      ++at_;
      set |= *known;
      return std::nullopt;
    }
    if (take("b")) return 0x08;
    const auto byte = escaped_byte();
    if (!byte.has_value()) failed_ = true;
    return byte;
  }

  /// Whether the `[` in a bracket begins `[:name:]`, `[.name.]` or `[=name=]`, or is a byte: as
  /// PCRE2 tells them apart.
  [[nodiscard]] bool is_posix_syntax() const {
    const char sign = peek(1);
    if (peek() != '[' || (sign != ':' && sign != '.' && sign != '=')) return false;
    for (std::size_t i = at_ + 2; i + 1 < text_.size(); ++i) {
      const char here = text_[i], next = text_[i + 1];
      if (here == '\\' && (next == ']' || next == '\\')) {
        ++i;
      } else if ((here == '[' && next == sign) || here == ']') {
        return false;
      } else if (here == sign && next == ']') {
        return true;
      }
    }
    return false;
  }

  bool posix_class(ByteSet& set) {
    const std::size_t end = text_.find(":]", at_ + 2);
    if (end == std::string_view::npos) return false;
    std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with("^");
    if (negated) name.remove_prefix(1);
    ByteSet found;
    if (name == "digit") {
      add_range(found, '0', '9');
    } else if (name == "alpha" || name == "alnum" || name == "word") {
      add_range(found, 'a', 'z');
      add_range(found, 'A', 'Z');
      if (name != "alpha") add_range(found, '0', '9');
      if (name == "word") found.set('_');
    } else if (name == "space") {
      add_range(found, 0x09, 0x0d);
      found.set(' ');
    } else {
      return false;
    }
    set |= negated ? ~found : found;
    at_ = end + 2;
    return true;
  }

  ByteSet unknown() {
    failed_ = true;
    return {};
  }

  /// A bracket; at_ stands on it. An empty set where it is not understood.
  ByteSet bracket() {
    ++at_;
    const bool negated = take("^");
    ByteSet set;
    for (bool is_first = true; more() && (is_first || peek() != ']'); is_first = false) {
      if (is_posix_syntax()) {
        if (peek(1) == ':' && posix_class(set)) continue;
        return unknown();
      }
      const auto first = member(set);
      if (failed_) return {};
      if (!first.has_value()) continue;
      if (peek() != '-' || peek(1) == ']' || at_ + 1 >= text_.size()) {
        set.set(*first);
        continue;
      }
      ++at_;
      if (peek() == '[') return unknown();
      const auto last = member(set);
      if (failed_) return {};
      if (!last.has_value()) {  // `a-\d`: the sign is a sign
        set.set(*first);
        set.set('-');
        continue;
      }
      if (*last < *first) return unknown();
      add_range(set, *first, *last);
    }
    if (!take("]")) failed_ = true;
    return negated ? ~set : set;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace sluice::compile
