// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

bool streq(Bytes argument, Bytes value) { return base::as_text(value) == base::as_text(argument); }

}  // namespace sluice::rules
