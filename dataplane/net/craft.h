// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/net/packet.h"

/// Building segments in the name of an endpoint, and changing segments in place. Nothing here
/// allocates; every change leaves right lengths and checksums.
namespace sluice::net {

inline constexpr std::size_t kLinkBytesMax = 14 + 2 * 4;
/// Headers of the largest crafted segment: two tags, IPv6, TCP with timestamps.
inline constexpr std::size_t kCraftHeaderBytesMax = kLinkBytesMax + 40 + 32;

/// One direction of a flow as it looks on the wire.
struct SegmentTemplate {
  std::uint8_t link[kLinkBytesMax] = {};  ///< MAC addresses, tags, ethertype
  std::uint8_t link_bytes = 0;
  bool is_v4 = true;
  std::uint8_t ttl = 64;
  std::uint16_t source_port = 0, destination_port = 0;
  base::IpAddress source, destination;
};

/// The direction of `packet`, which needs is_tcp() and no LLC.
SegmentTemplate template_of(const ParsedPacket& packet);
/// The other direction: addresses, ports and MAC addresses swapped, tags kept.
SegmentTemplate reversed(const SegmentTemplate& direction);

struct SegmentFields {
  std::uint32_t sequence = 0, acknowledgment = 0;
  std::uint16_t window = 0;  ///< as on the wire, that is already scaled
  std::uint8_t flags = 0;
  bool timestamp = false;  ///< add the timestamp option (RFC 7323)
  std::uint32_t timestamp_value = 0, timestamp_echo = 0;
  base::Bytes payload = {};
};

/// Writes one segment with right checksums: RST, ACK, FIN or data, as the flags say. buffer: at
/// least kCraftHeaderBytesMax + payload bytes. Returns the frame's bytes; 0 if it does not fit (or
/// is beyond 65535). Pads nothing: Ethernet's minimum is the port's business. O(payload).
std::size_t craft_segment(base::MutableBytes buffer, const SegmentTemplate& direction,
                          const SegmentFields& fields);

// Changing a frame in place. `packet` was parsed from `frame` and is kept in step. All of them need
// is_tcp() and packet.reason == kNone.

/// Clears URG and the urgent pointer: RFC 6093, every receiver then reads the same bytes.
void clear_urgent(base::MutableBytes frame, ParsedPacket& packet);
/// Clears the reserved bits of the TCP header.
void clear_reserved(base::MutableBytes frame, ParsedPacket& packet);
/// Overwrites with NOP every option outside the allow-list (EOL, NOP, MSS, window scale, SACK,
/// timestamps): Fast Open and multipath among them. For SYN segments. At most 40 bytes.
void strip_unknown_options(base::MutableBytes frame, ParsedPacket& packet);
/// Overwrites with NOP the option "window scale" or "SACK permitted" and the like: every option of
/// the given kind.
void strip_option(base::MutableBytes frame, ParsedPacket& packet, std::uint8_t kind);
/// Puts the maximum segment size of a SYN into mss_min..mss_max; nothing if it has none.
void clamp_mss(base::MutableBytes frame, ParsedPacket& packet, std::uint16_t mss_min,
               std::uint16_t mss_max);
/// Sets the acknowledgement number.
void set_acknowledgment(base::MutableBytes frame, ParsedPacket& packet, std::uint32_t value);
/// Keeps the first `payload_bytes` (<= packet.payload_bytes) of the payload, and takes FIN and PSH
/// away if anything was cut. Returns the frame's new length. O(payload).
std::size_t trim_payload(base::MutableBytes frame, ParsedPacket& packet,
                         std::uint32_t payload_bytes);
/// Takes the first `cut_bytes` (<= packet.payload_bytes) of the payload away, and moves the
/// sequence number on. Returns the frame's new length. O(payload).
std::size_t trim_front(base::MutableBytes frame, ParsedPacket& packet, std::uint32_t cut_bytes);

/// Smallest segment size let through on a SYN (evasion TO8): a smaller one makes the other side
/// send floods of tiny segments.
inline constexpr std::uint16_t kMssMin = 216;

/// Whether normalise() would change the segment. O(1).
[[nodiscard]] bool needs_normalising(const ParsedPacket& packet);
/// Makes a segment of a protected service mean one thing to every receiver: no urgent data, no
/// reserved bits, and on a SYN only allowed options and no tiny segment size. evasions.md TO8, TO10
/// to TO12. Both directions. Not in monitor, which changes no packet.
void normalise(base::MutableBytes frame, ParsedPacket& packet);

}  // namespace sluice::net
