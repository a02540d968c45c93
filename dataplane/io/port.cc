// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/io/port.h"

#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "dataplane/io/kernel_interface.h"

namespace sluice::io {
namespace {

constexpr std::uint16_t kRxDescriptors = 1024;
constexpr std::uint16_t kTxDescriptors = 1024;
constexpr std::uint32_t kPoolCache = 256;
constexpr std::uint16_t kRssKeyWord = 0x6d5a;
/// Of a card's key: most have 40, E810 52.
constexpr std::size_t kRssKeyBytes = 40, kRssKeyBytesMax = 64;
constexpr std::uint64_t kRssWanted = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;
constexpr std::uint64_t kRssTypes = kRssWanted | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
                                    RTE_ETH_RSS_NONFRAG_IPV6_UDP | RTE_ETH_RSS_IPV4 |
                                    RTE_ETH_RSS_IPV6;

/// What can be told before DPDK says it in its own words.
base::Status check_device(const PortSettings& settings) {
  const std::string& device = settings.device;
  const std::string where = settings.label + ": " + device + ": ";
  const std::string interface = devarg(device, "iface");
  const bool makes_interface = device.starts_with("net_tap");
  if (!interface.empty() && !makes_interface && device.find("_pcap") == std::string::npos &&
      ::if_nametoindex(interface.c_str()) == 0) {
    return base::Error{where + "no network interface " + interface +
                       " in this network namespace; `ip link` lists those there are"};
  }
  if (makes_interface && ::access("/dev/net/tun", R_OK | W_OK) != 0) {
    return base::Error{where + "cannot use /dev/net/tun: `modprobe tun`, and run as root"};
  }
  const std::string capture = devarg(device, "rx_pcap");
  if (!capture.empty() && ::access(capture.c_str(), R_OK) != 0) {
    return base::Error{where + "cannot read " + capture};
  }
  if (is_pci_address(device)) {
    const std::string address = device.substr(0, device.find(','));
    if (::access(("/sys/bus/pci/devices/" + address).c_str(), F_OK) != 0) {
      return base::Error{where + "no such PCI device; `lspci -D` lists those there are"};
    }
  }
  return base::ok_status();
}

base::Result<std::uint16_t> find_port(const PortSettings& settings) {
  const std::string name = settings.device.substr(0, settings.device.find(','));
  std::uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id) == 0) return id;
  if (!is_pci_address(settings.device) && rte_dev_probe(settings.device.c_str()) == 0 &&
      rte_eth_dev_get_port_by_name(name.c_str(), &id) == 0) {
    return id;
  }
  std::string advice = "; DPDK's own message stands above";
  if (is_pci_address(settings.device)) {
    advice = ": bind it to vfio-pci (`dpdk-devbind.py -b vfio-pci " + name +
             "`), or name its interface with net_af_packet0,iface=...";
  } else if (!settings.device.starts_with("net_") && !settings.device.starts_with("eth_")) {
    advice =
        ": a device is a PCI address as 0000:3b:00.0 or a DPDK vdev as "
        "net_af_packet0,iface=eth1,qpairs=2";
  }
  return base::Error{settings.label + ": cannot open " + settings.device + advice};
}

std::array<std::uint8_t, kRssKeyBytesMax> rss_key() {
  std::array<std::uint8_t, kRssKeyBytesMax> key{};
  for (std::size_t i = 0; i < key.size(); i += 2) {
    key[i] = kRssKeyWord >> 8;
    key[i + 1] = kRssKeyWord & 0xff;
  }
  return key;
}

/// The MTU that ethdev lets us ask for. Some drivers (tap) claim a longest frame of 1522 bytes and
/// still carry whatever fits into a buffer.
std::uint32_t device_mtu(const rte_eth_dev_info& info, std::uint32_t wanted) {
  const std::uint32_t longest =
      info.max_rx_pktlen > RTE_ETHER_MIN_MTU + 18 ? info.max_rx_pktlen - 18 : RTE_ETHER_MTU;
  return std::clamp<std::uint32_t>(wanted, info.min_mtu,
                                   std::min<std::uint32_t>(info.max_mtu, longest));
}

