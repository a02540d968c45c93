// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <ctime>

namespace sluice::hostile {

/// Processor time of this thread in microseconds: what else runs on the machine does not count.
inline double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

}  // namespace sluice::hostile
