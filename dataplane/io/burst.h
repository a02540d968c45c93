// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/limits.h"
#include "dataplane/base/bytes.h"

namespace sluice::io {

/// Takes up to kBurstMax frames from one queue.
inline std::uint16_t receive(std::uint16_t port, std::uint16_t queue, rte_mbuf** into) {
  return rte_eth_rx_burst(port, queue, into, abi::kBurstMax);
}

/// The bytes of a frame in one piece. Only for frames that linearise() has passed.
inline base::MutableBytes frame_bytes(rte_mbuf* frame) {
  return {rte_pktmbuf_mtod(frame, std::uint8_t*), frame->data_len};
}

/// Whether nobody else may write into the buffer: what is judged is what leaves (evasion TD16).
inline bool is_ours_alone(const rte_mbuf* frame) {
  return rte_mbuf_refcnt_read(frame) == 1 && RTE_MBUF_DIRECT(frame);
}

/// A frame in one buffer that is ours alone: itself, or a copy in a buffer of the same pool.
/// nullptr where it is longer than a buffer or no buffer is free (the frame then stays the
/// caller's). O(bytes), at most one buffer.
inline rte_mbuf* linearise(rte_mbuf* frame) {
  if (frame->nb_segs == 1 && is_ours_alone(frame)) return frame;
  rte_mbuf* whole = rte_pktmbuf_alloc(frame->pool);
  if (whole == nullptr) return nullptr;
  if (frame->pkt_len > rte_pktmbuf_tailroom(whole)) {
    rte_pktmbuf_free(whole);
    return nullptr;
  }
  std::uint8_t* to = rte_pktmbuf_mtod(whole, std::uint8_t*);
  for (const rte_mbuf* part = frame; part != nullptr; part = part->next) {
    rte_memcpy(to, rte_pktmbuf_mtod(part, const std::uint8_t*), part->data_len);
    to += part->data_len;
  }
  whole->data_len = static_cast<std::uint16_t>(frame->pkt_len);
  whole->pkt_len = frame->pkt_len;
  whole->port = frame->port;
  whole->ol_flags = frame->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
  whole->hash = frame->hash;
  rte_pktmbuf_free(frame);
  return whole;
}

/// Frames on their way to one transmit queue. What the device does not take at once waits for the
/// next poll; beyond kCapacity push() refuses.
class TxBuffer {
 public:
  static constexpr std::size_t kCapacity = 4 * abi::kBurstMax;

  void open(std::uint16_t port, std::uint16_t queue) {
    port_ = port;
    queue_ = queue;
  }
  [[nodiscard]] bool push(rte_mbuf* frame) {
    if (count_ == kCapacity) return false;
    frames_[count_++] = frame;
    return true;
  }
  /// Hands on what the device takes. Returns how many; `bytes` is increased by theirs.
  std::size_t flush(std::uint64_t& bytes) {
    if (count_ == 0) return 0;
    for (std::size_t i = 0; i < count_; ++i) bytes += frames_[i]->pkt_len;
    const std::uint16_t sent =
        rte_eth_tx_burst(port_, queue_, frames_, static_cast<std::uint16_t>(count_));
    for (std::size_t i = sent; i < count_; ++i) {
      bytes -= frames_[i]->pkt_len;
      frames_[i - sent] = frames_[i];
    }
    count_ -= sent;
    return sent;
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Frees what waits: the end.
  void clear() {
    for (std::size_t i = 0; i < count_; ++i) rte_pktmbuf_free(frames_[i]);
    count_ = 0;
  }

 private:
  std::uint16_t port_ = 0, queue_ = 0;
  std::size_t count_ = 0;
  rte_mbuf* frames_[kCapacity] = {};
};

}  // namespace sluice::io
