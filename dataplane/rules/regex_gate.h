// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// Whether a value has what one of the ways to match regex `index` asks for; true where nothing is
/// known of it. False: PCRE2 would not match. O(bytes + needs), some nanoseconds for each.
[[nodiscard]] bool may_match(TransactionState& state, std::uint32_t index, Bytes value);

}  // namespace sluice::rules
