// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <span>

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// Transaction::find_sent(). Values lie in the order of the request, so the place of one in its
/// list finds it in the text again; only what gives the value when it is parsed again is taken.
void find_sent_bytes(const TransactionState& state, std::span<SentBytes> wanted);

}  // namespace sluice::rules
