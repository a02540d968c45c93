// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/bytes.h"
#include "dataplane/net/packet.h"

namespace sluice::net {

inline constexpr std::uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionMss = 2,
                              kOptionWindowScale = 3, kOptionSackPermitted = 4, kOptionSack = 5,
                              kOptionTimestamp = 8, kOptionMd5 = 19, kOptionAo = 29,
                              kOptionMultipath = 30, kOptionFastOpen = 34;

/// Reads the option area of a TCP header. area: 0..40 bytes at `frame_offset` of the frame. Stops
/// at the end-of-list option, as receivers do, or at the first length that cannot be right. Returns
/// kNone, kTcpOption or kTcpOptionDup. At most 40 steps. RFC 9293 section 3.2, RFC 7323, RFC 2018.
abi::Reason parse_tcp_options(base::Bytes area, std::uint16_t frame_offset, TcpOptions& options);

}  // namespace sluice::net
