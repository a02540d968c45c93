// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

#include "dataplane/base/result.h"

namespace sluice::worker {

/// An exclusive lock on `path` that goes with the process, however it ends; the file holds its pid.
/// Error: another process holds it.
base::Result<int> lock_pid_file(const std::string& path);

/// Runs `child` in a process of its own and starts it again when it dies, at once the first time
/// and then with growing pauses up to 5 s; a configuration that is refused is not tried again.
/// TERM and INT stop both. Returns the exit status of the whole. This process never starts the EAL.
int supervise(int (*child)(const void*), const void* argument);

}  // namespace sluice::worker
