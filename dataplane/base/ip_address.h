// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/bytes.h"

namespace sluice::base {

/// One address of either family in 16 bytes, network order; IPv4 is mapped (::ffff:a.b.c.d, RFC
/// 4291 section 2.5.5.2), so that the mapped and the plain form of a client are one key.
struct alignas(8) IpAddress {
  std::uint8_t bytes[16] = {};

  /// From 4 bytes in network order, as they lie in an IPv4 header.
  static IpAddress from_v4(const void* network_order) {
    IpAddress address;
    address.bytes[10] = address.bytes[11] = 0xff;
    std::memcpy(address.bytes + 12, network_order, 4);
    return address;
  }
  /// From 16 bytes in network order.
  static IpAddress from_v6(const void* network_order) {
    IpAddress address;
    std::memcpy(address.bytes, network_order, 16);
    return address;
  }
  /// From a number in host order: 0x0a000001 is 10.0.0.1.
  static IpAddress from_v4_number(std::uint32_t number) {
    std::uint8_t raw[4];
    store_be32(raw, number);
    return from_v4(raw);
  }

  /// "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"; no zone, no brackets, no leading zeros in
  /// IPv4 (which some read as octal). Empty on anything else. RFC 4291 section 2.2.
  static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] bool is_v4() const {
    std::uint64_t high;
    std::memcpy(&high, bytes, 8);
    return high == 0 && load_be32(bytes + 8) == 0xffffU;
  }
  /// The last four bytes as a number in host order; an address only if is_v4().
  [[nodiscard]] std::uint32_t v4_number() const { return load_be32(bytes + 12); }

  /// Enough for any text form, without a terminator.
  static constexpr std::size_t kTextBytesMax = 45;
  /// Writes the shortest form (RFC 5952; mapped addresses as plain IPv4) into kTextBytesMax bytes
  /// at `to` and returns its length. No allocation.
  std::size_t format(char* to) const;
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) {
    return std::memcmp(a.bytes, b.bytes, 16) == 0;
  }
  friend bool operator<(const IpAddress& a, const IpAddress& b) {
    return std::memcmp(a.bytes, b.bytes, 16) < 0;
  }
};
static_assert(sizeof(IpAddress) == 16);

/// An address range by its first bits. Bits count over the 16-byte form: an IPv4 /24 is 120.
struct IpPrefix {
  IpAddress address;
  std::uint8_t bits = 128;  ///< 0..128

  /// "10.0.0.0/8", "fd00::/8", or an address alone (the full length). Bits behind the prefix need
  /// not be 0, they are cleared. Empty on anything else.
  static std::optional<IpPrefix> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
};

/// `address` with all but its first `bits` (0..128, over the 16-byte form) cleared.
IpAddress mask_address(const IpAddress& address, unsigned bits);
/// Masks by family: `v4_bits` 0..32 for IPv4, `v6_bits` 0..128 for IPv6. Client keys of limits.
inline IpAddress mask_client(const IpAddress& address, unsigned v4_bits, unsigned v6_bits) {
  return mask_address(address, address.is_v4() ? 96 + v4_bits : v6_bits);
}

}  // namespace sluice::base
