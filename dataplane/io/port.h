// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"

namespace sluice::io {

/// Bytes of a frame's link layer beyond the MTU: Ethernet, two tags (no FCS).
inline constexpr std::uint32_t kLinkOverheadBytes = 14 + 2 * 4;

struct PortSettings {
  std::string label;   ///< "lan0 outside", for messages
  std::string device;  ///< PCI address or vdev, with its devargs
  std::uint32_t mtu = 1500;
  std::uint16_t queues = 1;  ///< workers
  bool huge_pages = true;
};

/// One port, started. Closed by close_port().
struct Port {
  std::uint16_t id = RTE_MAX_ETHPORTS;
  std::string label, device;
  std::uint16_t rx_queues = 0;   ///< worker i polls queue i where i < rx_queues
  std::uint16_t reta_size = 0;   ///< 0: no symmetric RSS on this device
  std::string kernel_interface;  ///< which carries it, where the driver knows no link; else empty
};

/// True for "0000:3b:00.0" with or without devargs.
bool is_pci_address(const std::string& device);

/// Buffers for the frames of all ports. mtu: the largest of all links. count: buffers. socket:
/// NUMA. Error: not enough memory, with the setting to change.
base::Result<rte_mempool*> make_pool(const char* name, std::uint32_t count, std::uint32_t mtu,
                                     int socket);
/// Bytes that one buffer of make_pool() takes.
std::uint32_t buffer_bytes(std::uint32_t mtu);

/// Finds or creates the device, gives it one transmit queue a worker and as many receive queues as
/// it has, sets promiscuous mode and the MTU, and symmetric RSS where the card has it. Not started.
/// Errors name the link and say what to do.
base::Result<Port> open_port(const PortSettings& settings, rte_mempool* pool);
/// Begins to receive. rss: keep the card's symmetric RSS (both ports of the link have it).
base::Status start_port(const Port& port);
void close_port(const Port& port);

struct LinkState {
  bool up = false;
  std::uint32_t speed_mbps = 0;
};
LinkState link_state(const Port& port);
/// Sets the port's link up or down. False: the device cannot.
bool set_link(const Port& port, bool up);
/// Frames that the device lost before we saw them, or could not send.
struct DeviceDrops {
  std::uint64_t rx_missed = 0, rx_no_buffer = 0, tx_errors = 0;
};
DeviceDrops device_drops(const Port& port);

/// The RSS hash that equals for both directions of a flow: Toeplitz under a key of one repeated
/// 16-bit word depends only on the XOR of all 16-bit words of the input (Woo and Park 2012), so
/// `folded`, the XOR of both addresses and both ports, gives it without the card.
std::uint32_t symmetric_hash(std::uint16_t folded);

}  // namespace sluice::io
