// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

bool lt(Bytes argument, Bytes value) { return order_number(value) < order_number(argument); }

}  // namespace sluice::rules
