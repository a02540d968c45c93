// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/rules/grams.h"
#include "dataplane/rules/operator/operator.h"

namespace sluice::compile {

/// Pairs in order, each once.
class Grams {
 public:
  /// O(size).
  void insert(rules::Gram pair) {
    const auto place = std::lower_bound(pairs_.begin(), pairs_.end(), pair);
    if (place == pairs_.end() || *place != pair) pairs_.insert(place, pair);
  }
  [[nodiscard]] auto begin() const { return pairs_.begin(); }
  [[nodiscard]] auto end() const { return pairs_.end(); }
  [[nodiscard]] std::size_t size() const { return pairs_.size(); }
  [[nodiscard]] bool empty() const { return pairs_.empty(); }

  /// Those of both, and those of either. O(size).
  static Grams common(const Grams& one, const Grams& other) {
    Grams result;
    std::set_intersection(one.begin(), one.end(), other.begin(), other.end(),
                          std::back_inserter(result.pairs_));
    return result;
  }
  static Grams joined(const Grams& one, const Grams& other) {
    Grams result;
    std::set_union(one.begin(), one.end(), other.begin(), other.end(),
                   std::back_inserter(result.pairs_));
    return result;
  }

 private:
  std::vector<rules::Gram> pairs_;
};

/// What a value must have for one way to match: all of these byte classes and pairs.
struct Need {
  std::uint64_t classes = 0;
  Grams grams;
  /// Classes that it must not have, as a match is the whole value. by_line: a line of it, so that
  /// this holds for values of one line.
  std::uint64_t forbidden = 0;
  bool by_line = false;

  [[nodiscard]] bool nothing() const { return classes == 0 && grams.empty() && forbidden == 0; }
};

/// The ways to match: a value that meets none of them cannot match. One that asks for nothing says
/// that nothing is known.
using Needs = std::vector<Need>;

/// More ways than this are merged, which asks for less.
inline constexpr std::size_t kNeedsMax = 64;
inline constexpr std::size_t kLiteralNeedsMax = 256;  ///< of a list of phrases

/// What a pattern in PCRE2's syntax needs. Whatever is not understood asks for nothing, so the
/// answer is always on the safe side. O(pattern).
Needs regex_needs(std::string_view pattern);

/// The same for "one of these texts occurs, in any case".
Needs literal_needs(const std::vector<std::string>& texts);

/// The same for "a byte outside these occurs". `good`: those that may occur.
Needs byte_range_needs(const rules::ByteRange& good);

/// The same for "libinjection takes it for cross-site scripting": that begins at a tag, or is the
/// value of an attribute with one of some names. It passes over NULs in names.
Needs xss_needs();

/// Both must hold. Exact while there are few ways, else weaker.
Needs both(const Needs& left, const Needs& right);

/// Leaves out what adds nothing and merges ways until at most `most` are left: those first by which
/// fewest honest values pass more.
void reduce(Needs& needs, std::size_t most);

/// Ways that ask for no pair, only for byte classes, are looked up for each value: of those that
/// nearly every value passes ("one of the letters") one is left, with what they have in common.
void merge_common(Needs& needs);

/// The pairs of a need that honest values have least, at most `most`.
std::vector<rules::Gram> rarest_grams(const Need& need, std::size_t most);

/// The class of a need that fewest honest values have; 0: it asks for none.
std::uint64_t rarest_class(const Need& need);

/// Texts are written in codes (rules/grams.h), with codes of their own for digits that are known.
inline constexpr unsigned kKnownDigit = 64;
constexpr unsigned known_code_of(std::uint8_t byte) {
  return byte >= '0' && byte <= '9' ? kKnownDigit + byte - '0' : rules::code_of(byte);
}

/// One way: the codes stand behind one another.
Need need_of_codes(std::string_view codes);
Need need_of_text(std::string_view text);

}  // namespace sluice::compile
