// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

namespace sluice::publish {

/// Where an instance keeps its things; `paths:` of sluice.yaml overrides each.
struct Paths {
  std::string shm = "/dev/shm/sluice";
  std::string state = "/var/lib/sluice";
  std::string run = "/run/sluice";
  std::string log = "/var/log/sluice";
  std::string policy = "/etc/sluice/policy.yaml";

  [[nodiscard]] std::string socket() const { return run + "/control.sock"; }
  [[nodiscard]] std::string eve() const { return log + "/eve.json"; }
};

/// The folders of `instance`: the default instance is `main`, others add `/<instance>`.
inline Paths default_paths(const std::string& instance) {
  Paths paths;
  if (instance.empty() || instance == "main") return paths;
  for (std::string* folder : {&paths.shm, &paths.state, &paths.run, &paths.log}) {
    *folder += "/" + instance;
  }
  return paths;
}

}  // namespace sluice::publish
