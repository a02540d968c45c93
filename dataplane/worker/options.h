// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

namespace sluice::worker {

/// Exit statuses, as interface.md has them for sluicectl.
inline constexpr int kExitDone = 0, kExitFailed = 1, kExitUsage = 2, kExitConfiguration = 3;

struct Options {
  std::string config = "/etc/sluice/sluice.yaml";
  std::string instance = "main";
  bool supervise = false;
};

/// The exit status, or -1 to go on with `options`.
int parse_options(int argc, char** argv, Options& options);

/// Prints "sluice-dataplane: message", a line each, and returns `status`.
int fail(const std::string& message, int status);

}  // namespace sluice::worker
