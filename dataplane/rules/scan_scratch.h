// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/names.h"
#include "dataplane/abi/ruleset.h"
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

/// Memory of the scanner, of one worker. `wanted` is zero between scans; forms, steps and waiting
/// values mean nothing between calls, and are here because a call would have to clear them.
struct ScanScratch {
  std::uint64_t asked_checks[std::size_t{abi::kNone16} / 64 + 1] = {};  ///< of scan_body()
  std::uint64_t asked_patterns[abi::kScanPatternsMax / 64] = {};
  std::uint64_t wanted[abi::kScanPatternsMax / 64] = {};  ///< a bit per pattern
  std::uint16_t wanted_list[abi::kScanPatternsMax] = {};  ///< the same as numbers
  GramSet grams;
  Gram hits[abi::kGramCount];
  ValueForm forms[kFormsMax];
  KnownStep steps[kStepsMax];
  WaitingValue waiting[kWaitingMax];
};

}  // namespace sluice::rules
