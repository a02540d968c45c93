// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/injection.h"

#include <cstring>
#include <new>

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

namespace {

constexpr std::uint64_t kSqliStepsPerToken = 4;

/// Which value of which operator, and of which transaction where nothing is to be remembered.
base::Hash128 name_of(const WorkerScratch& worker, abi::OperatorId id, Bytes value) {
  base::Hash128 hash = base::keyed_hash128(worker.key, value.data(), value.size());
  // The low half says the place: both operators are asked of one value, in turn.
  hash.low ^= static_cast<std::uint64_t>(id);
  hash.high ^= static_cast<std::uint64_t>(id) + 1;
  if (!worker.use_memo) hash.high ^= worker.transactions << 16;
  return hash;
}

MatchOutcome ask(TransactionState& state, abi::OperatorId id, Bytes value,
                 char (&fingerprint)[kSqliFingerprintBytes]) {
  if (id == abi::OperatorId::kDetectXss) {
    state.spend(4 + value.size());  // at most 25 ns a byte
    return detect_xss(value, state.worker->arena);
  }
  const std::size_t before = state.sqli.tokens_read;
  const MatchOutcome outcome = detect_sqli(value, state.sqli, fingerprint);
  state.spend(kSqliStepsPerToken * (state.sqli.tokens_read - before));
  return outcome;
}

MatchOutcome ask_and_remember(TransactionState& state, abi::OperatorId id, Bytes value,
                              const base::Hash128& hash,
                              char (&fingerprint)[kSqliFingerprintBytes]) {
  std::memset(fingerprint, 0, sizeof fingerprint);
  ++state.worker->counts.injection_looks;
  const MatchOutcome outcome = ask(state, id, value, fingerprint);
  if (outcome == MatchOutcome::kLimit) {  // it depends on what other values have taken
    state.sqli_beyond = hash;
    return outcome;
  }
  InjectionMemo::Entry& entry = state.worker->injections.place_of(hash);
  entry.hash = hash;
  entry.outcome = outcome;
  std::memcpy(entry.fingerprint, fingerprint, sizeof fingerprint);
  return outcome;
}

}  // namespace

base::Result<InjectionMemo> InjectionMemo::create() {
  InjectionMemo memo;
  memo.entries_.reset(new (std::nothrow) Entry[abi::kInjectionMemoEntries]());
  if (memo.entries_ == nullptr) return base::Error{"no memory for the memo of a worker"};
  return memo;
}

MatchOutcome detect_injection(TransactionState& state, abi::OperatorId id, Bytes value,
                              char (&fingerprint)[kSqliFingerprintBytes]) {
  WorkerScratch& worker = *state.worker;
  state.spend(4 + value.size() / 64);
  const base::Hash128 hash = name_of(worker, id, value);
  const InjectionMemo::Entry& entry = worker.injections.place_of(hash);
  if (entry.hash == hash) {
    std::memcpy(fingerprint, entry.fingerprint, sizeof fingerprint);
    return entry.outcome;
  }
  if (state.sqli_beyond == hash) {
    std::memset(fingerprint, 0, sizeof fingerprint);
    return MatchOutcome::kLimit;
  }
  return ask_and_remember(state, id, value, hash, fingerprint);
}

MatchOutcome detect_new_injection(TransactionState& state, abi::OperatorId id, Bytes value) {
  state.spend(4 + value.size() / 64);
  const base::Hash128 hash = name_of(*state.worker, id, value);
  if (state.sqli_beyond == hash) return MatchOutcome::kLimit;
  char fingerprint[kSqliFingerprintBytes];
  return ask_and_remember(state, id, value, hash, fingerprint);
}

}  // namespace sluice::rules
