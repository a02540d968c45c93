// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// Decimal digits of a number in the worker's arena.
std::string_view number_text(TransactionState& state, std::int64_t number);

/// True for scalars that are worked out when they are asked for; the others have their value in the
/// table once they are set.
bool is_computed(VariableId variable);
/// The value of a computed scalar, in the worker's arena or in static memory.
std::string_view computed_scalar(TransactionState& state, VariableId variable);

}  // namespace sluice::rules
