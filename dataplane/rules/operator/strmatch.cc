// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

bool strmatch(Bytes argument, Bytes value) { return contains(argument, value); }

}  // namespace sluice::rules
