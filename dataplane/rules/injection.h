// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/operators.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/result.h"
#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

struct TransactionState;

/// What libinjection said of values: the scan asks it first, then each rule that looks at the value
/// behind the same transformations. By a keyed hash, as Memo; one worker's; a newer value takes the
/// place of an older one.
class InjectionMemo {
 public:
  struct Entry {
    base::Hash128 hash;
    MatchOutcome outcome;
    char fingerprint[kSqliFingerprintBytes];
  };

  static base::Result<InjectionMemo> create();
  [[nodiscard]] Entry& place_of(const base::Hash128& hash) {
    return entries_[hash.low % abi::kInjectionMemoEntries];
  }

 private:
  std::unique_ptr<Entry[]> entries_;
};

/// @detectSQLi (`fingerprint`: what it found) or @detectXSS on a transformed value, once for each
/// value, its work taken from the budget. kLimit: beyond libinjection's limits or the scratch.
MatchOutcome detect_injection(TransactionState& state, abi::OperatorId id, Bytes value,
                              char (&fingerprint)[kSqliFingerprintBytes]);

/// The same of a value that a scan comes to: most were never asked of, and an entry of the memo
/// that is looked at for nothing comes from memory. What libinjection says is remembered all the
/// same.
MatchOutcome detect_new_injection(TransactionState& state, abi::OperatorId id, Bytes value);

}  // namespace sluice::rules
