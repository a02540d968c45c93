// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/rules/transaction_state.h"

/// Request bodies beyond what is kept whole (abi::kBodyBytesKept): read to their end in memory that
/// does not depend on their length, and judged batch by batch. Each batch is phase 2 over a copy of
/// the transaction as phase 1 left it, with the batch's values as the body's; what it finds counts
/// only if it changes the verdict, so scores of one batch do not add to those of the next. A value
/// longer than a batch is judged in pieces that overlap by abi::kLongOverlapBytes.
namespace sluice::rules {

/// Starts with the bytes kept so far and those that made it too long; go_on_long_body() reads them,
/// unless there are more of these than a large segment has. Fails the transaction where there is no
/// memory, and for a coded body (Content-Encoding), which is only judged whole.
void start_long_body(TransactionState& state, Bytes bytes);
/// Further bytes, read at once. O(bytes), but for the rules of batches that more bytes than a large
/// segment has fill.
void feed_long_body(TransactionState& state, Bytes bytes);
/// Judges the batch that is full; in stage kLongBodyEnd the last one too, and then sets what is
/// known of the whole body. False: the slice is over, call it again.
[[nodiscard]] bool go_on_long_body(TransactionState& state);
/// Gives back what a batch under way holds.
void drop_long_body(TransactionState& state);

}  // namespace sluice::rules
