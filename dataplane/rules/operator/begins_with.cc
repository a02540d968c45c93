// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

namespace sluice::rules {

bool begins_with(Bytes argument, Bytes value) {
  return base::as_text(value).starts_with(base::as_text(argument));
}

}  // namespace sluice::rules
