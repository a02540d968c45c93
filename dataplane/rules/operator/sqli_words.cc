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

/// The last one to seven bytes of a word, or none, as a number.
std::uint64_t load_rest(const std::uint8_t* from, std::size_t size) {
  const auto load = [from](std::size_t at, auto number) {
    std::memcpy(&number, from + at, sizeof number);
    return std::uint64_t{number};
  };
  // Of two loads the second overlaps the first.
  if (size >= 4)
    return load(0, std::uint32_t{}) | load(size - 4, std::uint32_t{}) << 8 * (size - 4);
  if (size >= 2)
    return load(0, std::uint16_t{}) | load(size - 2, std::uint16_t{}) << 8 * (size - 2);
  return size == 0 ? 0 : *from;
}

/// Without case. A letter and the sign that is it without 0x20 look the same.
std::uint32_t word_hash(base::Bytes word) {
  std::uint64_t hash = word.size();
  std::size_t at = 0;
  for (; at + 8 <= word.size(); at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, &word[at], sizeof eight);
    hash = _mm_crc32_u64(hash, eight | 0x2020202020202020);
  }
  const std::uint64_t rest = load_rest(word.data() + at, word.size() - at);
  return static_cast<std::uint32_t>(_mm_crc32_u64(hash, rest | 0x2020202020202020));
}

/// A set of hashes: a wrong yes for one word in eight, if it holds all of libinjection's.
class HashSet {
 public:
  void add(std::uint32_t hash) { bits_[hash % kBits / 64] |= std::uint64_t{1} << hash % 64; }
  [[nodiscard]] bool has(std::uint32_t hash) const {
    return (bits_[hash % kBits / 64] >> hash % 64 & 1) != 0;
  }

 private:
  static constexpr std::size_t kBits = 65536;

  std::array<std::uint64_t, kBits / 64> bits_{};
};

/// Libinjection's table by hash, where its own look-up is a binary search: most words that it looks
/// for are not there, which one word of `hashes_` tells.
class Keywords {
 public:
  Keywords() {
    for (std::size_t i = 0; i < kKeywordCount; ++i) {
      const std::string_view word = libinjection_sql_keywords[i].word;
      const std::uint32_t hash = word_hash(base::as_bytes(word));
      hashes_.add(hash);
      std::size_t place = first_place(hash);
      while (places_[place] != 0) place = next_place(place);
      places_[place] = static_cast<std::uint16_t>(i + 1);
    }
  }
  [[nodiscard]] char type_of(base::Bytes word) const {
    const std::uint32_t hash = word_hash(word);
    if (!hashes_.has(hash)) return 0;
    for (std::size_t at = first_place(hash); places_[at] != 0; at = next_place(at)) {
      const libinjection_keyword& keyword = libinjection_sql_keywords[places_[at] - 1];
      if (is_word_of(keyword, word)) return keyword.type;
    }
    return 0;
  }

 private:
  static constexpr std::size_t kPlaces = 32768;  // 0: empty

  static std::size_t first_place(std::uint32_t hash) { return hash >> 16 & (kPlaces - 1); }
  static std::size_t next_place(std::size_t place) { return (place + 1) & (kPlaces - 1); }
  static bool is_word_of(const libinjection_keyword& keyword, base::Bytes word) {
    for (std::size_t i = 0; i < word.size(); ++i) {
      const bool small = word[i] >= 'a' && word[i] <= 'z';
      const auto upper = static_cast<char>(small ? word[i] - 0x20 : word[i]);
      if (upper == 0 || keyword.word[i] != upper) return false;
    }
    return keyword.word[word.size()] == 0;
  }

  HashSet hashes_;
  std::array<std::uint16_t, kPlaces> places_{};
};

const Keywords kKeywords;

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
    return hashes_.has(word_hash(word));
  }

 private:
  /// Of several words ("GROUP BY") the first must be there too.
  void add_first_word(std::string_view words) {
    std::size_t size = 0;
    while (size < words.size() && is_word(static_cast<std::uint8_t>(words[size]))) ++size;
    if (size == 0 || size > kWordBytesMax) return;
    const base::Bytes word = base::as_bytes(words.substr(0, size));
    hashes_.add(word_hash(word));
    sizes_[lower(word[0])] |= std::uint32_t{1} << size;
  }
  HashSet hashes_;
  std::array<std::uint32_t, 256> sizes_{};  ///< by first byte: bit n, a word of n bytes
};

