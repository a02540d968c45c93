// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <map>
#include <string>
#include <vector>

#include "controlplane/seclang/link.h"

namespace sluice::compile {

/// TX as it is before the first rule that is left runs: keys in lower case.
using InitialTx = std::map<std::string, std::string>;

struct Folded {
  seclang::LinkedRules rules;  ///< the same rules at the same indices, macros filled in
  std::vector<bool> dropped;   ///< rules that need not run: decided, or passed over for certain
  std::vector<bool> certain;   ///< no jump or ctl passes over them
  std::vector<bool> deferred;  ///< rules that run when a key of a collection asks (liveness.h)
  std::vector<bool> late;      ///< rules whose initcol makes its keys when they are asked for
  InitialTx initial;           ///< what the dropped ones leave in TX
  std::size_t count = 0;       ///< of dropped rules
};

/// Runs what depends on constants alone: the set-up of TX, paranoia levels, switches. One pass in
/// order of execution keeps what is certainly known of TX; whatever a rule that stays may write is
/// unknown from there on. An assignment moves into the initial state only if no rule that stays has
/// read or written its key before it.
Folded fold(const seclang::LinkedRules& rules);

/// The same without any change.
Folded fold_nothing(const seclang::LinkedRules& rules);

}  // namespace sluice::compile
