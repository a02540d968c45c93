// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// Runs a rule's operator on one transformed value, without negation, and sets TX.0.. if the rule
/// captures. `matched` becomes the part of the value that was found, where the operator knows.
MatchOutcome match_operator(TransactionState& state, const abi::Rule& rule, Bytes value,
                            Bytes& matched);

/// The leftmost match of a pattern, its work taken from the budget: some for the bytes of the
/// value, and what RegexContext::match_metered() counts. Deterministic: the same value takes the
/// same steps everywhere. kLimit: beyond the budget, or beyond PCRE2's limits.
MatchOutcome match_pattern(TransactionState& state, const Regex& regex, Bytes value);

/// What an `@ipMatch` says of REMOTE_ADDR, whose text need not be made for it.
bool is_client_in_set(const TransactionState& state, const abi::Rule& rule);

/// The value behind a node of the transformation DAG; in the worker's arena where it differs. Fails
/// the transaction when that is full.
Bytes transform(TransactionState& state, std::uint16_t node, Bytes value);

}  // namespace sluice::rules
