// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "controlplane/compile/needs.h"
#include "dataplane/rules/grams.h"

/// How common byte classes and pairs are in honest API traffic, from a built-in sample of values.
/// It only chooses between needs that are all true, so a poor sample costs time, never a match.
namespace sluice::compile {

/// The share of sample values that meet a need, 0..1, with a guess for what none of them has.
double share_in_sample(const Need& need);
/// The share of those that meet at least one of them.
double share_in_sample(const Needs& needs);
/// The same for one pair.
double share_in_sample(rules::Gram pair);
/// The same for the byte class of one bit.
double share_in_sample_of_class(unsigned bit);

}  // namespace sluice::compile
