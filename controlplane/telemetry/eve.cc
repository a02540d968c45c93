// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/eve.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "controlplane/telemetry/json_writer.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/abi/verdict.h"

namespace sluice::telemetry {
namespace {

using abi::EventFieldId;
/// Suricata's flow ids fit a double; readers in other languages rely on it.
constexpr std::uint64_t kFlowIdMask = (1ULL << 53) - 1;

void write_base64(std::string_view bytes, std::string& out) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t left = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < left ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += j <= left ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
}

/// Text where it is text; beside it the bytes themselves where it is not.
void bytes_field(JsonWriter& json, const std::string& name, std::string_view bytes) {
  json.field(name, bytes);
  if (is_utf8(bytes)) return;
  std::string encoded;
  write_base64(bytes, encoded);
  json.field(name + "_b64", std::string_view(encoded));
}

const char* event_type(abi::RecordType type) {
  switch (type) {
    case abi::RecordType::kAlert:
      return "alert";
    case abi::RecordType::kDrop:
      return "drop";
    case abi::RecordType::kHttp:
      return "http";
    case abi::RecordType::kSkip:
      break;
  }
  return "unknown";
}

void write_flow(JsonWriter& json, const Record& record) {
  const abi::EventHeader& header = record.header;
  json.field("timestamp", std::string_view(eve_timestamp(header.time_ns)));
  json.field("flow_id", header.flow_id & kFlowIdMask);
  json.field("event_type", std::string_view(event_type(record.type)));
  json.field("src_ip", std::string_view(address_text(header.source)));
  json.field("src_port", header.source_port);
  json.field("dest_ip", std::string_view(address_text(header.destination)));
  json.field("dest_port", header.destination_port);
  json.field("proto", std::string_view("TCP"));
  if (header.vlan[0] != 0) {
    json.key("vlan").open('[').number(header.vlan[0]);
    if (header.vlan[1] != 0) json.number(header.vlan[1]);
    json.close(']');
  }
}

void write_http(JsonWriter& json, const Record& record) {
  if (record.first(EventFieldId::kMethod).empty() && record.first(EventFieldId::kUri).empty()) {
    return;
  }
  json.key("http").open();
  for (const auto& [id, name] :
       {std::pair{EventFieldId::kHost, "hostname"}, std::pair{EventFieldId::kUri, "url"},
        std::pair{EventFieldId::kMethod, "http_method"},
        std::pair{EventFieldId::kProtocol, "protocol"},
        std::pair{EventFieldId::kUserAgent, "http_user_agent"},
        std::pair{EventFieldId::kContentType, "http_content_type"}}) {
    const std::string_view value = record.first(id);
    if (!value.empty()) bytes_field(json, name, value);
  }
  if (record.header.status != 0) json.field("status", record.header.status);
  json.field("length", record.header.response_body_bytes);
  bool any = false;
  for (const auto& field : record.fields) {
    if (field.id != EventFieldId::kRequestHeader) continue;
    const std::size_t colon = field.bytes.find(':');
    if (colon == std::string_view::npos) continue;
    if (!any) json.key("request_headers").open();
    any = true;
    std::string_view value = field.bytes.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    json.field(field.bytes.substr(0, colon), value);
  }
  if (any) json.close();
  json.close();
}

/// decided: the deciding rule's message with its macros expanded; others have theirs as written.
void write_match(JsonWriter& json, const RuleMatch& match, const Catalogue& catalogue,
                 std::string_view decided) {
  json.open();
  json.field("id", match.fixed.rule_id);
  json.field("phase", match.fixed.phase);
  json.field("target", match.target);
  json.field("score", match.fixed.score);
  bytes_field(json, "value", match.value);
  if (match.fixed.value_total > match.value.size()) {
    json.field("value_bytes", match.fixed.value_total);
  }
  if (!match.source.empty()) bytes_field(json, "source", match.source);
  if (!match.sent.empty()) bytes_field(json, "sent", match.sent);
  if (match.sent_total > match.sent.size()) json.field("sent_bytes", match.sent_total);
  if (match.body_to != 0) {
    json.key("body").open().field("from", match.body_from).field("to", match.body_to).close();
  }
  if (!match.matched.empty()) bytes_field(json, "matched", match.matched);
  json.field("blocking", match.fixed.blocking != 0);
  const Catalogue::Rule* rule = catalogue.rule(match.fixed.rule_id);
  if (!match.message.empty()) {
    json.field("msg", match.message);
  } else if (match.fixed.blocking != 0 && !decided.empty()) {
    json.field("msg", decided);
  } else if (rule != nullptr && !rule->message.empty()) {
    json.field("msg", std::string_view(rule->message));
  }
  json.close();
}

void write_alert(JsonWriter& json, const Record& record, const Catalogue& catalogue) {
  const abi::EventHeader& header = record.header;
  const Catalogue::Rule* rule = catalogue.rule(header.rule_id);
  json.key("alert").open();
  json.field("action",
             std::string_view(header.action == abi::Action::kBlock ? "blocked" : "allowed"));
  json.field("gid", 1u);
  json.field("signature_id", header.rule_id);
  std::uint64_t revision = 0;
  if (rule != nullptr) {
    for (const char c : rule->revision) {
      if (c >= '0' && c <= '9') revision = revision * 10 + static_cast<std::uint64_t>(c - '0');
    }
  }
  json.field("rev", revision);
  std::string_view signature = record.first(EventFieldId::kMessage);
  if (signature.empty() && rule != nullptr) signature = rule->message;
  const auto reason = static_cast<std::size_t>(header.reason);
  std::string staged;
  if (signature.empty() && header.action == abi::Action::kPass && header.staged_generation != 0) {
    // It passed, and is an alert because the staged generation says otherwise.
    staged = "staged generation " + std::to_string(header.staged_generation) + " says " +
             std::string(abi::action_name(header.staged_action)) + ": " +
             std::string(abi::reason_name(header.staged_reason));
    signature = staged;
  }
  if (signature.empty() && reason < abi::kReasonCount) {
    signature = abi::kReasonTexts[reason].meaning;
  }
  json.field("signature", signature);
  json.field("category", abi::reason_name(header.reason));
  int severity = 2;
  if (rule != nullptr) severity = eve_severity(rule->severity);
  if (header.reason == abi::Reason::kLimit) severity = 3;
  json.field("severity", severity);
  json.key("rules").open('[');
  for (const RuleMatch& match : record.matches)
    write_match(json, match, catalogue, record.first(EventFieldId::kMessage));
  json.close(']').close();
}

void write_staged(JsonWriter& json, const Record& record) {
  const abi::EventHeader& header = record.header;
  if (header.staged_generation == 0) return;
  json.key("staged").open();
  json.field("generation", header.staged_generation);
  json.field("differs", (header.flags & abi::kEventStagedDiffers) != 0);
  json.field("verdict", abi::action_name(header.staged_action));
  json.field("reason", abi::reason_name(header.staged_reason));
  json.key("scores").open();
  json.field("inbound", header.staged_score_inbound);
  json.field("outbound", header.staged_score_outbound).close();
  json.key("rules").open('[');
  for (const auto& field : record.fields) {
    if (field.id == EventFieldId::kStagedRule) json.text(field.bytes);
  }
  json.close(']').close();
}

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

void write_sluice(JsonWriter& json, const Record& record, const Catalogue& catalogue) {
  const abi::EventHeader& header = record.header;
  json.key("sluice").open();
  json.field("event_id", std::string_view(event_id_text(header)));
  json.field("service", catalogue.service(header.service_index));
  json.field("verdict", abi::action_name(header.action));
  json.field("reason", abi::reason_name(header.reason));
  json.field("phase", header.phase);
  json.key("scores").open();
  json.field("inbound", header.score_inbound).field("outbound", header.score_outbound).close();
  const auto deciding = std::find_if(record.matches.begin(), record.matches.end(),
                                     [](const RuleMatch& m) { return m.fixed.blocking != 0; });
  if (deciding != record.matches.end()) {
    json.field("target", deciding->target);
    bytes_field(json, "value", deciding->value);
  }
  if (const std::string_view head = record.first(EventFieldId::kRefusedHead);
      head.size() > 2 * sizeof(std::uint32_t)) {
    std::uint32_t places[2];
    std::memcpy(places, head.data(), sizeof places);
    json.key("refused").open();
    json.field("at", places[0]).field("from", places[1]);
    bytes_field(json, "head", head.substr(sizeof places));
    json.close();
  }
  json.field("generation", header.generation);
  json.key("bytes").open();
  json.field("request", header.request_bytes).field("response", header.response_bytes);
  json.field("request_body", header.request_body_bytes);
  json.field("response_body", header.response_body_bytes);
  json.field("inspected", header.inspected_bytes).close();
  json.field("exact", (header.flags & abi::kEventExact) != 0);
  for (const auto& [bit, name] :
       {std::pair{abi::kEventPartial, "partial"}, std::pair{abi::kEventReplied, "replied"},
        std::pair{abi::kEventReset, "reset"}, std::pair{abi::kEventCut, "cut"}}) {
    if ((header.flags & bit) != 0) json.field(name, true);
  }
  json.field("latency_us", header.added_ns / 1000);
  if (header.duration_ns != 0) json.field("duration_us", header.duration_ns / 1000);
  if (header.server_ns != 0) json.field("server_us", header.server_ns / 1000);
  json.field("worker", header.worker).field("transaction", header.transaction);
  json.field("direction", std::string_view(header.direction == 0 ? "to_server" : "to_client"));
  if (record.type == abi::RecordType::kDrop) json.field("packets", header.packet_count);
  for (const auto& [id, name] : {std::pair{EventFieldId::kLimitName, "limit"},
                                 std::pair{EventFieldId::kClientAddress, "client_address"},
                                 std::pair{EventFieldId::kRoute, "route"}}) {
    const std::string_view value = record.first(id);
    if (!value.empty()) json.field(name, value);
  }
  const std::string_view digest = record.first(EventFieldId::kBodySha256);
  if (!digest.empty()) json.field("body_sha256", std::string_view(hex(digest)));
  write_staged(json, record);
  json.close();
}

}  // namespace

