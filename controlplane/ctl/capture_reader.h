// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"

struct pcap;

namespace sluice::ctl {

/// One packet of a capture as an Ethernet frame.
struct CapturedFrame {
  base::Bytes bytes;         ///< borrowed until the next next()
  base::Nanos time_ns = 0;   ///< since 1970, as the capture says; it may go back
  std::uint64_t number = 0;  ///< from 1, counted as other tools do
  bool truncated = false;    ///< the capture kept fewer bytes than were on the wire
};

/// Reads a pcap or pcapng file (libpcap) taken on an Ethernet, Linux cooked (v1, v2), BSD loopback
/// or raw IP interface. What has no Ethernet header gets one with made-up addresses. Captures taken
/// on an endpoint often hold checksums that the card had yet to fill in: who replays them tells
/// parse() that the hardware has checked.
class CaptureReader {
 public:
  /// path: a file, or "-" for standard input. Errors name the file and what is wrong with it.
  static base::Result<CaptureReader> open(const std::string& path);

  /// True: `frame` holds the next packet. False: the capture has ended. An error: it is damaged
  /// from here on; frames before it were good. Packets without an IP payload that cannot become an
  /// Ethernet frame (netlink and the like in cooked captures) are passed over and counted.
  base::Result<bool> next(CapturedFrame& frame);

  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

 private:
  struct Close {
    void operator()(pcap* handle) const;
  };

  CaptureReader(pcap* handle, std::string path, int link_type);
  bool convert(base::Bytes packet, CapturedFrame& frame);
  bool with_ethernet(base::Bytes payload, std::uint16_t ethertype, CapturedFrame& frame);

  std::unique_ptr<pcap, Close> handle_;
  std::string path_;
  int link_type_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t number_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace sluice::ctl
