// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

#include "controlplane/publish/paths.h"
#include "controlplane/telemetry/eve_file.h"
#include "dataplane/base/result.h"

namespace sluice::api {

/// What sluiced needs of sluice.yaml.
struct Settings {
  publish::Paths paths;
  std::string metrics_listen = "127.0.0.1:9464";
  telemetry::EveOptions eve;
};

/// A missing file gives the defaults of the instance. Errors: file:line:column: message, a line
/// each.
base::Result<Settings> load_settings(const std::string& file, const std::string& instance);

}  // namespace sluice::api
