// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controlplane/compile/strings.h"
#include "dataplane/abi/policy.h"
#include "dataplane/abi/strict.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/config/diagnostics.h"

/// policy.yaml: services, modes, limits, and which rules apply.
namespace sluice::policy {

inline constexpr std::size_t kPolicyBytesMax = 1u << 20;     // larger: an error
inline constexpr std::size_t kAddressesPerServiceMax = 256;  // more: an error
inline constexpr std::size_t kPortsPerServiceMax = 64;       // more: an error
inline constexpr std::size_t kHostsPerServiceMax = 256;      // more: an error
inline constexpr std::size_t kRoutesPerServiceMax = 256;     // more: an error

struct LimitKey {
  abi::LimitKeyPart part{};
  std::string name;  ///< of a header (lower case) or a cookie
};

struct Limit {
  std::string name;
  std::vector<LimitKey> key;
  std::uint8_t prefix_v4 = 32, prefix_v6 = 64;
  std::uint64_t interval_ns = 0;  ///< period / count
  std::uint64_t burst = 1;
  abi::Mode action = abi::Mode::kBlock;
  abi::OnFull on_full = abi::OnFull::kDeny;
};

struct Route {
  std::string name, method, path;
};

/// What `inspect:` of a service says, or of the whole policy for services that say nothing.
struct Inspection {
  std::uint64_t strict = abi::kStrictDefault;
  std::uint32_t reply_wait_ms = 5'000, linger_ms = 2'000;
  std::uint32_t head_timeout_ms = 10'000, body_timeout_ms = 20'000, idle_timeout_ms = 300'000;
  std::uint32_t response_hold_bytes = 0;
  std::uint32_t body_rate_min = 500;
  /// 0: the limits of abi/limits.h.
  std::uint32_t head_bytes_max = 0, header_bytes_max = 0, headers_max = 0,
                request_line_bytes_max = 0;
  bool drop_fragments = false;
};

struct Service {
  std::string name;
  std::vector<base::IpPrefix> addresses;
  std::vector<std::uint16_t> ports;
  std::vector<std::string> hosts;  ///< lower case, without a port or a final dot
  abi::Mode mode = abi::Mode::kBlock;
  bool allow_websocket = false;
  std::string client_address_header;  ///< lower case
  std::vector<base::IpPrefix> trusted;
  abi::ClientAddressPosition client_address_position = abi::ClientAddressPosition::kLast;
  std::vector<Limit> limits;
  std::vector<Route> routes;
  Inspection inspection;
  std::uint32_t line = 0, column = 0;
};

struct Policy {
  abi::Mode mode = abi::Mode::kBlock;
  abi::Midstream midstream = abi::Midstream::kReset;
  abi::UnknownFrames unknown_frames = abi::UnknownFrames::kPass;
  std::uint64_t value_bytes = 64 * 1024;
  std::uint32_t pin_max_s = 600;
  std::vector<std::string> rules;  ///< paths and globs, absolute
  std::vector<Service> services;
};

/// Reads the text of policy.yaml. All errors at once in `diagnostics`; the result is only
/// meaningful if there are none. `name` is the file's path: relative rule paths start beside it.
/// O(text), and O(services²) for overlaps.
Policy parse_text(const std::string& name, const std::string& text,
                  config::Diagnostics& diagnostics);

/// The policy section of an image, to be placed `offset` bytes from the image's start
/// (compile::kPolicyOffset); its Span32 count from there, its texts go into `strings`.
std::vector<std::uint8_t> encode_policy(const Policy& policy, std::uint64_t offset,
                                        compile::StringsBuilder& strings);

}  // namespace sluice::policy
