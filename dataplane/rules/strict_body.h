// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/abi/strict.h"
#include "dataplane/rules/transaction_state.h"

/// The strict switches (abi/strict.h) that only a reader of arguments and bodies can hold. What
/// fails one is noted in TransactionState::strict_failures; it changes nothing for the rules.
namespace sluice::rules {

/// Notes the failures in `bits` of those that the policy asks for.
inline void note_strict(TransactionState& state, std::uint64_t bits) {
  state.strict_failures |= bits & state.info.strict;
}

/// Whether rules are also shown what lenient servers make of the request (switch other_readings).
inline bool reads_otherwise(const TransactionState& state) {
  return abi::is_strict(state.info.strict, abi::Strict::kOtherReadings);
}

/// Notes a name that occurs twice in a list of arguments. O(n log n) of its members, and only where
/// the policy asks for it.
void check_repeated_names(TransactionState& state, abi::VariableId list);

/// Notes a body that begins as JSON in UTF-16 or UTF-32 does, whatever its label, and one that
/// begins as JSON and is labelled as a form or as plain text. `first`: its first bytes, decoded.
/// O(blanks and digits before the first other byte).
void check_body_label(TransactionState& state, Bytes first);

}  // namespace sluice::rules
