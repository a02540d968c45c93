// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/pattern_databases.h"

#include <hs/hs.h>

#include <algorithm>
#include <utility>

#include "controlplane/compile/split.h"

namespace sluice::compile {

namespace {

/// Of patterns that are split because they are too large, in all: each byte costs a millisecond or
/// less of compiling, and those beyond are prefiltered.
constexpr std::size_t kSplitBytesMax = 24 * 1024;
/// Pieces of one pattern.
constexpr std::size_t kPiecesMax = 8;

}  // namespace

PatternDatabase PatternDatabases::make(std::vector<Expression> expressions) {
  for (Expression& each : expressions) each.flags |= HS_FLAG_SINGLEMATCH;
  PatternDatabase result;
  for (;;) {
    int bad = -1;
    auto made = maker_.make(expressions, bad);
    if (made.ok()) {
      result.bytes = std::move(made).value();
      return result;
    }
    const auto index = static_cast<std::size_t>(bad);
    const bool too_large =
        bad >= 0 && index < expressions.size() &&
        DatabaseMaker::reads(expressions[index].pattern, expressions[index].flags);
    if (too_large && !result.prefiltered && split(expressions, index)) continue;
    if (result.prefiltered) return {{}, true};
    result.prefiltered = true;
    for (Expression& each : expressions) each.flags |= HS_FLAG_PREFILTER;
  }
}

/// Two expressions for one that is too large, which find exactly what it finds.
bool PatternDatabases::split(std::vector<Expression>& expressions, std::size_t index) {
  Expression& large = expressions[index];
  if (large.literal || expressions.size() == kPiecesMax ||
      large.pattern.size() > kSplitBytesMax - split_bytes_) {
    return false;
  }
  const auto parts = split_pattern(large.pattern);
  if (!parts.has_value()) return false;
  split_bytes_ += large.pattern.size();
  Expression second = large;
  large.pattern = parts->first;
  second.pattern = parts->second;
  expressions.push_back(std::move(second));
  return true;
}

}  // namespace sluice::compile
