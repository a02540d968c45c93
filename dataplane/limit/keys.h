// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/policy_view.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/limit/table.h"

/// What a request is counted under.
namespace sluice::limit {

/// Bytes of a path that routes are told by; the rest does not matter.
inline constexpr std::size_t kRoutePathBytesMax = 512;

/// The path as most servers resolve it: percent-encodings decoded once, runs of `/` joined, `.` and
/// `..` segments resolved, the query left out, cut at kRoutePathBytesMax. So a client cannot leave
/// a route's bucket by spelling. buffer: kRoutePathBytesMax bytes. O(target). RFC 3986
/// section 6.2.2.
std::string_view route_path(std::string_view target, char* buffer);

/// Whether `path` (of route_path) fits `pattern`: segments are equal, `*` is any one segment, and a
/// final `**` any rest, none included. A pattern without `*` also fits every path below it.
/// O(path).
bool route_matches(std::string_view pattern, std::string_view path);

/// One value of a cookie field line; false if the cookie is absent. O(line).
/// `count` is raised by the number of times that it occurs. RFC 6265 section 5.4.
void find_cookie(std::string_view line, std::string_view name, std::string_view& value,
                 std::size_t& count);

/// ASCII letters only; `lower` is lower case.
bool same_field_name(std::string_view name, std::string_view lower);

/// The client of a request: the peer, or, where the peer is a trusted proxy, the address that the
/// service's header names. `position: last` takes the last address that is no trusted proxy itself,
/// `first` the first one. Anything that is no address (a port behind one is allowed) ends the
/// search at what was found to its right, or the peer.
class ClientAddressFinder {
 public:
  ClientAddressFinder(const abi::PolicyView& policy, const abi::PolicyService& service,
                      const base::IpAddress& peer)
      : policy_(policy), service_(service), peer_(peer) {}

  /// Whether the peer is one of the service's trusted proxies.
  [[nodiscard]] bool peer_is_trusted() const { return is_trusted(peer_); }

  template <typename Fields>
  base::IpAddress find(const Fields& fields) {
    if (service_.client_address_header.bytes == 0 || !is_trusted(peer_)) return peer_;
    const std::string_view wanted = policy_.text(service_.client_address_header);
    client_ = peer_;
    std::size_t lines = 0;
    for (const auto& field : fields) lines += same_field_name(field.name, wanted) ? 1U : 0U;
    const bool from_end = service_.client_address_position == abi::ClientAddressPosition::kLast;
    // Field lines of one name are one list (RFC 9110 section 5.3): first line first.
    for (std::size_t step = 0; step < lines; ++step) {
      std::size_t index = from_end ? lines - 1 - step : step;
      for (const auto& field : fields) {
        if (!same_field_name(field.name, wanted) || index-- != 0) continue;
        if (!take_list(field.value, from_end)) return client_;
        break;
      }
    }
    return client_;
  }

 private:
  [[nodiscard]] bool is_trusted(const base::IpAddress& address) const;
  /// False when the search is over.
  bool take_list(std::string_view list, bool from_end);

  const abi::PolicyView& policy_;
  const abi::PolicyService& service_;
  base::IpAddress peer_, client_;
};

/// Collects the parts of one key. Values may have any length: each is hashed at once. At most two
/// values for each of a key's kLimitKeyPartsMax parts: a route is a method and a path.
class KeyBuilder {
 public:
  KeyBuilder(const base::HashKey& hash_key, std::uint64_t limit_identity);
  void add(abi::LimitKeyPart part, std::string_view value);
  /// The value that the key names is not there, or there more than once: all such requests share
  /// one bucket, so that leaving a header out or repeating it is no way around a limit.
  void add_absent(abi::LimitKeyPart part);
  [[nodiscard]] Key finish() const;

 private:
  static constexpr std::size_t kPartBytes = 24;
  const base::HashKey& hash_key_;
  std::uint8_t bytes_[8 + 2 * abi::kLimitKeyPartsMax * kPartBytes] = {};
  std::size_t size_ = 8;
};

}  // namespace sluice::limit
