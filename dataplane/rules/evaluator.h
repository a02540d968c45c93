// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// Runs the rules of one phase from position `next_position` of the state on in order, over what
/// the scans have found. Bounded by the rules of the phase, the values, and the budget of the
/// transaction. False: the slice is over, call it again. It stops between two rules where nothing
/// remembers the last one (no MATCHED_* of it, nothing in the worker's arena), and between two
/// values of a rule, whose matches so far are kept.
[[nodiscard]] bool run_phase(TransactionState& state, std::uint8_t phase);

/// What run_phase() has stopped in is not gone on with.
void give_up_stopped(TransactionState& state);

/// Runs, once for a transaction, the rules that keys of collections wait for (kRuleDeferred). The
/// rule that asks is not disturbed.
void run_deferred(TransactionState& state);

}  // namespace sluice::rules
