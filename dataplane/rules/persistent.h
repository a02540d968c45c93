// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/rules/collections.h"
#include "dataplane/rules/transaction_state.h"

/// Persistent collections (IP, GLOBAL, ...) as the rules of one transaction see them: live, under
/// the key of this transaction's initcol; without one, all clients share the empty key, as in
/// ModSecurity v3. A worker without a table has empty collections that take nothing. Each access
/// costs kCollectionSteps of the budget.
namespace sluice::rules {

/// Notes the key that an initcol gives its collection; a late one is made when it is asked for.
void set_collection_key(TransactionState& state, const abi::RuleAction& action);

/// The key of a collection; empty if no initcol named one. May run the rules that it waits for.
std::string_view collection_key(TransactionState& state, VariableId variable);

/// The collection as it is now, copied into the worker's arena.
RecordView persistent_record(TransactionState& state, VariableId variable);

/// Members that have no name in the record: KEY, IS_NEW, CREATE_TIME, LAST_UPDATE_TIME,
/// UPDATE_COUNTER, UPDATE_RATE and TIMEOUT. Nothing for other names. The text may lie in the
/// worker's arena.
std::optional<std::string_view> persistent_built_in(TransactionState& state, VariableId variable,
                                                    const RecordView& record,
                                                    std::string_view name);

/// The value of one member, a built-in one included; empty if there is none.
std::string_view persistent_text(TransactionState& state, VariableId variable,
                                 std::string_view name);

/// Fails the transaction with collection_full if it does not fit.
void persistent_change(TransactionState& state, VariableId variable,
                       const CollectionChange& change);

}  // namespace sluice::rules
