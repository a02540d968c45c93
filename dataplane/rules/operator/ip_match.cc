// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/ip_match.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>

namespace sluice::rules {

namespace {

/// Longest text of an address: IPv6 with an IPv4 tail, and a NUL.
constexpr std::size_t kTextBytes = INET6_ADDRSTRLEN;

/// inet_pton() of one family over text that is not terminated; it neither allocates nor blocks.
bool parse_address(int family, std::string_view text, void* address) {
  char copy[kTextBytes];
  if (text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) return false;
  text.copy(copy, text.size());
  copy[text.size()] = 0;
  return inet_pton(family, copy, address) == 1;
}

bool parse_ipv4(std::string_view text, std::uint32_t& address) {
  std::uint8_t bytes[4];
  if (!parse_address(AF_INET, text, bytes)) return false;
  address = base::load_be32(bytes);
  return true;
}

bool parse_ipv6(std::string_view text, Ipv6Address& address) {
  std::uint8_t bytes[16];
  if (!parse_address(AF_INET6, text, bytes)) return false;
  const auto half = [&](std::size_t at) {
    return std::uint64_t{base::load_be32(bytes + at)} << 32 | base::load_be32(bytes + at + 4);
  };
  address = {half(0), half(8)};
  return true;
}

template <typename Range, typename Address>
bool contains_address(std::span<const Range> ranges, const Address& address) {
  const auto behind = std::upper_bound(
      ranges.begin(), ranges.end(), address,
      [](const Address& wanted, const Range& range) { return wanted < range.first; });
  return behind != ranges.begin() && !(std::prev(behind)->last < address);
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t from = text.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kBlanks) + 1 - from);
}

/// Low bits set below a prefix of `bits` in a word of 64.
std::uint64_t host_mask(unsigned bits) {
  return bits >= 64 ? 0 : bits == 0 ? ~std::uint64_t{0} : ~std::uint64_t{0} >> bits;
}

/// Merges ranges that overlap. Ranges that only touch stay apart, which costs nothing.
template <typename Range>
void merge(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& left, const Range& right) { return left.first < right.first; });
  std::size_t kept = 0;
  for (const Range& range : ranges) {
    if (kept > 0 && !(ranges[kept - 1].last < range.first)) {
      if (ranges[kept - 1].last < range.last) ranges[kept - 1].last = range.last;
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

}  // namespace

bool contains_ipv4(const IpSet& set, std::uint32_t address) {
  return contains_address(set.v4, address);
}

bool contains_ipv6(const IpSet& set, const Ipv6Address& address) {
  return contains_address(set.v6, address);
}

bool ip_match(const IpSet& set, Bytes value) {
  const std::string_view text = base::as_text(value);
  if (std::uint32_t address = 0; parse_ipv4(text, address)) return contains_ipv4(set, address);
  if (Ipv6Address address{}; parse_ipv6(text, address)) return contains_ipv6(set, address);
  return false;
}

base::Status IpSetBuilder::add_element(std::string_view element) {
  const std::size_t slash = element.find('/');
  const std::string_view text = trim(element.substr(0, slash));
  unsigned bits = 128;
  bool bad = false;
  if (slash != std::string_view::npos) {
    const std::string_view mask = trim(element.substr(slash + 1));
    const auto [end, error] = std::from_chars(mask.data(), mask.data() + mask.size(), bits);
    bad = error != std::errc() || end != mask.data() + mask.size();
  }
  if (std::uint32_t address = 0; !bad && parse_ipv4(text, address)) {
    if (slash == std::string_view::npos) bits = 32;
    if (bits <= 32) {
      const auto host = static_cast<std::uint32_t>(host_mask(bits + 32));
      v4_.push_back({address & ~host, address | host});
      return base::ok_status();
    }
  } else if (Ipv6Address v6{}; !bad && bits <= 128 && parse_ipv6(text, v6)) {
    const Ipv6Address host{host_mask(bits), host_mask(bits > 64 ? bits - 64 : 0)};
    v6_.push_back(
        {{v6.high & ~host.high, v6.low & ~host.low}, {v6.high | host.high, v6.low | host.low}});
    return base::ok_status();
  }
  return base::Error{"'" + std::string(element) + "' is no IP address or prefix like 10.0.0.0/8"};
}

base::Status IpSetBuilder::add_list(std::string_view list) {
  for (bool more = true; more;) {
    const std::size_t comma = list.find(',');
    more = comma != std::string_view::npos;
    const std::string_view element = trim(list.substr(0, comma));
    if (more) list.remove_prefix(comma + 1);
    if (auto status = add_element(element); !status.ok()) return status;
  }
  return base::ok_status();
}

base::Status IpSetBuilder::add_file(std::string_view content) {
  for (std::size_t number = 1; !content.empty(); ++number) {
    const std::size_t end = content.find('\n');
    std::string_view line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    line = trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (auto status = add_list(line); !status.ok()) {
      return base::Error{"line " + std::to_string(number) + ": " + status.error().message};
    }
  }
  return base::ok_status();
}

void IpSetBuilder::finish() {
  merge(v4_);
  merge(v6_);
}

}  // namespace sluice::rules
