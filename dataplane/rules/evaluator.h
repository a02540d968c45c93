// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// Runs the rules of one phase in order, over what the scans have found. Bounded by the rules of
/// the phase, the values, and the budget of the transaction.
void run_phase(TransactionState& state, std::uint8_t phase);

/// Runs, once for a transaction, the rules that keys of collections wait for (kRuleDeferred). The
/// rule that asks is not disturbed.
void run_deferred(TransactionState& state);

}  // namespace sluice::rules
