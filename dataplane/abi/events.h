// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/verdict.h"

/// Records that workers write into their rings. A record is a fixed part and behind it
/// `field_count` fields: {EventField, bytes, padding to 4}. Masking and cutting happened before the
/// ring.
namespace sluice::abi {

enum class RecordType : std::uint32_t {
  kSkip = 0,
  kAlert = 1,  ///< verdict ring: a request or response that rules, limits or framing judged
  kDrop = 2,   ///< verdict ring: packets of a protected service dropped, summed per flow and reason
  kHttp = 3,   ///< http ring: one per transaction
};

enum class EventFieldId : std::uint16_t {
  kMethod = 1,
  kUri = 2,
  kProtocol = 3,
  kHost = 4,
  kUserAgent = 5,
  kRequestHeader = 6,  ///< "name: value", of events.request_headers
  kRuleMatch = 7,      ///< one EventRuleMatch, then its target, then its value
  kScore = 8,          ///< "inbound=15"
  kBodySha256 = 9,     ///< 32 bytes
  kLimitName = 10,
  kMessage = 11,
  kClientAddress = 12,  ///< text, where it differs from the IP source
  kContentType = 13,
  kRoute = 14,
  kStagedRule = 15,   ///< a rule id of the staged generation that matched
  kRuleSource = 16,   ///< of the kRuleMatch before it: the value before its transformations
  kRuleMessage = 17,  ///< of the kRuleMatch before it: its msg, macros expanded
  kRuleSent = 18,     ///< of the kRuleMatch before it: u32 bytes that the client sent for the value
                      ///< where parsing changed them, and of these the first, none where masked
  kRefusedHead = 19,  ///< u32 byte of the head at which it was refused, u32 byte that what follows
                      ///< begins at: the head as it came, masked
  kRuleBody = 20,     ///< of the kRuleMatch before it, where the body was too long to be kept: u64
                      ///< and u64, the bytes of it in which the value ended
};

struct EventField {
  EventFieldId id;
  std::uint16_t bytes;  ///< of what follows, unpadded
};

/// Behind kRuleMatch: this, `target_bytes` of target, `value_bytes` of value, and
/// `matched_bytes` of the bytes that matched after decoding.
struct EventRuleMatch {
  std::uint32_t rule_id;
  std::int32_t score;  ///< added to the inbound or outbound score by this match
  std::uint8_t phase;
  std::uint8_t blocking;  ///< decided the verdict
  std::uint16_t target_bytes;
  std::uint16_t value_bytes;
  std::uint16_t matched_bytes;
  std::uint32_t value_total;  ///< bytes of the whole value before cutting
};

inline constexpr std::uint16_t kEventExact = 1;    ///< every value was judged whole
inline constexpr std::uint16_t kEventPartial = 2;  ///< a part of the request had been forwarded
inline constexpr std::uint16_t kEventReplied = 4;  ///< our reply was sent
inline constexpr std::uint16_t kEventReset = 8;    ///< the connection was reset
inline constexpr std::uint16_t kEventStagedDiffers =
    16;                                         ///< the staged generation judged otherwise
inline constexpr std::uint16_t kEventCut = 32;  ///< fields were left out to fit

struct EventHeader {
  std::uint64_t time_ns;       ///< CLOCK_REALTIME of the worker's burst
  std::uint64_t monotonic_ns;  ///< orders records of all workers
  std::uint64_t event_id[2];   ///< ULID, high and low
  std::uint64_t flow_id;
  std::uint64_t generation;
  std::uint64_t staged_generation;           ///< 0: none
  std::uint8_t source[16], destination[16];  ///< client and server, IPv4 mapped
  std::uint16_t source_port, destination_port;
  std::uint16_t vlan[2];        ///< outer and inner id, 0: none
  std::uint16_t service_index;  ///< 0xffff: none
  std::uint16_t worker;
  std::uint16_t status;  ///< response status seen or sent, 0: none
  Action action;
  Reason reason;
  Action staged_action;
  Reason staged_reason;
  std::uint8_t phase;
  std::uint8_t direction;  ///< 0 to the server, 1 to the client
  std::uint16_t flags;     ///< kEvent*
  std::uint16_t field_count;
  std::uint32_t rule_id;
  std::uint32_t limit_id;     ///< 0xffffffff: none
  std::uint32_t transaction;  ///< number within the connection, from 1
  std::int32_t score_inbound, score_outbound;
  std::int32_t staged_score_inbound, staged_score_outbound;
  std::uint32_t packet_count;                   ///< kDrop: how many
  std::uint64_t request_bytes, response_bytes;  ///< on the wire
  std::uint64_t request_body_bytes, response_body_bytes;
  std::uint64_t inspected_bytes;  ///< request bytes that the rules room was given
  std::uint64_t duration_ns;      ///< first request byte to last response byte
  std::uint64_t server_ns;        ///< last request byte to first response byte
  std::uint64_t added_ns;         ///< longest time that one of its segments was held by us
};
static_assert(std::is_trivially_copyable_v<EventHeader> && sizeof(EventHeader) % 8 == 0);

}  // namespace sluice::abi
