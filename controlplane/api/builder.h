// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "controlplane/publish/publisher.h"

namespace sluice::api {

/// Loads a policy with its rules (controlplane/policy, seclang) and compiles them into an image
/// (controlplane/compile). Used by sluiced and by the offline commands of sluicectl. Without a
/// policy every address and port is one service without strict switches or limits, and
/// `request.rules` are the rules. All errors at once; seconds for a large rule set that is not in
/// the cache.
publish::BuildResult build_generation(const publish::BuildRequest& request);

}  // namespace sluice::api