std::string_view Catalogue::service(std::uint16_t index) const {
  return index < services.size() ? std::string_view(services[index]) : std::string_view{};
}

const Catalogue::Rule* Catalogue::rule(std::uint32_t id) const {
  const auto at = rules.find(id);
  return at == rules.end() ? nullptr : &at->second;
}

std::string eve_timestamp(std::uint64_t wall_ns) {
  using namespace std::chrono;
  const sys_time<nanoseconds> time{nanoseconds(wall_ns)};
  const auto midnight = floor<days>(time);
  const year_month_day date(midnight);
  const hh_mm_ss clock(floor<microseconds>(time - midnight));
  std::string text = "0000-00-00T00:00:00.000000+0000";
  const auto put = [&](std::size_t end, std::uint64_t value) {
    for (; value > 0; value /= 10) text[--end] = static_cast<char>('0' + value % 10);
  };
  put(4, static_cast<std::uint64_t>(static_cast<int>(date.year())));
  put(7, static_cast<unsigned>(date.month()));
  put(10, static_cast<unsigned>(date.day()));
  put(13, static_cast<std::uint64_t>(clock.hours().count()));
  put(16, static_cast<std::uint64_t>(clock.minutes().count()));
  put(19, static_cast<std::uint64_t>(clock.seconds().count()));
  put(26, static_cast<std::uint64_t>(clock.subseconds().count()));
  return text;
}

