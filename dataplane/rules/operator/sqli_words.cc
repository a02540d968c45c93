// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/sqli_words.h"

#include <array>
#include <cstddef>
#include <string_view>

#include "dataplane/rules/byte_class.h"

extern "C" {
struct libinjection_keyword {
  const char* word;  ///< upper case
  char type;
};
extern const libinjection_keyword libinjection_sql_keywords[];
}

namespace sluice::rules {

namespace {

constexpr std::size_t kKeywordCount = 9352;  // of 3.9; extract_objects.sh checks it
constexpr std::size_t kWordBytesMax = 31;    // of a token; longer ones are no keywords

bool is_digit(std::uint8_t byte) { return byte >= '0' && byte <= '9'; }
std::uint8_t lower(std::uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<std::uint8_t>(byte | 0x20) : byte;
}
bool is_word(std::uint8_t byte) {
  const std::uint8_t small = lower(byte);
  return is_digit(byte) || (small >= 'a' && small <= 'z') || byte == '_';
}

/// Words go into the hash from their last byte to the first, so that one pass over a word gives
/// the hashes of all its endings.
constexpr std::uint32_t kHashStart = 0x9e3779b9;
std::uint32_t add_to_hash(std::uint32_t hash, std::uint8_t byte) {
  return (hash ^ lower(byte)) * 0x85ebca6b + (hash >> 15);
}

/// The words whose tokens are of other kinds than these, as a set of hashes. A wrong yes costs a
/// look by libinjection.
class WordSet {
 public:
  explicit WordSet(std::string_view harmless) {
    for (std::size_t i = 0; i < kKeywordCount; ++i) {
      const libinjection_keyword& keyword = libinjection_sql_keywords[i];
      if (harmless.find(keyword.type) != std::string_view::npos) continue;
      add_first_word(keyword.word);
    }
  }
  [[nodiscard]] bool has(std::uint32_t hash) const {
    return (bits_[hash % kBits / 64] >> hash % 64 & 1) != 0;
  }

 private:
  static constexpr std::size_t kBits = 65536;

  /// Of several words ("GROUP BY") the first must be there too.
  void add_first_word(std::string_view words) {
    std::size_t size = 0;
    while (size < words.size() && is_word(static_cast<std::uint8_t>(words[size]))) ++size;
    std::uint32_t hash = kHashStart;
    for (std::size_t i = size; i > 0; --i) {
      hash = add_to_hash(hash, static_cast<std::uint8_t>(words[i - 1]));
    }
    if (size > 0) bits_[hash % kBits / 64] |= std::uint64_t{1} << hash % 64;
  }
  std::array<std::uint64_t, kBits / 64> bits_{};
};

// Names, numbers, functions, operators; F: the blacklisted sequences themselves.
const WordSet kWords("n1ofF");
// Where there are variables, operators count too: `1+@x` is the sequence "1ov".
const WordSet kWordsBesideVariables("n1fF");

/// A run of letters, digits and underscores. It may be a word of SQL as a whole; or, where it
/// begins with a number, behind that number.
bool has_sql_word(base::Bytes run, const WordSet& words) {
  const bool has_number = is_digit(run[0]);
  std::uint32_t hash = kHashStart;
  for (std::size_t i = run.size(); i > 0; --i) {
    hash = add_to_hash(hash, run[i - 1]);
    if ((i == 1 || has_number) && run.size() - i < kWordBytesMax && words.has(hash)) return true;
  }
  return false;
}

}  // namespace

bool may_be_sqli(base::Bytes value, std::uint64_t classes) {
  constexpr std::uint64_t kTelling = classes_of_any("'\"`$#(){};\\&|");
  if ((classes & kTelling) != 0) return true;
  const bool variables = (classes & classes_of_any("@")) != 0;
  constexpr std::uint64_t kOperators = classes_of_any("!<>=%~+-*/^:");
  if (variables && (classes & kOperators) != 0) return true;
  const WordSet& words = variables ? kWordsBesideVariables : kWords;
  constexpr std::uint64_t kLetters = (std::uint64_t{1} << 26) - 1;
  constexpr std::uint64_t kComments = classes_of_any("-*");
  if ((classes & (kLetters | kComments)) == 0) return false;
  for (std::size_t i = 0; i < value.size();) {
    const std::size_t start = i;
    while (i < value.size() && is_word(value[i])) ++i;
    if (i > start) {
      if (has_sql_word(value.subspan(start, i - start), words)) return true;
      continue;
    }
    // Comments: `--`, and `/*` or `*/`.
    if (i > 0 &&
        ((value[i] == '-' && value[i - 1] == '-') || (value[i] == '*' && value[i - 1] == '/') ||
         (value[i] == '/' && value[i - 1] == '*'))) {
      return true;
    }
    ++i;
  }
  return false;
}

}  // namespace sluice::rules
