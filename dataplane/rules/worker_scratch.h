// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>

#include "dataplane/abi/ruleset.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/hash.h"
#include "dataplane/rules/candidates.h"
#include "dataplane/rules/collections.h"
#include "dataplane/rules/grams.h"
#include "dataplane/rules/injection.h"
#include "dataplane/rules/memo.h"
#include "dataplane/rules/memory_pool.h"
#include "dataplane/rules/operator/regex.h"
#include "dataplane/rules/scan_scratch.h"
#include "dataplane/rules/slice.h"
#include "dataplane/rules/transaction.h"

namespace sluice::rules {

/// The inside of a WorkerState: one worker's memory for judging.
struct WorkerScratch {
  WorkerScratch(std::span<std::uint8_t> pool_memory, std::span<std::uint8_t> arena_memory,
                RegexContext context, Memo values, InjectionMemo injection_memo)
      : pool(pool_memory),
        arena(arena_memory),
        regex(std::move(context)),
        memo(std::move(values)),
        injections(std::move(injection_memo)) {}
  ~WorkerScratch();

  std::uint32_t index = 0;
  MemoryPool pool;
  base::Arena arena;  ///< reset at the end of each call of a Transaction
  RegexContext regex;
  base::HashKey key{};
  Memo memo;
  InjectionMemo injections;
  std::uint64_t transactions = 0;
  bool use_memo = true;
  Collections collections;  ///< not attached: collections stay empty
  ScanScratch scan;
  Slice slice;                          ///< of the call under way
  CandidateSet::Bits candidate_bits{};  ///< zero between rules
  WorkerState::Counts counts;
  std::span<RuleCost> costs;       ///< empty on the wire
  std::span<std::uint8_t> mapped;  ///< pool and arena, to be unmapped
};

}  // namespace sluice::rules
