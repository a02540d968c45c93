// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/sqli_words.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
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

constexpr std::size_t kBlockBytes = 16;

/// Bit i: byte i of up to 64 bytes is_word().
std::uint64_t word_mask(base::Bytes bytes) {
  std::uint64_t mask = 0;
  for (std::size_t at = 0; at < bytes.size(); at += kBlockBytes) {
    __m128i block;
    if (bytes.size() - at >= kBlockBytes) {
      block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&bytes[at]));
    } else {
      std::uint8_t rest[kBlockBytes] = {};
      std::memcpy(rest, &bytes[at], bytes.size() - at);
      block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rest));
    }
    // Unsigned x <= n is min(x, n) == x.
    const auto within = [](__m128i lanes, char from, char to) {
      const __m128i above = _mm_sub_epi8(lanes, _mm_set1_epi8(from));
      const __m128i most = _mm_set1_epi8(static_cast<char>(to - from));
      return _mm_cmpeq_epi8(_mm_min_epu8(above, most), above);
    };
    const __m128i letter = within(_mm_or_si128(block, _mm_set1_epi8(0x20)), 'a', 'z');
    const __m128i digit = within(block, '0', '9');
    const __m128i line = _mm_cmpeq_epi8(block, _mm_set1_epi8('_'));
    const auto found = static_cast<std::uint32_t>(
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letter, digit), line)));
    mask |= std::uint64_t{found} << at;
  }
  return mask;
}

/// Of up to 31 bytes, without case. A letter and the sign that is it without 0x20 look the same.
std::uint32_t word_hash(base::Bytes word) {
  std::uint64_t hash = word.size();
  std::size_t at = 0;
  for (; at + 8 <= word.size(); at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, &word[at], sizeof eight);
    hash = _mm_crc32_u64(hash, eight | 0x2020202020202020);
  }
  std::uint64_t rest = 0;
  for (std::size_t shift = 0; at < word.size(); ++at, shift += 8) {
    rest |= std::uint64_t{word[at]} << shift;
  }
  return static_cast<std::uint32_t>(_mm_crc32_u64(hash, rest | 0x2020202020202020));
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
  [[nodiscard]] bool has(base::Bytes word) const {
    if (word.empty() || word.size() > kWordBytesMax) return false;
    if ((sizes_[lower(word[0])] >> word.size() & 1) == 0) return false;
    const std::uint32_t hash = word_hash(word);
    return (bits_[hash % kBits / 64] >> hash % 64 & 1) != 0;
  }

 private:
  static constexpr std::size_t kBits = 65536;

  /// Of several words ("GROUP BY") the first must be there too.
  void add_first_word(std::string_view words) {
    std::size_t size = 0;
    while (size < words.size() && is_word(static_cast<std::uint8_t>(words[size]))) ++size;
    if (size == 0 || size > kWordBytesMax) return;
    const base::Bytes word = base::as_bytes(words.substr(0, size));
    const std::uint32_t hash = word_hash(word);
    bits_[hash % kBits / 64] |= std::uint64_t{1} << hash % 64;
    sizes_[lower(word[0])] |= std::uint32_t{1} << size;
  }
  std::array<std::uint64_t, kBits / 64> bits_{};
  std::array<std::uint32_t, 256> sizes_{};  ///< by first byte: bit n, a word of n bytes
};

// Names, numbers, functions, operators; F: the blacklisted sequences themselves.
const WordSet kWords("n1ofF");
// Where there are variables, operators count too: `1+@x` is the sequence "1ov".
const WordSet kWordsBesideVariables("n1fF");

/// A run of letters, digits and underscores. It may be a word of SQL as a whole; or, where it
/// begins with a number, behind that number.
bool has_sql_word(base::Bytes run, const WordSet& words) {
  if (words.has(run)) return true;
  if (!is_digit(run[0])) return false;
  for (std::size_t i = 1; i < run.size(); ++i) {
    if (words.has(run.subspan(i))) return true;
  }
  return false;
}

/// `--`, `/*` or `*/`.
bool has_comment(base::Bytes value, std::uint64_t classes) {
  const std::string_view text = base::as_text(value);
  if ((classes & classes_of_any("-")) != 0 && text.find("--") != std::string_view::npos)
    return true;
  return (classes & classes_of_any("*")) != 0 &&
         (text.find("/*") != std::string_view::npos || text.find("*/") != std::string_view::npos);
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
  if (has_comment(value, classes)) return true;
  if ((classes & kLetters) == 0) return false;
  constexpr std::size_t kStep = 64;
  std::size_t start = 0;
  bool is_open = false;  // a run from `start` on
  for (std::size_t at = 0; at < value.size(); at += kStep) {
    const std::uint64_t mask = word_mask(value.subspan(at, std::min(kStep, value.size() - at)));
    // Where runs begin and end, in turn.
    for (std::uint64_t turns = mask ^ (mask << 1 | (is_open ? 1U : 0U)); turns != 0;
         turns &= turns - 1) {
      const std::size_t place = at + static_cast<unsigned>(std::countr_zero(turns));
      if (is_open && has_sql_word(value.subspan(start, place - start), words)) return true;
      is_open = !is_open;
      start = place;
    }
  }
  return is_open && has_sql_word(value.subspan(start), words);
}

}  // namespace sluice::rules
