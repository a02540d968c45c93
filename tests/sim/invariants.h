// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <vector>

#include "tests/sim/appliance.h"

namespace sluice::sim {

/// What holds of every run in block mode, whatever the receiver: all that the server's application
/// got was inspected, byte by byte, and none of it is a complete bad request. "" or what is broken.
std::string check_server(const std::vector<Delivered>& delivered, const Appliance& appliance);

}  // namespace sluice::sim
