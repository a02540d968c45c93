// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <span>
#include <string_view>

#include "dataplane/rules/transaction_state.h"

namespace sluice::rules {

/// One value that a target of a rule stands for.
struct TargetValue {
  Bytes value;
  std::string_view key;
  VariableId variable;
  bool keyed;  ///< a member of a collection: its name is VARIABLE:key
  Item item;   ///< what scans call it, if it is scanned
};

/// Members of a long list that are collected at once.
inline constexpr std::size_t kCollectedMax = 256;

/// The values of a target as they are now, selector and exclusions of the rule applied, in order of
/// arrival; in the worker's arena. Fails the transaction when that is full. O(members).
/// candidates: if given, only those of them. next: if given, at most kCollectedMax values of the
/// request, from value number *next on (kNoValue: the first), and it becomes the number of the one
/// that the next call is to begin with, kNoValue where there is none.
std::span<const TargetValue> collect(TransactionState& state, const abi::RuleTarget& target,
                                     const CandidateSet* candidates = nullptr,
                                     std::uint16_t* next = nullptr);

/// `&TARGET`: how many there are, exclusions not applied (as ModSecurity v3 does).
std::uint32_t count_values(TransactionState& state, const abi::RuleTarget& target);

/// The value of a scalar, or of the first member with that key (`key` of macros): empty if it has
/// none. The text may lie in the worker's arena.
std::string_view variable_text(TransactionState& state, VariableId variable, std::string_view key,
                               std::uint16_t slot);

/// True if the key of a member is what the selector says. Regexes search without case.
bool selects(TransactionState& state, abi::Selector selector, std::string_view wanted,
             std::uint32_t regex, std::string_view key);

/// "ARGS:foo" or "REQUEST_URI" in the worker's arena.
std::string_view full_name(TransactionState& state, VariableId variable, bool keyed,
                           std::string_view key);

/// A text with its macros expanded; a text without macros is a view into the image, another lies in
/// the worker's arena, cut at kExpandedBytesMax.
std::string_view expand(TransactionState& state, abi::RuleText text);
/// The same for the rest of the transaction: in its region. Fails and gives an empty text when
/// full.
std::string_view expand_kept(TransactionState& state, abi::RuleText text);

}  // namespace sluice::rules
