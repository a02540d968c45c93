// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/config/settings.h"

namespace sluice::publish {

using config::default_paths;
using config::Paths;

}  // namespace sluice::publish
