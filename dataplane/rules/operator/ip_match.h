// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

namespace sluice::rules {

using base::Bytes;

/// Addresses in host byte order, both ends included. Plain data: lies in the ruleset image.
struct Ipv4Range {
  std::uint32_t first, last;
};
struct Ipv6Address {
  std::uint64_t high, low;
  // The zero that `<` compares the result with is taken for a null pointer by version 14.
  // NOLINTNEXTLINE(modernize-use-nullptr)
  friend auto operator<=>(const Ipv6Address&, const Ipv6Address&) = default;
};
struct Ipv6Range {
  Ipv6Address first, last;
};

/// What `@ipMatch` and `@ipMatchFromFile` look in: sorted ranges that do not touch. Borrowed from
/// the image. IPv4 and IPv6 are kept apart: `::ffff:1.2.3.4` is in no IPv4 prefix.
struct IpSet {
  std::span<const Ipv4Range> v4;
  std::span<const Ipv6Range> v6;
};

/// True if the value is the text of an address (as inet_pton() reads it, nothing around it) inside
/// the set. O(log ranges), no allocation.
bool ip_match(const IpSet& set, Bytes value);
/// The same for addresses that are known already.
bool contains_ipv4(const IpSet& set, std::uint32_t address);
bool contains_ipv6(const IpSet& set, const Ipv6Address& address);

/// Collects prefixes and makes the ranges of an IpSet. Compile time only.
class IpSetBuilder {
 public:
  /// "10.0.0.0/8, ::1": elements separated by commas, blanks around them ignored, host bits
  /// ignored. Error: the first element that is no address or prefix.
  base::Status add_list(std::string_view list);
  /// One list per line; `#` begins a comment. Errors name the line.
  base::Status add_file(std::string_view content);
  /// Sorts and merges. The spans of set() live as long as the builder and until the next add.
  void finish();
  [[nodiscard]] IpSet set() const { return {v4_, v6_}; }

 private:
  base::Status add_element(std::string_view element);
  std::vector<Ipv4Range> v4_;
  std::vector<Ipv6Range> v6_;
};

}  // namespace sluice::rules
