// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "controlplane/telemetry/record.h"

namespace sluice::telemetry {

/// What records name by number, of one generation.
struct Catalogue {
  struct Rule {
    std::string message, severity, revision, text, file, logdata;
    std::vector<std::string> tags;
    std::vector<std::string> transformations;  ///< of the value that a match shows, in order
    std::uint32_t line = 0;
    std::uint32_t index = 0;  ///< in the image: counters go by it
  };
  std::vector<std::string> services, limits;
  std::unordered_map<std::uint32_t, Rule> rules;

  [[nodiscard]] std::string_view service(std::uint16_t index) const;
  [[nodiscard]] const Rule* rule(std::uint32_t id) const;
};

/// From an image's bytes and a generation's rules.json.
Catalogue make_catalogue(std::string_view image, std::string_view rules_json);

/// "2026-11-24T11:15:00.123456+0000", as Suricata writes it.
std::string eve_timestamp(std::uint64_t wall_ns);
/// Suricata's 1 (high) .. 3 (low) for a SecLang severity by name or number.
int eve_severity(std::string_view severity);

/// Appends one line (with its newline) for a record. interface.md, Events.
void write_eve(const Record& record, const Catalogue& catalogue, std::string& out);

struct AuditEvent {
  std::uint64_t wall_ns = 0;
  std::string event_id, action, result, detail, actor;
  std::uint64_t generation = 0;
};
void write_audit(const AuditEvent& event, std::string& out);

}  // namespace sluice::telemetry
