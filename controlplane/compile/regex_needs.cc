// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <bitset>
#include <optional>

#include "controlplane/compile/needs.h"
#include "controlplane/compile/regex_parts.h"

namespace sluice::compile {

namespace {

using ByteSet = std::bitset<256>;

constexpr std::size_t kNestingMax = 200;

/// Reads the part of PCRE2's syntax that rules use. Anything else makes the whole pattern unknown.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Needs run() {
    const Known known = alternatives();
    if (failed_ || at_ != text_.size()) return {Need{}};
    Needs needs = needs_of(known);
    const bool whole = begin_ != Anchor::kNone && end_ != Anchor::kNone;
    for (Need& need : needs) {
      if (!whole) break;
      need.forbidden = ~used_ & ~rules::class_bit(rules::ByteClass::kUpper);
      need.by_line = begin_ == Anchor::kLine || end_ == Anchor::kLine;
    }
    return needs;
  }

 private:
  enum class Anchor : std::uint8_t { kNone, kLine, kValue };

  [[nodiscard]] bool more() const { return at_ < text_.size() && !failed_; }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
  }
  Known fail() {
    failed_ = true;
    return Known::nothing();
  }

  Known alternatives() {
    if (++depth_ > kNestingMax) return fail();
    std::vector<Known> all{sequence()};
    while (more() && take("|")) {
      all.push_back(sequence());
      if (depth_ == 1) begin_ = end_ = Anchor::kNone;
    }
    --depth_;
    if (all.size() == 1) return all[0];
    Known result{true, {}, {}};
    for (const Known& each : all) {
      result.exact = result.exact && each.exact;
      result.texts.insert(result.texts.end(), each.texts.begin(), each.texts.end());
    }
    unique_texts(result.texts);
    if (result.exact && result.texts.size() <= kTextsMax) return result;
    result.exact = false;
    result.texts.clear();
    for (const Known& each : all) {
      const Needs needs = needs_of(each);
      result.needs.insert(result.needs.end(), needs.begin(), needs.end());
    }
    reduce(result.needs, kNeedsMax);
    return result;
  }

  Known sequence() {
    Sequence result;
    bool is_first = true;
    while (more() && peek() != '|' && peek() != ')') {
      Needs elsewhere;
      if (depth_ == 1) note_anchor(is_first);
      const Known part = atom(elsewhere);
      if (failed_) return Known::nothing();
      std::size_t least = 1, most = 1;
      quantifier(least, most);
      if (failed_) return Known::nothing();
      if (!elsewhere.empty() && least > 0) result.require(elsewhere);
      if (least == 0 && most == 1 && part.exact && part.texts.size() <= 4) {
        Known maybe = part;
        maybe.texts.emplace_back();
        unique_texts(maybe.texts);
        result.add(maybe);
      } else if (least == 0) {
        result.add(Known::nothing());
      } else if (most == 1) {
        result.add(part);
      } else {
        result.add_repeated(part);
      }
    }
    return result.take();
  }

  /// Of the pattern as a whole: at_ stands on an atom of the outermost sequence.
  void note_anchor(bool& is_first) {
    const std::string_view rest = text_.substr(at_);
    if (is_first && rest.starts_with("(?i)")) return;
    if (is_first) {
      // Neither can have a quantifier.
      if (rest.starts_with("^")) begin_ = Anchor::kLine;
      if (rest.starts_with("\\A")) begin_ = Anchor::kValue;
    }
    is_first = false;
    end_ = rest == "$" || rest == "\\Z" ? Anchor::kLine
           : rest == "\\z"              ? Anchor::kValue
                                        : Anchor::kNone;
  }

  void quantifier(std::size_t& least, std::size_t& most) {
    constexpr std::size_t kEndless = 1u << 20;
    const char c = peek();
    if (at_ >= text_.size()) return;
    if (c == '*' || c == '+' || c == '?') {
      ++at_;
      least = c == '+' ? 1 : 0;
      most = c == '?' ? 1 : kEndless;
    } else if (c != '{' || !braces(least, most)) {
      return;
    }
    if (more() && (peek() == '?' || peek() == '+')) ++at_;  // lazy, possessive
    if (more() && (peek() == '*' || peek() == '?' || peek() == '+')) failed_ = true;
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
      if (!number(high)) high = 1u << 20;
    }
    if (i >= text_.size() || text_[i] != '}') return false;
    at_ = i + 1;
    least = low;
    most = high;
    return true;
  }

  Known atom(Needs& elsewhere) {
    const char c = text_[at_];
    switch (c) {
      case '(':
        return group(elsewhere);
      case '[':
        return bracket();
      case '.':
        ++at_;
        used_ = ~std::uint64_t{0};
        return Known::nothing();
      case '^':
      case '$':
        ++at_;
        return Known::empty_text();
      case '\\':
        return escape();
      case '*':
      case '+':
      case '?':
        return fail();
      default:
        ++at_;
        return of_byte(static_cast<std::uint8_t>(c));
    }
  }

  Known group(Needs& elsewhere) {
    ++at_;
    bool zero_width = false, negative = false;
    if (peek() == '*') return fail();
    if (take("?")) {
      if (take(":") || take(">") || take("|")) {
      } else if (take("=") || take("<=")) {
        zero_width = true;
      } else if (take("!") || take("<!")) {
        zero_width = negative = true;
      } else if (take("#")) {
        while (more() && peek() != ')') ++at_;
        return close() ? Known::empty_text() : fail();
      } else if (take("P<") || take("<") || take("'")) {
        while (more() && peek() != '>' && peek() != '\'') ++at_;
        ++at_;
      } else {
        // Flags that change nothing here, as case never counts: (?i), (?i:...).
        while (more() && (peek() == 'i' || peek() == 'm' || peek() == 's' || peek() == 'U' ||
                          peek() == '-')) {
          ++at_;
        }
        if (take(")")) return Known::empty_text();
        if (!take(":")) return fail();
      }
    }
    const Known inside = alternatives();
    if (!close()) return fail();
    if (!zero_width) return inside;
    if (!negative) elsewhere = needs_of(inside);
    return Known::empty_text();
  }
  bool close() { return take(")"); }

  Known of_byte(std::uint8_t byte) {
    used_ |= rules::classes_of_code(rules::kByteCodes[byte]);
    return {true, {Codes(1, static_cast<char>(known_code_of(byte)))}, {}};
  }

  Known of_set(const ByteSet& set) {
    std::set<unsigned> codes, texts;
    std::size_t digits = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      if (!set[byte]) continue;
      codes.insert(rules::kByteCodes[byte]);
      texts.insert(known_code_of(static_cast<std::uint8_t>(byte)));
      if (rules::kByteCodes[byte] == rules::kCodeDigit) ++digits;
    }
    // Which of many digits it is says little.
    if (digits > 3) texts = codes;
    for (const unsigned code : codes) used_ |= rules::classes_of_code(code);
    if (codes.empty()) return Known::nothing();
    if (texts.size() <= kClassCodesMax) {
      Known known{true, {}, {}};
      for (const unsigned code : texts) known.texts.emplace_back(1, static_cast<char>(code));
      return known;
    }
    Known known = Known::nothing();
    if (codes.size() > 16) return known;
    known.needs.clear();
    for (const unsigned code : codes)
      known.needs.push_back({rules::classes_of_code(code), {}, 0, false});
    reduce(known.needs, kNeedsMax);
    return known;
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

  Known escape() {
    ++at_;
    const char c = peek();
    if (at_ >= text_.size()) return fail();
    if (const auto set = shorthand(c); set.has_value()) {
      ++at_;
      if (c == 'N' && peek() == '{') return fail();
      return of_set(*set);
    }
    if (c == 'b' || c == 'B' || c == 'A' || c == 'z' || c == 'Z' || c == 'G' || c == 'K') {
      ++at_;
      return Known::empty_text();
    }
    if (c >= '1' && c <= '9') {
      // A reference to a group. Numbers of more digits may be bytes: not understood.
      ++at_;
      if (peek() >= '0' && peek() <= '9') return fail();
      return Known::nothing();
    }
    const auto byte = escaped_byte();
    return byte.has_value() ? of_byte(*byte) : fail();
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

  Known bracket() {
    ++at_;
    const bool negated = take("^");
    ByteSet set;
    for (bool is_first = true; more() && (is_first || peek() != ']'); is_first = false) {
      if (peek() == '[' && (peek(1) == ':' || peek(1) == '.' || peek(1) == '=')) {
        if (peek(1) == ':' && posix_class(set)) continue;
        return fail();
      }
      const auto first = member(set);
      if (failed_) return Known::nothing();
      if (!first.has_value()) continue;
      if (peek() != '-' || peek(1) == ']' || at_ + 1 >= text_.size()) {
        set.set(*first);
        continue;
      }
      ++at_;
      if (peek() == '[') return fail();
      const auto last = member(set);
      if (failed_) return Known::nothing();
      if (!last.has_value()) {  // `a-\d`: the sign is a sign
        set.set(*first);
        set.set('-');
        continue;
      }
      if (*last < *first) return fail();
      add_range(set, *first, *last);
    }
    if (!take("]")) return fail();
    return of_set(negated ? ~set : set);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::uint64_t used_ = 0;  ///< classes of all bytes that a match may hold
  Anchor begin_ = Anchor::kNone, end_ = Anchor::kNone;
  bool failed_ = false;
};

}  // namespace

Needs regex_needs(std::string_view pattern) { return Reader(pattern).run(); }

}  // namespace sluice::compile
