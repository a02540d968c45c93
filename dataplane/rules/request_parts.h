// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// The variables of a request's head: line, target, query arguments, headers, cookies. O(head).
void add_request_head(TransactionState& state, const http::RequestHead& head);
/// The variables of a response's head. O(head).
void add_response_head(TransactionState& state, const http::ResponseHead& head);

/// The variables of the whole request body: decodes it with the processor that is set. O(body).
void add_request_body(TransactionState& state);
/// The same for a part of a body, read by its processor as if it were whole.
void add_body_values(TransactionState& state);
/// ARGS_COMBINED_SIZE, where a rule reads it: of the arguments that there are. O(arguments).
void set_combined_size(TransactionState& state);
/// REQBODY_ERROR and its kin.
void set_body_error(TransactionState& state, bool error, std::string_view message);
/// The Content-Type that decides: of several the last.
std::string_view request_content_type(const TransactionState& state);
/// RESPONSE_BODY and its length.
void add_response_body(TransactionState& state);

/// Sets a scalar.
void set_scalar(TransactionState& state, VariableId variable, std::string_view text);
/// Adds a member of a collection; fails the transaction with kHttpArgs when there are too many.
void add_member(TransactionState& state, VariableId variable, std::string_view key, Bytes value);

/// Appends to a body buffer, up to `limit` bytes of it. False if some were not kept.
bool append_body(TransactionState& state, BodyBuffer& buffer, Bytes bytes, std::uint64_t limit);

/// True if some rule reads the variable.
inline bool is_used(const TransactionState& state, VariableId variable) {
  const auto bit = static_cast<unsigned>(variable);
  return (state.header().variables[bit / 64] >> (bit % 64) & 1) != 0;
}

}  // namespace sluice::rules
