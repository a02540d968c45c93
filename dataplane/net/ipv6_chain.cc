// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/ipv6_chain.h"

#include "dataplane/abi/limits.h"

namespace sluice::net {
namespace {

using abi::Reason;
using base::load_be16;
using base::load_be32;

constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51,
                       kDestinationOptions = 60;

bool is_extension(std::uint8_t header) {
  return header == kHopByHop || header == kRouting || header == kFragment ||
         header == kAuthentication || header == kDestinationOptions;
}

/// The options of a hop-by-hop or destination header. The top two bits of an unknown type say what
/// the receiver does; anything but "skip" makes it discard (RFC 8200 section 4.2).
Reason check_options(const std::uint8_t* at, std::uint32_t bytes) {
  constexpr std::uint8_t kPad1 = 0, kJumbo = 0xc2;
  std::uint32_t i = 0;
  while (i < bytes) {
    if (at[i] == kPad1) {
      ++i;
      continue;
    }
    if (bytes - i < 2 || at[i + 1] > bytes - i - 2) return Reason::kIp6Option;
    if (at[i] == kJumbo) return Reason::kIp6Jumbo;
    if ((at[i] & 0xc0) != 0) return Reason::kIp6Option;
    i += 2U + at[i + 1];
  }
  return Reason::kNone;
}

/// One pass over the chain.
class Walker {
 public:
  explicit Walker(ParsedPacket& packet) : packet_(packet) {
    chain_.protocol = packet.protocol;
    chain_.upper_offset = packet.transport_offset;
  }

  Ipv6Chain walk() {
    const std::uint32_t start = chain_.upper_offset;
    for (std::size_t headers = 0; is_extension(chain_.protocol); ++headers) {
      if (headers == abi::kExtensionHeadersMax) return fail(Reason::kIp6Chain);
      if (chain_.protocol == kHopByHop && headers != 0) return fail(Reason::kIp6Chain);
      if (!step()) return chain_;
      if (chain_.upper_offset - start > abi::kExtensionBytesMax) return fail(Reason::kIp6Chain);
    }
    if (chain_.protocol == kProtocolNone && chain_.upper_offset < packet_.network_end) {
      return fail(Reason::kIp6Nonext);
    }
    chain_.complete = true;
    return chain_;
  }

 private:
  Ipv6Chain fail(Reason reason) {
    note(reason);
    return chain_;
  }
  void note(Reason reason) {
    if (chain_.reason == Reason::kNone) chain_.reason = reason;
  }

  /// Moves over one header. False: the walk ends here.
  bool step() {
    const std::uint32_t left = packet_.network_end - chain_.upper_offset;
    const std::uint8_t* header = packet_.frame.data() + chain_.upper_offset;
    if (left < 8) return stop(Reason::kIp6Chain);
    std::uint32_t bytes = (header[1] + 1U) * 8U;
    if (chain_.protocol == kFragment) bytes = 8;
    if (chain_.protocol == kAuthentication) bytes = (header[1] + 2U) * 4U;
    if (bytes > left) return stop(Reason::kIp6Chain);
    const std::uint8_t kind = chain_.protocol;
    if (kind == kHopByHop || kind == kDestinationOptions)
      note(check_options(header + 2, bytes - 2));
    if (kind == kRouting) check_routing(header);
    next_field_ = kind == kFragment ? next_field_ : chain_.upper_offset;
    const std::uint32_t here = chain_.upper_offset;
    chain_.upper_offset += bytes;
    chain_.protocol = header[0];
    return kind != kFragment || read_fragment(header, here);
  }

  bool stop(Reason reason) {
    note(reason);
    return false;
  }

  void check_routing(const std::uint8_t* header) {
    if (seen_routing_) note(Reason::kIp6Chain);
    seen_routing_ = true;
    // Type 0 is dead (RFC 5095); segments left name another final destination.
    if (header[2] == 0 || header[3] != 0) note(Reason::kIp6Rh);
  }

  /// False at a fragment beyond the first: what follows is data.
  bool read_fragment(const std::uint8_t* header, std::uint32_t offset) {
    if (seen_fragment_) return stop(Reason::kIp6FragDup);
    seen_fragment_ = true;
    const std::uint16_t field = load_be16(header + 2);
    if (header[1] != 0 || (field & 0x6) != 0) note(Reason::kIp6Chain);
    packet_.fragment_id = load_be32(header + 4);
    packet_.fragment_offset = field & 0xfff8;
    packet_.more_fragments = (field & 1) != 0;
    // An atomic fragment is a whole datagram and joins none (RFC 6946).
    packet_.is_fragment = packet_.fragment_offset != 0 || packet_.more_fragments;
    packet_.fragment_next = header[0];
    packet_.fragment_next_offset =
        static_cast<std::uint16_t>(next_field_ == 0 ? packet_.network_offset + 6U : next_field_);
    packet_.transport_offset = static_cast<std::uint16_t>(offset + 8);
    return packet_.fragment_offset == 0;
  }

  ParsedPacket& packet_;
  Ipv6Chain chain_;
  std::uint32_t next_field_ = 0;  ///< offset of the last header's "next header"; 0: the fixed one
  bool seen_fragment_ = false;
  bool seen_routing_ = false;
};

}  // namespace

Ipv6Chain walk_ipv6_chain(ParsedPacket& packet) {
  if (!is_extension(packet.protocol) && packet.protocol != kProtocolNone) {
    return {Reason::kNone, packet.protocol, packet.transport_offset, true};
  }
  return Walker(packet).walk();
}

}  // namespace sluice::net
