// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/http/json.h"
#include "dataplane/http/multipart.h"
#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// The variables of a request's head: line, target, query arguments, headers, cookies. O(head).
void add_request_head(TransactionState& state, const http::RequestHead& head);
/// The variables of a response's head. O(head).
void add_response_head(TransactionState& state, const http::ResponseHead& head);

/// The variables of the whole request body: decodes it with the processor that is set. O(body).
/// False: the slice is over, call it again.
[[nodiscard]] bool add_request_body(TransactionState& state);
/// The same for a part of a body, read by its processor as if it were whole.
void add_body_values(TransactionState& state);
/// ARGS_COMBINED_SIZE, where a rule reads it: of the arguments that there are and of `more` bytes
/// of a long body, which are not kept. O(arguments).
void set_combined_size(TransactionState& state, std::uint64_t more = 0);
/// How deep JSON may be, and what follows where a decoder gave up: a depth that the rules chose is
/// for the rules to judge; our own bounds fail closed.
http::JsonLimits json_limits(const TransactionState& state);
void fail_json(TransactionState& state, abi::Reason reason);
/// MULTIPART_STRICT_ERROR and its kin.
void set_multipart_flags(TransactionState& state, const http::MultipartFlags& flags);
/// INBOUND_DATA_ERROR and REQBODY_ERROR where a body has more bytes that are no files than
/// SecRequestBodyNoFilesLimit allows. False if it has not.
bool set_no_files_error(TransactionState& state, std::uint64_t bytes);
/// REQBODY_ERROR and its kin.
void set_body_error(TransactionState& state, bool error, std::string_view message);
/// The Content-Type that decides: of several the last.
std::string_view request_content_type(const TransactionState& state);
/// RESPONSE_BODY and its length.
void add_response_body(TransactionState& state);

/// Sets a scalar; does nothing where no rule reads it.
void set_scalar(TransactionState& state, VariableId variable, std::string_view text);
void set_number(TransactionState& state, VariableId variable, std::uint64_t number);
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
