// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <vector>

#include "controlplane/compile/databases.h"

namespace sluice::compile {

/// What Hyperscan has for one pattern.
struct PatternDatabase {
  std::string bytes;         ///< serialised; empty: Hyperscan cannot take the pattern
  bool prefiltered = false;  ///< matches are a superset
};

/// Makes the databases of patterns, one for each. A pattern is several expressions, any of which is
/// a match; all of them report id 0. One that is too large for Hyperscan is split
/// (split_pattern()), one that it cannot take exactly is prefiltered.
class PatternDatabases {
 public:
  explicit PatternDatabases(DatabaseMaker& maker) : maker_(maker) {}

  /// The time is Hyperscan's: milliseconds to seconds for a pattern that is not in the cache.
  PatternDatabase make(std::vector<Expression> expressions);

 private:
  bool split(std::vector<Expression>& expressions, std::size_t index);

  DatabaseMaker& maker_;
  std::size_t split_bytes_ = 0;
};

}  // namespace sluice::compile
