// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/port.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

namespace sluice::gen {
namespace {

bool is_pci_address(const std::string& device) {
  return device.size() >= 7 && std::isxdigit(static_cast<unsigned char>(device[0])) != 0 &&
         device.find(':') != std::string::npos && device.find('.') != std::string::npos &&
         !device.starts_with("net_");
}

std::string port_name(const std::string& device) { return device.substr(0, device.find(',')); }

std::string full_pci_address(const std::string& device) {
  const std::string name = port_name(device);
  return std::count(name.begin(), name.end(), ':') == 1 ? "0000:" + name : name;
}

std::vector<std::string> eal_arguments(const std::string& program, const PortOptions& options) {
  const int core = options.core >= 0 ? options.core : std::max(0, sched_getcpu());
  // --lcores maps lcore 0 to the processor, whatever its number is.
  std::vector<std::string> arguments{program,
                                     "--no-telemetry",
                                     "--log-level=lib.eal:4",
                                     "--lcores",
                                     "0@" + std::to_string(core),
                                     "-m",
                                     std::to_string(options.memory_mb)};
  // Neither leaves files behind, so several processes run side by side.
  if (options.huge_pages) {
    arguments.emplace_back("--in-memory");
  } else {
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
  }
  bool pci = false;
  for (const std::string& device : {options.client_device, options.server_device}) {
    if (device.empty()) continue;
    if (is_pci_address(device)) {
      pci = true;
      arguments.insert(arguments.end(), {"-a", device});
    } else {
      arguments.insert(arguments.end(), {"--vdev", device});
    }
  }
  if (!pci) arguments.emplace_back("--no-pci");
  arguments.insert(arguments.end(), options.eal.begin(), options.eal.end());
  return arguments;
}

base::Status start_eal(const std::string& program, const PortOptions& options) {
  std::vector<std::string> arguments = eal_arguments(program, options);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    return base::Error{std::string("DPDK does not start: ") + rte_strerror(rte_errno) +
                       "; see the lines above, and try --memory with less"};
  }
  return base::ok_status();
}

base::Result<std::uint16_t> start_port(const std::string& device, const PortOptions& options,
                                       rte_mempool* pool) {
  const std::string name = is_pci_address(device) ? full_pci_address(device) : port_name(device);
  std::uint16_t port = kNoPort;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &port) != 0) {
    return base::Error{"no device " + name +
                       "; check its name and, for PCI, its driver (vfio-pci)"};
  }
  rte_eth_conf conf{};
  std::uint16_t rx = static_cast<std::uint16_t>(options.descriptors), tx = rx;
  int status = rte_eth_dev_configure(port, 1, 1, &conf);
  if (status == 0) status = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
  const int socket = std::max(0, rte_eth_dev_socket_id(port));
  const auto node = static_cast<unsigned>(socket);
  if (status == 0) status = rte_eth_rx_queue_setup(port, 0, rx, node, nullptr, pool);
  if (status == 0) status = rte_eth_tx_queue_setup(port, 0, tx, node, nullptr);
  if (status == 0 && options.mtu != RTE_ETHER_MTU) {
    status = rte_eth_dev_set_mtu(port, static_cast<std::uint16_t>(options.mtu));
    if (status == -ENOTSUP) status = 0;  // memif and rings take any size of frame
  }
  if (status == 0) status = rte_eth_dev_start(port);
  if (status != 0) {
    return base::Error{name + ": " + rte_strerror(-status) + "; the device does not start"};
  }
  rte_eth_promiscuous_enable(port);
  return port;
}

}  // namespace

Transmitter::~Transmitter() {
  while (rte_mbuf* frame = take()) rte_pktmbuf_free(frame);
  if (spare_ != 0) rte_pktmbuf_free_bulk(spares_.data(), spare_);
}

std::uint32_t Transmitter::flush() {
  std::uint32_t taken = 0;
  while (head_ != tail_) {
    const std::uint32_t start = head_ % kFramesMax;
    const std::uint32_t count = std::min({tail_ - head_, kFramesMax - start, 256U});
    std::uint64_t bytes = 0;
    std::array<std::uint16_t, 256> lengths;
    for (std::uint32_t i = 0; i < count; ++i) lengths[i] = frames_[start + i]->data_len;
    const std::uint16_t sent =
        rte_eth_tx_burst(port_, 0, &frames_[start], static_cast<std::uint16_t>(count));
    for (std::uint16_t i = 0; i < sent; ++i) bytes += lengths[i];
    head_ += sent;
    taken += sent;
    sent_ += sent;
    sent_bytes_ += bytes;
    if (sent < count) break;
  }
  return taken;
}

base::Result<Ports> start_ports(const std::string& program, const PortOptions& options) {
  if (auto started = start_eal(program, options); !started.ok()) return started.error();
  Ports ports;
  const std::uint32_t buffer = RTE_PKTMBUF_HEADROOM + std::max(2048U, options.mtu + 64);
  // Three quarters of the memory asked for, the rest is the EAL's and the rings'.
  const std::uint64_t frames = std::min<std::uint64_t>(
      65'535, options.memory_mb * 1'048'576ULL * 3 / 4 / (buffer + sizeof(rte_mbuf) + 64));
  ports.pool = rte_pktmbuf_pool_create("generator", static_cast<unsigned>(frames), 256, 0,
                                       static_cast<std::uint16_t>(buffer), SOCKET_ID_ANY);
  if (ports.pool == nullptr) {
    return base::Error{"no memory for " + std::to_string(frames) +
                       " frames: " + rte_strerror(rte_errno)};
  }
  for (auto [device, port] : {std::pair{&options.client_device, &ports.client},
                              std::pair{&options.server_device, &ports.server}}) {
    if (device->empty()) continue;
    auto started = start_port(*device, options, ports.pool);
    if (!started.ok()) return started.error();
    *port = started.value();
  }
  return ports;
}

bool wait_for_links(const Ports& ports, double seconds) {
  for (const std::uint16_t port : {ports.client, ports.server}) {
    if (port == kNoPort) continue;
    for (;;) {
      rte_eth_link link{};
      if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP) break;
      if ((seconds -= 0.01) < 0) return false;
      ::usleep(10'000);
    }
  }
  return true;
}

}  // namespace sluice::gen
