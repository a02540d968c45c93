// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "perf/gen/plan.h"
#include "perf/gen/port.h"
#include "perf/gen/wire.h"

/// Hostile frames beside the honest load: SYNs whose senders never answer, and frames that no sound
/// stack sends. Each comes from an address range of its own, so that the other end can tell what
/// came through.
namespace sluice::gen {

/// SYN floods come from 100.64.0.0/10 (RFC 6598), malformed frames from 198.18.<kind>.0/24 of
/// 198.18.0.0/16 (RFC 2544).
inline constexpr std::uint32_t kFloodNetwork = 0x64400000U, kFloodMask = 0xffc00000U;
inline constexpr std::uint32_t kMalformedNetwork = 0xc6120000U, kMalformedMask = 0xffff0000U;

constexpr bool is_flood_address(std::uint32_t address) {
  return (address & kFloodMask) == kFloodNetwork;
}

/// The kinds of malformed frame, in the order of kMalformationNames.
inline constexpr std::size_t kMalformations = 12;
inline constexpr std::array<const char*, kMalformations> kMalformationNames = {
    "ip_checksum",     "tcp_checksum",      "ip_length_beyond_frame",
    "ip_header_short", "tcp_offset_short",  "tcp_offset_beyond_segment",
    "tcp_flags_none",  "tcp_flags_syn_fin", "tcp_flags_all",
    "port_zero",       "ttl_zero",          "fragment_of_header"};

/// The kind of a malformed frame that came through, -1 for any other frame.
int malformation_of(base::Bytes frame);

/// Answers a flood's SYN as a server with SYN cookies does, keeping nothing.
void answer_flood(const InSegment& in, Transmitter& transmitter, base::Nanos now);

/// Sends noise towards the server at given rates.
class Noise {
 public:
  struct Options {
    double syns_per_second = 0;
    double malformed_per_second = 0;
  };

  Noise(const AddressPlan& plan, const Options& options, Transmitter& transmitter)
      : plan_(plan), options_(options), transmitter_(transmitter) {}

  /// Sends what is due; at most 64 frames of each kind a call.
  void poll(base::Nanos now);

  [[nodiscard]] std::uint64_t syns() const { return syns_; }
  [[nodiscard]] const std::array<std::uint64_t, kMalformations>& malformed() const {
    return malformed_;
  }

 private:
  void send_syn(base::Nanos now);
  void send_malformed(base::Nanos now);

  const AddressPlan& plan_;
  Options options_;
  Transmitter& transmitter_;
  base::Nanos started_ = 0;
  std::uint64_t syns_ = 0, malformed_sent_ = 0;
  std::array<std::uint64_t, kMalformations> malformed_{};
};

}  // namespace sluice::gen
