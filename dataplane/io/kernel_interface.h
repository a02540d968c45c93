// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

namespace sluice::io {

/// The value of `name=` in a device string "driver,name=value,..."; empty when there is none.
std::string devarg(const std::string& device, const std::string& name);

/// The kernel's interface behind a device whose driver (af_packet, af_xdp, pcap) knows nothing of
/// its link: it says "up" whatever happens, and cannot be told to take it down. Empty for others.
std::string kernel_interface(const std::string& device);

/// True while the interface is administratively up and has a carrier. False for a name that is not
/// there. Two system calls; main thread only. netdevice(7)
bool interface_runs(const std::string& interface);
/// Sets it administratively up or down; down, its peer loses the carrier. False: not allowed, or no
/// such interface.
bool set_interface_up(const std::string& interface, bool up);

}  // namespace sluice::io
