// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

bool within(Bytes argument, Bytes value) { return contains(value, argument); }

}  // namespace sluice::rules
