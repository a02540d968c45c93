// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "dataplane/rules/operator/sqli_words.h"

// libinjection 3.9 as libmodsecurity-dev has it in its archive; that package ships no header for
// it. The layout of its state is written out as far as it is looked at: whether a parse came to the
// end of what it was given, and how many tokens that took, bounds its work. A test compares the
// whole with libinjection_sqli().
extern "C" {
struct libinjection_sqli_state {
  const char* text;
  std::size_t bytes;
  char (*lookup)(libinjection_sqli_state*, int kind, const char* word, std::size_t bytes);
  void* user_data;
  int flags;
  std::size_t at;  ///< how far it has read
  struct {
    std::size_t at, bytes;
    int count;
    char type, open, close, text[32];
  } tokens_kept[8];
  void* current;
  char fingerprint[8];
  int reason;
  int comments_dash_white, comments_dash_other, comments_c, comments_hash;
  int folds, tokens;
  char room[128];  ///< for a field more, which 3.9 does not have
};
const char* libinjection_sqli_fingerprint(libinjection_sqli_state* state, int flags);
int libinjection_sqli_not_whitelist(libinjection_sqli_state* state);
}

namespace sluice::rules {

namespace {

using State = libinjection_sqli_state;

enum Flags : int { kNoQuote = 1, kSingleQuote = 2, kDoubleQuote = 4, kAnsi = 8, kMysql = 16 };

/// A parse that ended this close to the end of its window might have gone otherwise with more to
/// see.
constexpr std::size_t kLookaheadBytes = 8;
constexpr std::size_t kFirstPrefixBytes = 256, kPrefixGrowth = 4;

std::size_t tokens_of(const State& state) {
  return static_cast<std::size_t>(std::max(state.tokens, 1));
}

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }
bool is_word(char byte) {
  const char lower = static_cast<char>(byte | 0x20);
  return is_digit(byte) || (lower >= 'a' && lower <= 'z') || byte == '_';
}

/// Bytes of the longest prefix that surely has no more than `tokens` tokens: a run of letters and
/// digits is one, or two where letters follow digits; every other byte is at most one. 1 ns a byte.
std::size_t prefix_of(std::string_view text, std::size_t tokens) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t start = i;
    const bool number = is_digit(text[i]);
    bool letters = false;
    for (; i < text.size() && is_word(text[i]); ++i) letters |= !is_digit(text[i]);
    if (i == start) ++i;
    count += number && letters ? 2 : 1;
    if (count > tokens) return start;
  }
  return text.size();
}

/// Libinjection's look-up of words and operators, which are in one table.
char look_up(State*, int, const char* word, std::size_t bytes) {
  return sqli_keyword_type({word, bytes});
}

/// Reads a prefix of the value. True: more of it would change nothing.
bool parse(State& state, std::string_view text, std::size_t prefix, int flags, SqliWork& work) {
  // It begins by clearing the state but for these.
  state.text = text.data();
  state.bytes = prefix;
  state.lookup = look_up;
  state.user_data = nullptr;
  libinjection_sqli_fingerprint(&state, flags);
  work.tokens_read += tokens_of(state);
  return prefix == text.size() || state.at + kLookaheadBytes < prefix;
}

/// A parse cannot be stopped half-way, but nearly all end after a few tokens.
bool parse_beginning(State& state, std::string_view text, int flags, SqliWork& work) {
  const std::size_t most = std::min(text.size(), work.tokens_left);
  for (std::size_t prefix = kFirstPrefixBytes; prefix < most; prefix *= kPrefixGrowth) {
    if (parse(state, text, prefix, flags, work)) return true;
  }
  return false;
}

/// One that cannot cost more tokens than are left, and a longer one where it came to the end with
/// few (a long string). False: they ran out.
bool parse_all(State& state, std::string_view text, int flags, SqliWork& work) {
  std::size_t prefix =
      text.size() <= work.tokens_left ? text.size() : prefix_of(text, work.tokens_left);
  while (prefix != 0) {
    const bool ended = parse(state, text, prefix, flags, work);
    work.tokens_left -= std::min(work.tokens_left, tokens_of(state));
    if (ended) return true;
    if (work.tokens_left <= tokens_of(state)) return false;
    prefix += prefix_of(text.substr(prefix), work.tokens_left - tokens_of(state));
  }
  return false;
}

/// Whether the fingerprint is in the table, where those that are blacklisted stand behind a 0.
bool is_blacklisted(const State& state) {
  char text[1 + sizeof state.fingerprint];
  text[0] = '0';
  std::memcpy(text + 1, state.fingerprint, sizeof state.fingerprint);
  const std::size_t bytes = strnlen(state.fingerprint, sizeof state.fingerprint);
  return sqli_keyword_type({text, 1 + bytes}) == 'F';
}

/// One reading of the value: what stands before it in the statement is given by the quote.
MatchOutcome check(State& state, Bytes value, int flags, SqliWork& work) {
  const std::string_view text = base::as_text(value);
  if (!parse_beginning(state, text, flags, work) && !parse_all(state, text, flags, work)) {
    return MatchOutcome::kLimit;
  }
  if (!is_blacklisted(state)) return MatchOutcome::kNoMatch;
  state.bytes = value.size();  // it is searched for a word, and compared with token lengths
  return libinjection_sqli_not_whitelist(&state) != 0 ? MatchOutcome::kMatch
                                                      : MatchOutcome::kNoMatch;
}

/// check() under ANSI rules, and under MySQL's if the value has comments that MySQL reads
/// otherwise.
MatchOutcome check_both(State& state, Bytes value, int quote, SqliWork& work) {
  const MatchOutcome outcome = check(state, value, quote | kAnsi, work);
  if (outcome != MatchOutcome::kNoMatch) return outcome;
  if (state.comments_dash_other == 0 && state.comments_hash == 0) return MatchOutcome::kNoMatch;
  return check(state, value, quote | kMysql, work);
}

MatchOutcome check_all(State& state, Bytes value, SqliWork& work) {
  MatchOutcome outcome = check_both(state, value, kNoQuote, work);
  if (outcome != MatchOutcome::kNoMatch) return outcome;
  if (std::memchr(value.data(), '\'', value.size()) != nullptr) {
    outcome = check_both(state, value, kSingleQuote, work);
    if (outcome != MatchOutcome::kNoMatch) return outcome;
  }
  if (std::memchr(value.data(), '"', value.size()) != nullptr) {
    return check(state, value, kDoubleQuote | kMysql, work);
  }
  return MatchOutcome::kNoMatch;
}

}  // namespace

MatchOutcome detect_sqli(Bytes value, SqliWork& work, char (&fingerprint)[kSqliFingerprintBytes]) {
  std::memset(fingerprint, 0, sizeof fingerprint);
  if (value.empty()) return MatchOutcome::kNoMatch;
  // A token for every second byte is the value's own: honest lists of numbers have two in three
  // bytes. What goes beyond comes out of what the request has for all of its values.
  const std::size_t own = value.size() / 2, before = work.tokens_left;
  work.tokens_left += own;
  State state;
  const MatchOutcome outcome = check_all(state, value, work);
  work.tokens_left = std::min(before, work.tokens_left);
  if (outcome == MatchOutcome::kMatch) std::memcpy(fingerprint, state.fingerprint, 8);
  return outcome;
}

}  // namespace sluice::rules
