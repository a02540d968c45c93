// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/abi/reasons.h"
#include "dataplane/net/packet.h"

namespace sluice::net {

struct Ipv6Chain {
  abi::Reason reason = abi::Reason::kNone;
  std::uint8_t protocol = 0;       ///< of the last header reached
  std::uint32_t upper_offset = 0;  ///< where it starts
  bool complete = false;           ///< the upper-layer header was reached
};

/// Walks the extension headers of `packet` from behind its fixed header up to network_end, and
/// fills the fragment fields. Bound: 8 headers, 256 bytes. RFC 8200 section 4, RFC 5095, 6946,
/// 7112.
Ipv6Chain walk_ipv6_chain(ParsedPacket& packet);

}  // namespace sluice::net
