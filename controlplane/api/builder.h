// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "controlplane/publish/publisher.h"

namespace sluice::api {

/// Loads a policy with its rules (controlplane/policy, seclang) and compiles them into an image
/// (controlplane/compile). Used by sluiced and by the offline commands of sluicectl.
publish::BuildResult build_generation(const publish::BuildRequest& request);

}  // namespace sluice::api