int eve_severity(std::string_view severity) {
  for (const std::string_view high : {"EMERGENCY", "ALERT", "CRITICAL", "0", "1", "2"}) {
    if (severity == high) return 1;
  }
  for (const std::string_view middle : {"ERROR", "WARNING", "3", "4"}) {
    if (severity == middle) return 2;
  }
  return 3;
}

void write_eve(const Record& record, const Catalogue& catalogue, std::string& out) {
  JsonWriter json(out);
  json.open();
  write_flow(json, record);
  write_http(json, record);
  if (record.type == abi::RecordType::kAlert) write_alert(json, record, catalogue);
  if (record.type == abi::RecordType::kDrop) {
    json.key("drop").open().field("reason", abi::reason_name(record.header.reason));
    json.field("packets", record.header.packet_count).close();
  }
  write_sluice(json, record, catalogue);
  json.close();
  out += '\n';
}

void write_audit(const AuditEvent& event, std::string& out) {
  JsonWriter json(out);
  json.open();
  json.field("timestamp", std::string_view(eve_timestamp(event.wall_ns)));
  json.field("event_type", std::string_view("audit"));
  json.key("audit").open();
  json.field("action", std::string_view(event.action));
  json.field("result", std::string_view(event.result));
  if (!event.detail.empty()) json.field("detail", std::string_view(event.detail));
  json.close();
  json.key("sluice").open();
  json.field("event_id", std::string_view(event.event_id));
  json.field("actor", std::string_view(event.actor));
  json.field("generation", event.generation).close();
  json.close();
  out += '\n';
}

}  // namespace sluice::telemetry
