// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/operators.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/rules/operator/outcome.h"

namespace sluice::rules {

using base::Bytes;

/// The operators that are functions of (argument, value). The argument is what the rule says behind
/// the operator's name, macros expanded; the value is a transformed target. All are O(value) (with
/// a factor of the argument's length where said) and allocate nothing. Negation is the caller's.
/// ModSecurity v3 reference; corners and deviations: docs/seclang.md.

// -- texts: bytes, case-sensitive -----------------------------------------------------------------
bool begins_with(Bytes argument, Bytes value);
/// The argument's place in the value does not matter; an empty argument matches.
bool contains(Bytes argument, Bytes value);
/// Contained where neither neighbour is an ASCII letter (digits and `_` are boundaries); an empty
/// argument matches. O(value * argument) for values built against it.
bool contains_word(Bytes argument, Bytes value);
bool ends_with(Bytes argument, Bytes value);
bool streq(Bytes argument, Bytes value);
/// The same as contains.
bool strmatch(Bytes argument, Bytes value);
/// The value is contained in the argument; an empty value matches.
bool within(Bytes argument, Bytes value);

// -- numbers --------------------------------------------------------------------------------------
/// For eq: white space, a sign, digits; what follows does not matter. No digits or beyond 32 bits:
/// 0.
std::int32_t eq_number(Bytes text);
/// What setvar's `+` and `-` do to such a number: 32-bit sums that wrap, as ModSecurity's.
constexpr std::int32_t wrapping_sum(std::int32_t left, std::int64_t right) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(left) +
                                   static_cast<std::uint32_t>(right));
}
/// For ge, gt, le and lt: as above in 64 bits, where too large is the largest.
std::int64_t order_number(Bytes text);
bool eq(Bytes argument, Bytes value);
bool ge(Bytes argument, Bytes value);
bool gt(Bytes argument, Bytes value);
bool le(Bytes argument, Bytes value);
bool lt(Bytes argument, Bytes value);

// -- encodings and bytes --------------------------------------------------------------------------
/// The bytes that validateByteRange allows. Plain data: lies in the ruleset image.
struct ByteRange {
  std::uint64_t allowed[4] = {};
};
/// Reads "10, 32-126": numbers 0-255 and ranges. Elements that are neither are skipped, as in the
/// reference, and counted in `ignored` for a warning.
ByteRange parse_byte_range(std::string_view text, std::size_t& ignored);
/// True if a byte of the value is not allowed; false for an empty value.
bool outside_byte_range(const ByteRange& range, Bytes value);
/// validateUrlEncoding: true if a `%` stands without two hexadecimal digits behind it.
bool has_bad_url_encoding(Bytes value);
/// validateUtf8Encoding: true if the value is no well-formed UTF-8 (RFC 3629).
bool has_bad_utf8(Bytes value);

// -- libinjection ---------------------------------------------------------------------------------
inline constexpr std::size_t kSqliFingerprintBytes = 8;
/// What libinjection's SQL parser may do and has done for one request.
struct SqliWork {
  std::size_t tokens_left = abi::kSqliTokensMax;  ///< beyond those that each value has
  std::size_t tokens_read = 0;                    ///< at up to 150 ns each
};
/// An SQL injection? `fingerprint`: up to five characters and a NUL, empty without a match.
/// Each value may use a token for every second byte of its own, and what it uses beyond is taken
/// off. libinjection stops at the sixth token that does not fold, but arithmetic without end folds,
/// and quotes make it read a value up to five times. kLimit: the tokens ran out. O(tokens).
MatchOutcome detect_sqli(Bytes value, SqliWork& work, char (&fingerprint)[kSqliFingerprintBytes]);
/// An HTML or script injection? `scratch`: values that end in an open character reference are
/// copied there, because libinjection looks one byte too far (kLimit: it is full). O(value), at
/// most 25 ns a byte.
MatchOutcome detect_xss(Bytes value, base::Arena& scratch);

// -- all of them by number ------------------------------------------------------------------------
/// Evaluates the operators above whose argument is text, a number or nothing, and
/// unconditionalMatch, noMatch and the ones that never match. The others (regex, phrases, sets,
/// libinjection) have functions of their own; they must not come here.
bool match_leaf(abi::OperatorId id, Bytes argument, Bytes value);

}  // namespace sluice::rules