bool has_symmetric_rss(const rte_eth_dev_info& info, std::uint16_t queues) {
  return queues > 1 && info.max_rx_queues >= queues && info.reta_size >= queues &&
         info.reta_size <= RTE_ETH_RSS_RETA_SIZE_512 && info.hash_key_size <= kRssKeyBytesMax &&
         (info.flow_type_rss_offloads & kRssWanted) == kRssWanted;
}

/// Entry i of the card's table to queue i % queues, so that equal tables name equal queues.
bool set_reta(std::uint16_t id, std::uint16_t size, std::uint16_t queues) {
  std::array<rte_eth_rss_reta_entry64, RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE> table{};
  for (std::uint16_t i = 0; i < size; ++i) {
    auto& group = table[i / RTE_ETH_RETA_GROUP_SIZE];
    group.mask = ~0ULL;
    group.reta[i % RTE_ETH_RETA_GROUP_SIZE] = static_cast<std::uint16_t>(i % queues);
  }
  return rte_eth_dev_rss_reta_update(id, table.data(), size) == 0;
}

base::Error failed(const PortSettings& settings, const char* step, int code) {
  return base::Error{settings.label + ": " + settings.device + ": " + step +
                     " failed: " + rte_strerror(code < 0 ? -code : code)};
}

base::Status set_up_queues(const PortSettings& settings, const rte_eth_dev_info& info,
                           const Port& port, rte_mempool* pool) {
  std::uint16_t rx_descriptors = kRxDescriptors, tx_descriptors = kTxDescriptors;
  int code = rte_eth_dev_adjust_nb_rx_tx_desc(port.id, &rx_descriptors, &tx_descriptors);
  if (code != 0) return failed(settings, "choosing queue sizes", code);
  const int socket = rte_eth_dev_socket_id(port.id);
  const auto node = static_cast<unsigned>(socket < 0 ? 0 : socket);
  for (std::uint16_t queue = 0; queue < port.rx_queues; ++queue) {
    code = rte_eth_rx_queue_setup(port.id, queue, rx_descriptors, node, nullptr, pool);
    if (code != 0) return failed(settings, "setting up a receive queue", code);
  }
  for (std::uint16_t queue = 0; queue < settings.queues; ++queue) {
    code = rte_eth_tx_queue_setup(port.id, queue, tx_descriptors, node, &info.default_txconf);
    if (code != 0) return failed(settings, "setting up a transmit queue", code);
  }
  return base::ok_status();
}

}  // namespace

bool is_pci_address(const std::string& device) {
  const std::string address = device.substr(0, device.find(','));
  static constexpr const char* kForm = "xxxx:xx:xx.x";
  if (address.size() != std::strlen(kForm)) return false;
  for (std::size_t i = 0; i < address.size(); ++i) {
    const auto letter = static_cast<unsigned char>(address[i]);
    if (kForm[i] == 'x' ? std::isxdigit(letter) == 0 : address[i] != kForm[i]) return false;
  }
  return true;
}

std::uint32_t buffer_bytes(std::uint32_t mtu) {
  const std::uint32_t frame = mtu + kLinkOverheadBytes + 4;
  return std::max<std::uint32_t>(2048, (frame + 63) & ~63U) + RTE_PKTMBUF_HEADROOM;
}

