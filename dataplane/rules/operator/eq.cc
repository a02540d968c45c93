// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

bool eq(Bytes argument, Bytes value) { return eq_number(value) == eq_number(argument); }

}  // namespace sluice::rules
