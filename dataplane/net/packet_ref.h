// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

namespace sluice::net {

/// A packet that somebody keeps: opaque here, a packet buffer to io and worker. Whoever holds one
/// either hands it on or gives it back; copying the handle copies no ownership. 0 is "none".
struct PacketRef {
  std::uint64_t handle = 0;

  [[nodiscard]] bool empty() const { return handle == 0; }
  explicit operator bool() const { return handle != 0; }
  friend bool operator==(const PacketRef&, const PacketRef&) = default;
};

}  // namespace sluice::net
