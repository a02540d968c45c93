// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <optional>
#include <set>

#include "controlplane/compile/needs.h"
#include "controlplane/compile/regex_lexer.h"
#include "controlplane/compile/regex_parts.h"

namespace sluice::compile {

namespace {

constexpr std::size_t kNestingMax = 200;

/// Reads the part of PCRE2's syntax that rules use. Anything else makes the whole pattern unknown.
class Reader : RegexLexer {
 public:
  using RegexLexer::RegexLexer;

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
    merge_common(needs);
    return needs;
  }

 private:
  enum class Anchor : std::uint8_t { kNone, kLine, kValue };

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

  Known atom(Needs& elsewhere) {
    const char c = text_[at_];
    switch (c) {
      case '(':
        return group(elsewhere);
      case '[': {
        const ByteSet set = bracket();
        return failed_ ? fail() : of_set(set);
      }
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
    const Group kind = open_group();
    if (kind == Group::kUnknown) return fail();
    if (kind == Group::kNothing) return Known::empty_text();
    Known inside = alternatives();
    if (!take(")")) return fail();
    if (kind == Group::kPlain || kind == Group::kAtomic) return inside;
    if (kind == Group::kAhead) elsewhere = needs_of(inside);
    return Known::empty_text();
  }

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
    if (codes.size() > 32) return known;
    known.needs.clear();
    for (const unsigned code : codes)
      known.needs.push_back({rules::classes_of_code(code), {}, 0, false});
    reduce(known.needs, kNeedsMax);
    return known;
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

  std::size_t depth_ = 0;
  std::uint64_t used_ = 0;  ///< classes of all bytes that a match may hold
  Anchor begin_ = Anchor::kNone, end_ = Anchor::kNone;
};

}  // namespace

Needs regex_needs(std::string_view pattern) { return Reader(pattern).run(); }

}  // namespace sluice::compile
