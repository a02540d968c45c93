// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/settings.h"

#include <unistd.h>

#include "dataplane/base/clock.h"
#include "dataplane/config/settings.h"

namespace sluice::api {

base::Result<Settings> load_settings(const std::string& file, const std::string& instance) {
  config::Settings all;
  all.paths = config::default_paths(instance);
  if (::access(file.c_str(), F_OK) == 0) {
    auto read = config::load_settings(file, instance, config::Reader::kControlPlane);
    if (!read.ok()) return read.error();
    all = std::move(read).value();
  }
  Settings settings;
  settings.paths = all.paths;
  settings.metrics_listen = all.metrics_listen;
  settings.eve.path = all.paths.eve();
  settings.eve.rotate_bytes = all.events.rotate_bytes;
  settings.eve.rotate_age_s = all.events.rotate_age_ns / base::kNanosPerSecond;
  settings.eve.keep_bytes = all.events.keep_bytes;
  settings.eve.keep_age_s = all.events.keep_age_ns / base::kNanosPerSecond;
  return settings;
}

}  // namespace sluice::api
