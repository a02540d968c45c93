// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstdint>
#include <new>

#include "dataplane/rules/transaction_state.h"

/// What is known of a chain while it is evaluated, and how it is kept from one slice to the next.
namespace sluice::rules {

inline constexpr std::size_t kChainLinksMax = 64;  // the compiler refuses longer chains
/// What the values of a stopped rule that matched may take in memory of their own.
inline constexpr std::size_t kStoppedBytes = 16 * 1024;

/// One chain while it is evaluated.
struct ChainRun {
  const abi::Rule* links[kChainLinksMax];
  std::size_t count = 0;
  std::int32_t score = 0;
  Bytes found;                 ///< what the operator of the last match found
  Bytes source;                ///< the value of the last match before its transformations
  Item origin;                 ///< the last value of the request that matched in this chain
  std::size_t place = 0;       ///< of the value under test among those of its target
  bool is_first_match = true;  ///< of this chain: MATCHED_* of the rule before it go
  bool of_batch = false;       ///< matched a value that only this batch has
};

/// A target between two of its values.
struct StoppedTarget {
  std::uint16_t first = kNoValue;  ///< of the members that are collected together, by number
  std::size_t before = 0;          ///< members before those
  std::size_t value = 0;           ///< of those
};

/// A chain between two values of one of its rules. Made when one stops first, then used again.
struct StoppedChain {
  ChainRun run;
  bool is_stopped = false;
  bool has_matched = false;  ///< the rule did, on a value before
  std::uint32_t link = 0;    ///< the rule, by index
  std::uint32_t target = 0;  ///< of its targets
  StoppedTarget at;
  std::uint32_t matched_count = 0;
  /// Values that matched and lay in the worker's arena.
  std::uint8_t* memory = nullptr;
  std::size_t used = 0;
};

[[nodiscard]] inline bool is_stopped(const TransactionState& state) {
  return state.stopped != nullptr && state.stopped->is_stopped;
}

/// Moves what lies in the worker's arena to memory of the transaction. False: there is no room.
inline bool keep_stopped(TransactionState& state, Bytes& bytes) {
  StoppedChain& stopped = *state.stopped;
  if (bytes.empty() || !state.worker->arena.contains(bytes.data())) return true;
  if (kStoppedBytes - stopped.used < bytes.size()) return false;
  std::uint8_t* to = stopped.memory + stopped.used;
  std::copy(bytes.begin(), bytes.end(), to);
  stopped.used += bytes.size();
  bytes = {to, bytes.size()};
  return true;
}

/// Makes the chain ready to go on behind the slice. False: it cannot stop here. O(matches).
inline bool stop_chain(TransactionState& state, ChainRun& run) {
  if (state.stopped == nullptr) {
    auto* stopped = state.region.allocate_array<StoppedChain>(1);
    auto* memory = state.region.allocate_array<std::uint8_t>(kStoppedBytes);
    if (stopped == nullptr || memory == nullptr) return false;
    state.stopped = new (stopped) StoppedChain;
    stopped->memory = memory;
  }
  for (std::uint32_t i = 0; i < state.matched_count; ++i) {
    MatchedVariable& matched = state.matched[i];
    Bytes key = base::as_bytes(matched.key);
    if (!keep_stopped(state, matched.value) || !keep_stopped(state, key)) return false;
    matched.key = base::as_text(key);
  }
  if (!keep_stopped(state, run.found) || !keep_stopped(state, run.source)) return false;
  state.stopped->run = run;
  state.stopped->matched_count = state.matched_count;
  state.stopped->is_stopped = true;
  return true;
}

}  // namespace sluice::rules
