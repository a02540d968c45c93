// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::gen {

/// Frames waiting for one port. The port takes what it has room for, in order; the rest stays, so
/// nothing is lost here and a slow receiver is seen as stalls instead.
class Transmitter {
 public:
  static constexpr std::uint32_t kFramesMax = 16'384;

  /// port: a started port, or RTE_MAX_ETHPORTS for none (tests take the frames themselves).
  Transmitter(std::uint16_t port, rte_mempool* pool) : port_(port), pool_(pool) {
    frames_.resize(kFramesMax);
  }
  ~Transmitter();
  Transmitter(const Transmitter&) = delete;
  Transmitter& operator=(const Transmitter&) = delete;

  /// How many frames next() will take now.
  [[nodiscard]] std::uint32_t room() const { return kFramesMax - (tail_ - head_); }
  [[nodiscard]] std::uint32_t waiting() const { return tail_ - head_; }

  /// A frame of `bytes` (at most the pool's buffer) to be written by the caller before flush().
  /// Null, counted, when there is no room or buffer.
  std::uint8_t* next(std::size_t bytes) {
    if (room() == 0) {
      ++refused_;
      return nullptr;
    }
    if (spare_ == 0) {
      if (rte_pktmbuf_alloc_bulk(pool_, spares_.data(), kSpares) != 0) {
        ++refused_;
        return nullptr;
      }
      spare_ = kSpares;
    }
    rte_mbuf* frame = spares_[--spare_];
    frame->data_len = static_cast<std::uint16_t>(bytes);
    frame->pkt_len = static_cast<std::uint32_t>(bytes);
    frames_[tail_++ % kFramesMax] = frame;
    return rte_pktmbuf_mtod(frame, std::uint8_t*);
  }

  /// Gives the port all it takes. Returns the frames taken.
  std::uint32_t flush();

  /// The oldest waiting frame, which the caller then owns; null when there is none.
  rte_mbuf* take() { return head_ == tail_ ? nullptr : frames_[head_++ % kFramesMax]; }

  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t sent_bytes() const { return sent_bytes_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  static constexpr std::uint32_t kSpares = 64;

  std::uint16_t port_;
  rte_mempool* pool_;
  std::vector<rte_mbuf*> frames_;
  std::array<rte_mbuf*, kSpares> spares_{};
  std::uint32_t spare_ = 0, head_ = 0, tail_ = 0;
  std::uint64_t sent_ = 0, sent_bytes_ = 0, refused_ = 0;
};

/// What to start DPDK with.
struct PortOptions {
  std::string client_device, server_device;  ///< PCI address or vdev; empty: that side is elsewhere
  int core = -1;                             ///< the processor to run on; -1: the one we are on
  std::uint32_t memory_mb = 512;
  bool huge_pages = false;
  std::uint32_t mtu = 1500;
  std::uint32_t descriptors = 1024;
  std::vector<std::string> eal;  ///< further EAL arguments
};

inline constexpr std::uint16_t kNoPort = RTE_MAX_ETHPORTS;

/// The two started ports; kNoPort for a side that is elsewhere.
struct Ports {
  std::uint16_t client = kNoPort, server = kNoPort;
  rte_mempool* pool = nullptr;
};

/// Initialises the EAL and starts the ports. Once per process. Errors say what is wrong with which
/// device.
base::Result<Ports> start_ports(const std::string& program, const PortOptions& options);

/// Waits until the links are up, at most `seconds`; false if one stays down.
bool wait_for_links(const Ports& ports, double seconds);

}  // namespace sluice::gen
