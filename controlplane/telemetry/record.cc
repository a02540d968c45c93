// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/record.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/ulid.h"

namespace sluice::telemetry {
namespace {

bool decode_match(std::string_view bytes, RuleMatch& match) {
  if (bytes.size() < sizeof match.fixed) return false;
  std::memcpy(&match.fixed, bytes.data(), sizeof match.fixed);
  bytes.remove_prefix(sizeof match.fixed);
  for (const auto& [length, into] :
       {std::pair<std::size_t, std::string_view*>{match.fixed.target_bytes, &match.target},
        std::pair<std::size_t, std::string_view*>{match.fixed.value_bytes, &match.value},
        std::pair<std::size_t, std::string_view*>{match.fixed.matched_bytes, &match.matched}}) {
    if (bytes.size() < length) return false;
    *into = bytes.substr(0, length);
    bytes.remove_prefix(length);
  }
  return true;
}

}  // namespace

std::string_view Record::first(abi::EventFieldId id) const {
  const auto at =
      std::find_if(fields.begin(), fields.end(), [id](const Field& f) { return f.id == id; });
  return at == fields.end() ? std::string_view{} : at->bytes;
}

bool decode(std::uint32_t type, std::span<const std::uint8_t> payload, Record& record) {
  record.fields.clear();
  record.matches.clear();
  if (type < 1 || type > 3 || payload.size() < sizeof record.header) return false;
  record.type = static_cast<abi::RecordType>(type);
  std::memcpy(&record.header, payload.data(), sizeof record.header);
  std::string_view rest(reinterpret_cast<const char*>(payload.data()), payload.size());
  rest.remove_prefix(sizeof record.header);
  for (std::uint32_t i = 0; i < record.header.field_count; ++i) {
    abi::EventField field;
    if (rest.size() < sizeof field) return false;
    std::memcpy(&field, rest.data(), sizeof field);
    rest.remove_prefix(sizeof field);
    if (rest.size() < field.bytes) return false;
    const std::string_view bytes = rest.substr(0, field.bytes);
    rest.remove_prefix(std::min<std::size_t>(rest.size(), (field.bytes + 3u) & ~3u));
    if (field.id == abi::EventFieldId::kRuleMatch) {
      RuleMatch match;
      if (!decode_match(bytes, match)) return false;
      record.matches.push_back(match);
    } else if (field.id == abi::EventFieldId::kRuleSource && !record.matches.empty()) {
      record.matches.back().source = bytes;
    } else if (field.id == abi::EventFieldId::kRuleSent && !record.matches.empty()) {
      if (bytes.size() < sizeof(std::uint32_t)) return false;
      RuleMatch& match = record.matches.back();
      std::memcpy(&match.sent_total, bytes.data(), sizeof match.sent_total);
      match.sent = bytes.substr(sizeof match.sent_total);
    } else if (field.id == abi::EventFieldId::kRuleBody && !record.matches.empty()) {
      RuleMatch& match = record.matches.back();
      std::uint64_t places[2];
      if (bytes.size() != sizeof places) return false;
      std::memcpy(places, bytes.data(), sizeof places);
      match.body_from = places[0];
      match.body_to = places[1];
    } else if (field.id == abi::EventFieldId::kRuleMessage && !record.matches.empty()) {
      record.matches.back().message = bytes;
    } else {
      record.fields.push_back({field.id, bytes});
    }
  }
  return true;
}

std::string event_id_text(const abi::EventHeader& header) {
  const base::UlidText text = base::to_text({header.event_id[0], header.event_id[1]});
  return std::string(text.data(), text.size());
}

std::string address_text(const std::uint8_t (&address)[16]) {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  char text[INET6_ADDRSTRLEN] = "";
  if (std::memcmp(address, kMapped, sizeof kMapped) == 0) {
    ::inet_ntop(AF_INET, address + 12, text, sizeof text);
  } else {
    ::inet_ntop(AF_INET6, address, text, sizeof text);
  }
  return text;
}

}  // namespace sluice::telemetry
