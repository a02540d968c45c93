// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <hs/hs.h>

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// One scan of `bytes` for what Hyperscan database `database` looks for, counted and taken from the
/// budget. O(bytes), unless `on_match` ends it. An error of Hyperscan's fails the transaction.
void run_database(TransactionState& state, std::uint32_t database, Bytes bytes,
                  match_event_handler on_match, void* context);

/// Scans every value, and its name, from number `next_scan` of the state on, for all patterns that
/// any rule of any phase looks for in it, and notes the candidates. O(bytes of the values) with a
/// factor for the forms that transformations give them. False: the slice is over, call it again: it
/// stops between values, and between two scans of a long one. REQUEST_BODY is put off: scan_body().
[[nodiscard]] bool scan_values(TransactionState& state);

/// Scans REQUEST_BODY, which was put off (`unscanned_body`). only_asked: for the checks that have a
/// bit in the worker's scan.asked_checks, and nothing else. False: the slice is over, call it again
/// with the same.
[[nodiscard]] bool scan_body(TransactionState& state, bool only_asked);

}  // namespace sluice::rules
