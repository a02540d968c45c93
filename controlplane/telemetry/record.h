// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/abi/events.h"

namespace sluice::telemetry {

/// One rule that matched, as the record carries it.
struct RuleMatch {
  abi::EventRuleMatch fixed{};
  std::string_view target, value, matched;
  std::string_view source;                   ///< before its transformations, where they changed it
  std::string_view sent;                     ///< before it was parsed, where that changed it
  std::uint32_t sent_total = 0;              ///< bytes before cutting and masking
  std::uint64_t body_from = 0, body_to = 0;  ///< where it ended in a body too long to be kept
  std::string_view message;                  ///< macros expanded; empty: as the catalogue has it
};

/// A record of a ring, taken apart. Views point into the ring's buffer and live as long as it.
struct Record {
  abi::RecordType type = abi::RecordType::kSkip;
  abi::EventHeader header{};
  struct Field {
    abi::EventFieldId id;
    std::string_view bytes;
  };
  std::vector<Field> fields;
  std::vector<RuleMatch> matches;

  /// The first field of that kind, or nothing.
  [[nodiscard]] std::string_view first(abi::EventFieldId id) const;
};

/// Takes a record apart. False when a length leads outside it or its type is unknown. `record` is
/// reused between calls.
bool decode(std::uint32_t type, std::span<const std::uint8_t> payload, Record& record);

std::string event_id_text(const abi::EventHeader& header);
/// "10.0.0.1" for mapped IPv4, else RFC 5952 text.
std::string address_text(const std::uint8_t (&address)[16]);

}  // namespace sluice::telemetry
