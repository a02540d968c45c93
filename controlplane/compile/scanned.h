// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <vector>

#include "controlplane/compile/program.h"
#include "dataplane/abi/variables.h"

/// What scans can look at: which values, and in which form.
namespace sluice::compile {

/// Lists of values as ValueTable has them, by what a variable means; and whether names are meant.
struct Lists {
  std::vector<abi::VariableId> of;
  bool names = false;
};
Lists lists_of(abi::VariableId variable);

/// Variables whose values are all in the table, and so scanned.
bool is_scanned(abi::VariableId variable);

/// A node that makes letters lower case need not do so for scans if all that ever comes behind it
/// commutes with that.
void mark_case_ignored(Program& program);

/// True if the node, or one on the way to it, changes every value, whatever bytes it has.
bool always_changes(const Program& program, std::uint16_t node);

/// True if such a node lies on the way to `node`: scans must ignore case.
bool ignores_case(const Program& program, std::uint16_t node);

}  // namespace sluice::compile