base::Result<rte_mempool*> make_pool(const char* name, std::uint32_t count, std::uint32_t mtu,
                                     int socket) {
  // With ordinary pages a pool would put one buffer on each 4 KiB page, for DMA that cannot happen
  // there.
  const unsigned flags = rte_eal_has_hugepages() != 0 ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
  const auto room = static_cast<std::uint16_t>(buffer_bytes(mtu));
  rte_mempool* pool = rte_mempool_create_empty(name, count, sizeof(rte_mbuf) + room, kPoolCache,
                                               sizeof(rte_pktmbuf_pool_private), socket, flags);
  if (pool != nullptr) {
    rte_pktmbuf_pool_private layout{};
    layout.mbuf_data_room_size = room;
    rte_pktmbuf_pool_init(pool, &layout);
    if (rte_mempool_populate_default(pool) < 0) {
      rte_mempool_free(pool);
      pool = nullptr;
    }
  }
  if (pool == nullptr) {
    return base::Error{std::string("no memory for ") + std::to_string(count) + " packet buffers (" +
                       rte_strerror(rte_errno) +
                       "): lower memory.pool_mb, or reserve more huge pages"};
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  return pool;
}

base::Result<Port> open_port(const PortSettings& settings, rte_mempool* pool) {
  if (auto checked = check_device(settings); !checked.ok()) return checked.error();
  const std::string interface = kernel_interface(settings.device);
  // Its sockets join a fan-out only while it is up; a crash may have left it down.
  if (!interface.empty()) (void)set_interface_up(interface, true);
  const auto found = find_port(settings);
  if (!found.ok()) return found.error();
  Port port;
  port.id = found.value();
  port.label = settings.label;
  port.device = settings.device;
  port.kernel_interface = interface;
  rte_eth_dev_info info{};
  int code = rte_eth_dev_info_get(port.id, &info);
  if (code != 0) return failed(settings, "reading its abilities", code);
  if (info.max_tx_queues < settings.queues) {
    return base::Error{
        settings.label + ": " + settings.device + " has " + std::to_string(info.max_tx_queues) +
        " transmit queues for " + std::to_string(settings.queues) +
        " workers: give it one a worker (af_packet: qpairs=" + std::to_string(settings.queues) +
        "), or use fewer workers: cores:"};
  }
  port.rx_queues = std::min(settings.queues, info.max_rx_queues);

  auto key = rss_key();
  rte_eth_conf configuration{};
  if (has_symmetric_rss(info, settings.queues)) {
    port.reta_size = info.reta_size;
    configuration.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    configuration.rx_adv_conf.rss_conf.rss_key = key.data();
    configuration.rx_adv_conf.rss_conf.rss_key_len =
        info.hash_key_size == 0 ? kRssKeyBytes : info.hash_key_size;
    configuration.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kRssTypes;
    configuration.rxmode.offloads |= info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
  }
  configuration.rxmode.mtu = device_mtu(info, settings.mtu);
  configuration.rxmode.offloads |=
      info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
  configuration.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  info.default_txconf.offloads = configuration.txmode.offloads;
  code = rte_eth_dev_configure(port.id, port.rx_queues, settings.queues, &configuration);
  if (code != 0) return failed(settings, "configuring it", code);
  if (auto queues = set_up_queues(settings, info, port, pool); !queues.ok()) return queues.error();
  // Drivers without the operation carry what the interface behind them carries.
  (void)rte_eth_dev_set_mtu(port.id, static_cast<std::uint16_t>(configuration.rxmode.mtu));
  return port;
}

base::Status start_port(const Port& port) {
  const int code = rte_eth_dev_start(port.id);
  if (code != 0) {
    return base::Error{port.label + ": " + port.device + " does not start: " + rte_strerror(-code)};
  }
  (void)rte_eth_promiscuous_enable(port.id);
  (void)rte_eth_allmulticast_enable(port.id);
  if (port.reta_size != 0 && !set_reta(port.id, port.reta_size, port.rx_queues)) {
    return base::Error{port.label + ": " + port.device + ": cannot set the RSS table"};
  }
  return base::ok_status();
}

void close_port(const Port& port) {
  (void)rte_eth_dev_stop(port.id);
  (void)rte_eth_dev_close(port.id);
}

LinkState link_state(const Port& port) {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(port.id, &link) != 0) return {};
  const bool up = port.kernel_interface.empty() ? link.link_status == RTE_ETH_LINK_UP
                                                : interface_runs(port.kernel_interface);
  return {up, link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed};
}

bool set_link(const Port& port, bool up) {
  if (!port.kernel_interface.empty()) return set_interface_up(port.kernel_interface, up);
  return (up ? rte_eth_dev_set_link_up(port.id) : rte_eth_dev_set_link_down(port.id)) == 0;
}

DeviceDrops device_drops(const Port& port) {
  rte_eth_stats stats{};
  if (rte_eth_stats_get(port.id, &stats) != 0) return {};
  return {stats.imissed, stats.rx_nombuf, stats.oerrors};
}

std::uint32_t symmetric_hash(std::uint16_t folded) {
  std::uint32_t half = 0;
  for (unsigned bit = 0; bit < 16; ++bit) {
    if ((folded & (0x8000U >> bit)) == 0) continue;
    half ^= ((kRssKeyWord << bit) | (kRssKeyWord >> (16 - bit))) & 0xffffU;
  }
  return half << 16 | half;
}

}  // namespace sluice::io
