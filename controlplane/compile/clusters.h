// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/compile/databases.h"
#include "dataplane/config/diagnostics.h"

namespace sluice::compile {

/// A pattern that wants to be found by Hyperscan.
struct Wanted {
  std::uint32_t pattern = 0;            ///< its number, which matches report
  std::vector<Expression> expressions;  ///< any of them is a match
  std::string company;                  ///< patterns with the same text are often wanted together
  double share = 0;                     ///< of honest values that are scanned for it
  // Answers of make_clusters().
  std::uint32_t database = 0;  ///< index into Clusters::databases
  bool prefiltered = false;    ///< matches are a superset
  bool refused = false;        ///< Hyperscan has no database for it
};

/// Joins patterns into databases, each pattern into one of them; patterns of one company into the
/// same one, but for the few that honest values are scanned for most: those stand alone, so that
/// nothing else is looked for in passing. Patterns that are too large for Hyperscan are split,
/// those that it cannot take exactly are prefiltered, and those that it cannot take at all are
/// refused.
std::vector<std::string> make_clusters(std::vector<Wanted>& wanted, DatabaseMaker& maker);

}  // namespace sluice::compile
