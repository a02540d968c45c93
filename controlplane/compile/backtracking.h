// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "controlplane/seclang/link.h"

namespace sluice::compile {

/// What a matcher that backtracks may spend on a value that does not match.
enum class Backtracking : std::uint8_t {
  kPolynomial,
  kExponential,  ///< in the length of the value, as (a+)+$ does
  kUnknown,      ///< the pattern's syntax is not understood, or it is too large to tell
};

/// Looks for states of the pattern's automaton from which one text leads back to the same state in
/// two ways, and behind which the match can still fail: every repetition of the text doubles the
/// ways (Weber and Seidl, "On the degree of ambiguity of finite automata", 1991; criterion EDA).
/// Atomic groups and possessive quantifiers are not entered again; lookarounds are looked at by
/// themselves; back references count as something that may fail. O(states^4), at most
/// kAmbiguousStatesMax of them in one loop.
Backtracking backtracking_of(std::string_view pattern);

/// Patterns that may take exponential time under PCRE2: an error where Hyperscan, which takes
/// linear time, cannot read them either (possessive quantifiers, which it does not know, aside),
/// and a warning where it is not asked (negated operators, values that are not scanned, selectors).
/// What runs has match limits besides.
void check_backtracking(const seclang::LinkedRules& rules, config::Diagnostics& diagnostics);

}  // namespace sluice::compile
