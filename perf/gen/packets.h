// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "perf/gen/plan.h"
#include "perf/gen/port.h"

namespace sluice::gen {

/// Plain UDP packets from the client side to the server side, numbered: for forwarding rates.
class PacketLoad {
 public:
  struct Options {
    std::uint32_t frame_bytes = 64;      ///< on the wire, with the four bytes of the FCS
    std::uint32_t flows = 1024;          ///< 5-tuples, in turn
    double rate = 0;                     ///< packets a second; 0: as many as come back
    std::uint32_t in_flight_max = 1024;  ///< rate 0: packets on the way at a time
  };

  PacketLoad(const AddressPlan& plan, const Options& options, Transmitter& transmitter);

  /// Sends what is due since the first call; at most 256 packets a call. Returns how many.
  std::uint32_t send(base::Nanos now);
  /// Takes what the server port received; returns how many were packets of ours, unchanged.
  std::uint32_t receive(std::span<const base::Bytes> frames);

  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t reordered() const { return reordered_; }
  [[nodiscard]] std::uint64_t foreign() const { return foreign_; }

 private:
  const AddressPlan& plan_;
  Options options_;
  Transmitter& transmitter_;
  std::vector<std::uint8_t> frame_;
  base::Nanos started_ = 0;
  std::uint64_t sent_ = 0, received_ = 0, reordered_ = 0, foreign_ = 0, highest_ = 0;
};

}  // namespace sluice::gen
