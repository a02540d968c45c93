// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "controlplane/compile/fold.h"

/// What folding leaves but nobody would miss, or not yet.
namespace sluice::compile {

/// Whether a rule does nothing when it matches but skip others.
bool only_skips(const seclang::Rule& rule);

/// Drops rules that skip none that is left and do nothing else.
void drop_idle(Folded& folded);

/// Marks the initcols that may make their keys when a collection is first used (`late`), since
/// nothing in the keys changes after them, and the rules that set nothing but what such keys read
/// (`deferred`): the hash of the User-Agent that the CRS puts into the key of IP is not made for a
/// request that uses no collection.
void defer(Folded& folded);

}  // namespace sluice::compile
