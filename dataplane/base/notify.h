// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::base {

/// Tells systemd (sd_notify(3)): "READY=1", "WATCHDOG=1", "STOPPING=1". Does nothing without
/// NOTIFY_SOCKET.
void notify_systemd(std::string_view state);
/// Half of WATCHDOG_USEC in ns; 0: no watchdog.
std::uint64_t watchdog_interval_ns();

}  // namespace sluice::base
