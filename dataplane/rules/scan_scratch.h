// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/names.h"
#include "dataplane/abi/ruleset.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/rules/candidates.h"
#include "dataplane/rules/grams.h"
#include "dataplane/rules/memo.h"

namespace sluice::rules {

/// One form of a value: what some of the transformation chains make of it.
struct ValueForm {
  Bytes bytes;
  std::uint64_t classes;
  std::uint64_t nodes;  ///< abi::node_bit() of each chain that gives it
};

/// A transformation of a form that is known already.
struct KnownStep {
  std::uint8_t from, to, transform, ignores_case;
};

/// A value whose place in the memo is being fetched.
struct WaitingValue {
  Item item;
  std::uint32_t set;
  Bytes value;
  Memo::Place place;
};

constexpr std::size_t kFormsMax = 48;  // a chain has at most 32 steps; beyond: rule_budget
constexpr std::size_t kStepsMax = 96;
constexpr std::size_t kWaitingMax = 16;

/// Where the scans of a value are. What is not in use means nothing between values: clearing it
/// would be work for each.
struct ScanProgress {
  Item item;
  bool one_form;             ///< every node gives the value itself
  std::uint8_t current;      ///< the form under way
  std::size_t wanted_count;  ///< patterns that the sieves have left of it
  std::size_t form_count, step_count;
  std::size_t found_count;  ///< beyond kChecksMax: more than the memo takes
  std::uint16_t found[Memo::kChecksMax];

  // Of a value whose scans may stop.
  bool stops = false;
  bool is_full;  ///< the arena of its forms is: to be scanned at a stretch instead
  bool has_forms, is_sieved;
  std::uint16_t next_node;  ///< of the forms: those before it are made
  std::size_t wanted_done;
};

/// What the scans of a value fill.
struct ScanMemory {
  ValueForm forms[kFormsMax];
  KnownStep steps[kStepsMax];
  std::uint8_t form_of_node[abi::kTransformNodesMax];
  std::uint16_t wanted[abi::kScanPatternsMax];
};

class BodyReader;

/// A body or a value with which the rules stop between two pieces or scans, with memory for its
/// decoder or its forms that outlives the call. A worker has few; a transaction holds one at most,
/// and one that needs one waits.
struct LongWork {
  base::Arena arena;
  BodyReader* body;  ///< in the arena; where the value is scanned, nothing

  WaitingValue of;
  ScanProgress progress;
  ScanMemory memory;
  std::uint64_t steps_left, steps_spent;  ///< of the transaction, before the value
  bool is_taken = false;
};

/// Memory of the scanner, of one worker. `is_wanted` is zero between forms.
struct ScanScratch {
  std::uint64_t asked_checks[std::size_t{abi::kNone16} / 64 + 1] = {};  ///< of scan_body()
  std::uint64_t asked_patterns[abi::kScanPatternsMax / 64] = {};
  std::uint64_t is_wanted[abi::kScanPatternsMax / 64] = {};  ///< a bit per pattern
  GramSet grams;
  Gram hits[abi::kGramCount];
  WaitingValue waiting[kWaitingMax];
  ScanMemory memory;  ///< of the values that are scanned at a stretch
  LongWork long_works[abi::kLongWorks];

  /// nullptr: all are taken.
  LongWork* take_long_work() {
    for (LongWork& work : long_works) {
      if (!std::exchange(work.is_taken, true)) return &work;
    }
    return nullptr;
  }
};

}  // namespace sluice::rules