// Names, numbers, functions, operators; F: the blacklisted sequences themselves.
const WordSet kWords("n1ofF");
// Where there are variables, operators count too: `1+@x` is the sequence "1ov".
const WordSet kWordsBesideVariables("n1fF");

/// Where a word may begin in a run behind a number that it begins with (or ends, behind a dot), as
/// libinjection reads numbers: 12, 12e3, 12e3f, 0x1f, 0b01.
class NumberEnds {
 public:
  explicit NumberEnds(base::Bytes run) : run_(run) {
    const std::size_t whole = skip(0, is_digit);
    add(whole);
    if (small_at(whole) == 'e') add(skip(whole + 1, is_digit));
    for (std::size_t i = 0, plain = count_; i < plain; ++i) {
      if (small_at(places_[i]) == 'd' || small_at(places_[i]) == 'f') add(places_[i] + 1);
    }
    if (run[0] != '0') return;
    if (small_at(1) == 'x') add(skip(2, is_hex_digit));
    if (small_at(1) == 'b') add(skip(2, [](std::uint8_t byte) { return (byte | 1) == '1'; }));
  }
  [[nodiscard]] const std::size_t* begin() const { return places_; }
  [[nodiscard]] const std::size_t* end() const { return places_ + count_; }

 private:
  static bool is_hex_digit(std::uint8_t byte) {
    return is_digit(byte) || (lower(byte) >= 'a' && lower(byte) <= 'f');
  }
  [[nodiscard]] std::uint8_t small_at(std::size_t place) const {
    return place < run_.size() ? lower(run_[place]) : std::uint8_t{0};
  }
  template <typename Is>
  [[nodiscard]] std::size_t skip(std::size_t place, Is is) const {
    while (place < run_.size() && is(run_[place])) ++place;
    return place;
  }
  void add(std::size_t place) {
    if (place > 0 && place < run_.size()) places_[count_++] = place;
  }

  base::Bytes run_;
  std::size_t places_[6];
  std::size_t count_ = 0;
};

/// A run of letters, digits and underscores. It may be a word of SQL as a whole, or behind a number
/// that it begins with, or of which it is the end.
bool has_sql_word(base::Bytes run, bool behind_dot, const WordSet& words) {
  if (words.has(run)) return true;
  const std::uint8_t first = lower(run[0]);
  const bool ends_number = behind_dot && (first == 'e' || first == 'd' || first == 'f');
  if (!is_digit(first) && !ends_number) return false;
  for (const std::size_t place : NumberEnds(run)) {
    if (has_sql_word(run.subspan(place), false, words)) return true;
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

char sqli_keyword_type(std::string_view word) { return kKeywords.type_of(base::as_bytes(word)); }

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
  constexpr std::uint64_t kOfWords =
      kLetters | class_bit(ByteClass::kUpper) | class_bit(ByteClass::kDigit) | classes_of_any("_");
  if ((classes & ~kOfWords) == 0 && !is_digit(value[0])) return false;  // one word
  const auto has_word = [&](std::size_t start, std::size_t end) {
    const bool behind_dot = start > 0 && value[start - 1] == '.';
    return has_sql_word(value.subspan(start, end - start), behind_dot, words);
  };
  constexpr std::size_t kStep = 64;
  std::size_t start = 0;
  bool is_open = false;  // a run from `start` on
  for (std::size_t at = 0; at < value.size(); at += kStep) {
    const std::uint64_t mask = word_mask(value.subspan(at, std::min(kStep, value.size() - at)));
    // Where runs begin and end, in turn.
    for (std::uint64_t turns = mask ^ (mask << 1 | (is_open ? 1U : 0U)); turns != 0;
         turns &= turns - 1) {
      const std::size_t place = at + static_cast<unsigned>(std::countr_zero(turns));
      if (is_open && has_word(start, place)) return true;
      is_open = !is_open;
      start = place;
    }
  }
  return is_open && has_word(start, value.size());
}

}  // namespace sluice::rules
