// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string_view>

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// Members of a persistent collection (IP, GLOBAL, ...) under the key of this transaction's
/// initcol: visit(key, value) for each, until it says false.
template <typename Visitor>
void for_each_persistent(TransactionState&, VariableId, Visitor&&) {}

inline std::string_view persistent_text(TransactionState&, VariableId, std::string_view) {
  return {};
}

inline void persistent_assign(TransactionState&, VariableId, std::string_view, std::string_view) {}
inline void persistent_add(TransactionState&, VariableId, std::string_view, std::int64_t) {}
inline void persistent_delete(TransactionState&, VariableId, std::string_view) {}
inline void persistent_expire(TransactionState&, VariableId, std::string_view, std::int64_t) {}

}  // namespace sluice::rules
