// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

#include "controlplane/api/http_server.h"
#include "controlplane/publish/bundle.h"
#include "controlplane/publish/publisher.h"
#include "controlplane/telemetry/collector.h"

namespace sluice::api {

struct Services {
  publish::Publisher& publisher;
  telemetry::Collector& collector;
  std::string version = "dev", commit, instance = "main";
  std::string eve_path;
  publish::BundleStore* bundles = nullptr;  ///< null in tests that install none
};

/// Answers one request of the control API. Thread-safe. docs/operations.md lists the paths.
Response handle(Services& services, const Request& request);
Response handle_metrics(Services& services, const Request& request);

std::string push_json(const publish::PublishReport& report);

}  // namespace sluice::api
