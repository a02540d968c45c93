// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <bit>
#include <cstdint>

#include "dataplane/base/clock.h"

namespace sluice::gen {

/// Which addresses and ports the connections have. A connection number (slot) stands for one client
/// address and every n-th port of it, so both sides find a segment's slot by arithmetic, and a slot
/// takes another port each time it is opened again.
struct AddressPlan {
  static constexpr std::uint32_t kNone = 0xffffffffU;
  static constexpr std::uint32_t kFirstPort = 1024, kPorts = 65536 - kFirstPort;

  std::uint32_t network = 0x0a640000;  ///< first client address: 10.100.0.0
  std::uint32_t clients = 4096;        ///< addresses from there on
  std::uint32_t connections = 1024;    ///< slots
  std::uint32_t server = 0x0a0a0002;   ///< 10.10.0.2
  std::uint16_t server_port = 80;
  std::uint32_t first_opening = 0;  ///< so that the runs of one process use other ports
  std::uint32_t stride = 1;         ///< slots of one address, a power of two; see settle()

  /// Works out `stride`. False if the addresses do not have ports enough.
  [[nodiscard]] bool settle() {
    if (clients == 0 || connections == 0) return false;
    stride = std::bit_ceil((connections + clients - 1) / clients);
    return stride <= kPorts / 4;
  }
  [[nodiscard]] std::uint32_t address(std::uint32_t slot) const { return network + slot % clients; }
  /// The port of the slot's `opening`-th connection.
  [[nodiscard]] std::uint16_t port(std::uint32_t slot, std::uint32_t opening) const {
    const std::uint32_t turn = (first_opening + opening) % (kPorts / stride);
    return static_cast<std::uint16_t>(kFirstPort + turn * stride + slot / clients);
  }
  /// kNone if the address or port belongs to none.
  [[nodiscard]] std::uint32_t slot(std::uint32_t address, std::uint16_t port) const {
    const std::uint32_t client = address - network;
    if (client >= clients || port < kFirstPort) return kNone;
    const std::uint32_t slot = ((port - kFirstPort) & (stride - 1)) * clients + client;
    return slot < connections ? slot : kNone;
  }
};

// Settings of both sides' TCP.
inline constexpr base::Nanos kRetransmitNanos = 200 * base::kNanosPerMilli;  ///< then doubled
inline constexpr std::uint8_t kRetriesMax = 5;             ///< 6.2 seconds until giving up
inline constexpr std::uint32_t kReceiveWindow = 1U << 20;  ///< bytes

/// Of sequence numbers: whether a lies before b (RFC 9293 section 3.4).
constexpr bool before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

/// The clock of timestamps: milliseconds (RFC 7323 section 5.4).
constexpr std::uint32_t timestamp_of(base::Nanos now) {
  return static_cast<std::uint32_t>(now / base::kNanosPerMilli) + 1;
}

}  // namespace sluice::gen
