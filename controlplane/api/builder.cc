// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/builder.h"

#include "controlplane/publish/file_io.h"

namespace sluice::api {

publish::BuildResult build_generation(const publish::BuildRequest& request) {
  publish::BuildResult result;
  result.errors.push_back({request.policy, 1, 1, "this build has no compiler"});
  return result;
}

}  // namespace sluice::api
