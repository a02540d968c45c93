// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/abi/image.h"
#include "dataplane/abi/verdict.h"

/// The policy section of an image: services, limits and inspection settings. Arrays are found by
/// Span32 from the start of the image.
namespace sluice::abi {

/// An address of 16 bytes; IPv4 is mapped (::ffff:a.b.c.d) and prefix lengths count from 96 on.
struct PolicyPrefix {
  std::uint8_t address[16];
  std::uint8_t prefix_bits;  ///< 0..128
  std::uint8_t reserved[7];
};

enum class Midstream : std::uint8_t { kReset = 0, kPass = 1 };
enum class UnknownFrames : std::uint8_t { kPass = 0, kDrop = 1 };
enum class OnFull : std::uint8_t { kDeny = 0, kAllow = 1 };
enum class ClientAddressPosition : std::uint8_t { kFirst = 0, kLast = 1 };

enum class LimitKeyPart : std::uint8_t {
  kClientAddress = 0,
  kHeader = 1,
  kCookie = 2,
  kRoute = 3,
  kService = 4,
};

struct LimitKey {
  LimitKeyPart part;
  std::uint8_t reserved[7];
  StringRef name;  ///< header or cookie name, lower case for headers; empty otherwise
};

/// A route: method and path prefix or glob. First match wins; none: the route is the path's text
/// up to the second segment.
struct PolicyRoute {
  StringRef name;
  StringRef method;   ///< empty: every method
  StringRef pattern;  ///< path; `*` one segment, a final `**` any rest
};

inline constexpr std::size_t kLimitKeyPartsMax = 4;

struct PolicyLimit {
  StringRef name;
  std::uint32_t limit_id;  ///< index over all services, for counters; < kLimitsMax
  std::uint32_t service_index;
  std::uint64_t interval_ns;  ///< emission interval: period / count
  std::uint64_t burst_ns;     ///< tolerance: interval * burst
  std::uint64_t identity;     ///< hash of service, name and key: state survives a push
  LimitKey keys[kLimitKeyPartsMax];
  std::uint8_t key_count;
  std::uint8_t prefix_v4_bits, prefix_v6_bits;  ///< 0..32, 0..128
  Mode action;                                  ///< kBlock or kMonitor
  OnFull on_full;
  std::uint8_t reserved[3];
};

struct PolicyService {
  StringRef name;
  Span32 addresses;                 ///< PolicyPrefix
  Span32 ports;                     ///< uint16_t, host order
  Span32 hosts;                     ///< StringRef, lower case; none: every host
  Span32 trusted;                   ///< PolicyPrefix that may set client_address_header
  Span32 limits;                    ///< PolicyLimit
  Span32 routes;                    ///< PolicyRoute
  StringRef client_address_header;  ///< lower case; empty: the IP source
  ClientAddressPosition client_address_position;
  Mode mode;
  std::uint8_t allow_websocket;
  std::uint8_t drop_fragments;
  std::uint32_t reply_wait_ms, linger_ms, head_timeout_ms, body_timeout_ms, idle_timeout_ms;
  std::uint32_t response_hold_bytes;  ///< 0..8192
  std::uint32_t body_rate_min;        ///< bytes/s after the grace time
  std::uint32_t head_bytes_max, header_bytes_max, headers_max, request_line_bytes_max;
  std::uint64_t strict;  ///< bits of abi/strict.h
};

struct PolicyHeader {
  Mode mode;
  Midstream midstream;
  UnknownFrames unknown_frames;
  std::uint8_t reserved[5];
  std::uint64_t value_bytes;
  Span32 services;  ///< PolicyService, at most kServicesMax
  std::uint32_t limit_count;
  std::uint32_t pin_max_s;
};
static_assert(std::is_trivially_copyable_v<PolicyService> && sizeof(PolicyService) % 8 == 0);
static_assert(std::is_trivially_copyable_v<PolicyLimit> && sizeof(PolicyLimit) % 8 == 0);

}  // namespace sluice::abi
