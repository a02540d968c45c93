// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/events.h"

#include <algorithm>
#include <cstring>

#include "dataplane/engine/masked_head.h"
#include "dataplane/rules/transaction.h"

namespace sluice::engine {
namespace {

using abi::EventFieldId;

constexpr std::size_t kTargetBytesMax = 128, kValueBytesMax = 512, kMatchedBytesMax = 256,
                      kMessageBytesMax = 256;

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool contains_lower(std::string_view text, std::string_view wanted) {
  if (text.size() < wanted.size()) return false;
  for (std::size_t i = 0; i + wanted.size() <= text.size(); ++i) {
    std::size_t k = 0;
    while (k < wanted.size() && lower(text[i + k]) == wanted[k]) ++k;
    if (k == wanted.size()) return true;
  }
  return false;
}

bool equal_lower(std::string_view text, std::string_view wanted) {
  return text.size() == wanted.size() && contains_lower(text, wanted);
}

/// Where the line starts from which a refused head is shown: what came before the offence says more
/// than what came behind it.
std::size_t first_line_shown(std::string_view head, std::size_t at) {
  constexpr std::size_t kBehind = 64;
  if (at + kBehind <= kValueBytesMax) return 0;
  const std::size_t end = head.find_first_of("\r\n", at + kBehind - kValueBytesMax);
  if (end < at) return end + 1;
  const std::size_t before = at == 0 ? at : head.find_last_of("\r\n", at - 1);
  return before == std::string_view::npos ? 0 : before + 1;
}

/// Writes the fields of one record behind its header into reserved ring memory.
class FieldWriter {
 public:
  explicit FieldWriter(std::span<std::uint8_t> room) : room_(room) {
    used_ = sizeof(abi::EventHeader);
  }

  void text(EventFieldId id, std::string_view value) {
    if (value.empty()) return;
    const std::size_t bytes = std::min(value.size(), abi::kEventFieldBytesMax);
    std::uint8_t* at = open(id, bytes);
    if (at == nullptr) return;
    std::memcpy(at, value.data(), bytes);
  }
  void masked(EventFieldId id, std::string_view value) {
    if (value.empty()) return;
    char buffer[abi::kEventFieldBytesMax];
    text(id, {buffer, copy_masked(value, buffer)});
  }
  void request_header(const http::Field& field, bool mask) {
    char buffer[abi::kEventFieldBytesMax];
    std::size_t size = append(buffer, 0, field.name);
    // One name for one field, whatever a client writes (RFC 9110 section 5.1).
    std::transform(buffer, buffer + size, buffer,
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    size = append(buffer, size, ": ");
    size = append(buffer, size, mask ? std::string_view("***") : field.value);
    text(EventFieldId::kRequestHeader, {buffer, size});
  }
  /// sent: what the client sent for the value, if parsing changed it.
  void match(const rules::RuleMatch& match, base::Bytes sent, bool mask) {
    abi::EventRuleMatch fixed{};
    fixed.rule_id = match.rule_id;
    fixed.score = match.score;
    fixed.phase = match.phase;
    fixed.blocking = match.blocking ? 1 : 0;
    fixed.value_total = match.value_total;
    const std::string_view target = match.target.substr(0, kTargetBytesMax);
    char value[kValueBytesMax], matched[kMatchedBytesMax];
    std::size_t value_bytes = 0, matched_bytes = 0;
    if (!mask) {
      value_bytes = copy_masked(base::as_text(match.value), value);
      matched_bytes = copy_masked(base::as_text(match.matched), matched);
    }
    fixed.target_bytes = static_cast<std::uint16_t>(target.size());
    fixed.value_bytes = static_cast<std::uint16_t>(value_bytes);
    fixed.matched_bytes = static_cast<std::uint16_t>(matched_bytes);
    std::uint8_t* at =
        open(EventFieldId::kRuleMatch, sizeof fixed + target.size() + value_bytes + matched_bytes);
    if (at == nullptr) return;
    std::memcpy(at, &fixed, sizeof fixed);
    at += sizeof fixed;
    if (!target.empty()) std::memcpy(at, target.data(), target.size());
    std::memcpy(at + target.size(), value, value_bytes);
    std::memcpy(at + target.size() + value_bytes, matched, matched_bytes);
    if (match.body_to != 0) {
      const std::uint64_t places[2] = {match.body_from, match.body_to};
      char buffer[sizeof places];
      std::memcpy(buffer, places, sizeof places);
      text(EventFieldId::kRuleBody, {buffer, sizeof buffer});
    }
    if (mask) return;  // a message may quote the value
    // What is masked in the value is not found among its escapes.
    const bool secret_value = holds_secret(match.value);
    const bool secret_source = holds_secret(match.source);
    if (secret_source || !secret_value) {
      masked(EventFieldId::kRuleSource, base::as_text(match.source));
    }
    this->sent(base::as_text(sent), secret_value || secret_source);
    masked(EventFieldId::kRuleMessage, match.message.substr(0, kMessageBytesMax));
  }
  /// secret: a part of the value is masked, so only the length is given.
  void sent(std::string_view bytes, bool secret) {
    if (bytes.empty()) return;
    const auto total = static_cast<std::uint32_t>(bytes.size());
    char buffer[sizeof total + kValueBytesMax];
    std::memcpy(buffer, &total, sizeof total);
    const std::span<char> room(buffer + sizeof total, kValueBytesMax);
    const std::size_t size = secret ? 0 : copy_masked(bytes, room);
    text(EventFieldId::kRuleSent, {buffer, sizeof total + size});
  }
  /// The head that was refused, from a line before the offence on.
  void refused(std::string_view head, std::size_t at, const EventOptions::Names& mask) {
    if (head.empty()) return;
    const std::size_t from = first_line_shown(head, at);
    const std::uint32_t places[2] = {static_cast<std::uint32_t>(at),
                                     static_cast<std::uint32_t>(from)};
    char buffer[sizeof places + kValueBytesMax];
    std::memcpy(buffer, places, sizeof places);
    const std::span<char> room(buffer + sizeof places, kValueBytesMax);
    text(EventFieldId::kRefusedHead,
         {buffer, sizeof places + copy_masked_head(head, from, mask, room)});
  }
  void number(EventFieldId id, std::uint32_t value) {
    char digits[10];
    std::size_t count = 0;
    do {
      digits[9 - count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    text(id, {digits + 10 - count, count});
  }

  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::uint16_t count() const { return count_; }
  [[nodiscard]] bool cut() const { return cut_; }

 private:
  static bool holds_secret(base::Bytes value) {
    char copy[abi::kMatchValueBytesMax];
    const std::string_view text = base::as_text(value);
    return text.substr(0, sizeof copy) != std::string_view(copy, copy_masked(text, copy));
  }
  template <std::size_t kSize>
  static std::size_t append(char (&buffer)[kSize], std::size_t at, std::string_view text) {
    const std::size_t bytes = std::min(text.size(), kSize - at);
    std::memcpy(buffer + at, text.data(), bytes);
    return at + bytes;
  }
  std::uint8_t* open(EventFieldId id, std::size_t bytes) {
    const std::size_t padded = (bytes + 3) & ~std::size_t{3};
    if (room_.size() - used_ < sizeof(abi::EventField) + padded) {
      cut_ = true;
      return nullptr;
    }
    const abi::EventField field{id, static_cast<std::uint16_t>(bytes)};
    std::memcpy(room_.data() + used_, &field, sizeof field);
    std::uint8_t* at = room_.data() + used_ + sizeof field;
    if (padded != bytes) std::memset(at + bytes, 0, padded - bytes);
    used_ += sizeof field + padded;
    ++count_;
    return at;
  }

  std::span<std::uint8_t> room_;
  std::size_t used_;
  std::uint16_t count_ = 0;
  bool cut_ = false;
};

/// Whether a member's value may not be shown: it is a masked header, a cookie where cookies are
/// masked, or an argument with a secret name.
bool masks_member(const EventOptions& options, std::string_view collection, std::string_view name) {
  if (equal_lower(collection, "request_headers") || equal_lower(collection, "response_headers")) {
    return options.mask.contains(name) || is_secret_name(name);
  }
  if (equal_lower(collection, "request_cookies")) {
    return options.mask.contains("cookie") || is_secret_name(name);
  }
  return is_secret_name(name);
}

/// The same of a match: by its target, "MATCHED_VARS:ARGS:pin" for one, and by what a target such
/// as TX:1 came from.
bool masks_match(const EventOptions& options, const rules::RuleMatch& match,
                 const rules::Origin& origin) {
  if (masks_member(options, origin.collection, origin.key)) return true;
  std::string_view target = match.target;
  for (;;) {
    const std::size_t colon = target.find(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view collection = target.substr(0, colon);
    target.remove_prefix(colon + 1);
    if (masks_member(options, collection, target)) return true;
    if (!equal_lower(collection, "matched_vars")) return false;
  }
}

inline constexpr std::size_t kSentMax = 32;  // values; more rules than that fill a record

/// What the client sent for the first values that matched. O(head + body).
std::size_t find_sent(const rules::Transaction& transaction, rules::SentBytes (&sent)[kSentMax]) {
  std::size_t count = 0;
  for (const rules::RuleMatch& match : transaction.matches()) {
    if (match.nolog || match.origin == rules::kNoOrigin || count == kSentMax) continue;
    const bool known = std::any_of(sent, sent + count, [&](const rules::SentBytes& each) {
      return each.origin == match.origin;
    });
    if (!known) sent[count++] = {match.origin, {}};
  }
  transaction.find_sent({sent, count});
  return count;
}

constexpr bool ends_value(char c) {
  return c == '&' || c == ';' || c == ' ' || c == '\r' || c == '\n' || c == '#' || c == ',' ||
         c == '"' || c == '}';
}
constexpr bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == '[' || c == ']';
}

}  // namespace

bool EventOptions::Names::add(std::string_view name) {
  if (count == kEventHeaderNamesMax || name.size() > kEventHeaderNameBytesMax) return false;
  Name& slot = names[count++];
  for (std::size_t i = 0; i < name.size(); ++i) slot.text[i] = lower(name[i]);
  slot.bytes = static_cast<std::uint8_t>(name.size());
  return true;
}

bool EventOptions::Names::contains(std::string_view name) const {
  for (std::size_t i = 0; i < count; ++i) {
    if (abi::equal_ignoring_case(names[i].view(), name)) return true;
  }
  return false;
}

bool is_secret_name(std::string_view name) {
  static constexpr std::string_view kParts[] = {
      "passw",   "pwd",        "secret",     "token",      "api_key",    "apikey",
      "api-key", "access_key", "credential", "passphrase", "private_key"};
  for (const std::string_view part : kParts) {
    if (contains_lower(name, part)) return true;
  }
  static constexpr std::string_view kWhole[] = {"pin", "cvv", "cvc", "otp", "ssn", "pass"};
  for (const std::string_view whole : kWhole) {
    if (equal_lower(name, whole)) return true;
  }
  return false;
}

std::size_t copy_masked(std::string_view text, std::span<char> out) {
  std::size_t used = 0, name_start = 0, name_end = 0;
  std::size_t at = 0;
  const auto put = [&](char c) {
    if (used < out.size()) out[used++] = c;
  };
  while (at < text.size() && used < out.size()) {
    const char c = text[at];
    put(c);
    ++at;
    if (is_name_char(c)) {
      if (name_end != at - 1) name_start = at - 1;
      name_end = at;
      continue;
    }
    if (c == '"' || c == ' ') continue;  // between a JSON name and its colon
    const bool assigns = (c == '=' || c == ':') && name_end > name_start;
    const bool secret = assigns && is_secret_name(text.substr(name_start, name_end - name_start));
    name_start = name_end = 0;
    if (!secret) continue;
    while (at < text.size() && (text[at] == ' ' || text[at] == '"')) put(text[at++]);
    const bool quoted = text[at - 1] == '"';
    std::size_t end = at;
    while (end < text.size() && !(quoted ? text[end] == '"' : ends_value(text[end]))) {
      end += text[end] == '\\' && quoted ? 2U : 1U;
    }
    if (end != at) {
      for (int star = 0; star < 3; ++star) put('*');
    }
    at = std::min(end, text.size());
  }
  return used;
}

void EventWriter::write(abi::RingWriter& ring, abi::RecordType type,
                        const TransactionRecord& record) {
  const std::span<std::uint8_t> room = ring.reserve(abi::kEventRecordBytesMax);
  if (room.empty()) return;
  FieldWriter fields(room);
  fields.text(EventFieldId::kMethod, record.method);
  fields.masked(EventFieldId::kUri, record.uri);
  fields.text(EventFieldId::kProtocol, record.protocol);
  fields.text(EventFieldId::kHost, record.host);
  fields.text(EventFieldId::kUserAgent, record.user_agent);
  fields.text(EventFieldId::kContentType, record.content_type);
  fields.text(EventFieldId::kClientAddress, record.client_address);
  fields.text(EventFieldId::kLimitName, record.limit_name);
  fields.text(EventFieldId::kRoute, record.route);
  fields.text(EventFieldId::kBodySha256, base::as_text(record.body_sha256));
  if (options_.request_headers.count != 0) {
    for (const http::Field& field : record.fields) {
      if (!options_.request_headers.contains(field.name)) continue;
      fields.request_header(field, options_.mask.contains(field.name));
    }
  }
  if (type == abi::RecordType::kAlert) {
    fields.refused(record.refused_head, record.refused_at, options_.mask);
  }
  if (record.rules != nullptr) {
    rules::SentBytes sent[kSentMax];
    // Honest requests are not searched for what weak signals were.
    const std::size_t sent_count =
        type == abi::RecordType::kAlert ? find_sent(*record.rules, sent) : 0;
    for (const rules::RuleMatch& match : record.rules->matches()) {
      if (match.nolog) continue;
      const auto* found = std::find_if(sent, sent + sent_count, [&](const rules::SentBytes& each) {
        return each.origin == match.origin;
      });
      fields.match(match, found == sent + sent_count ? base::Bytes() : found->bytes,
                   masks_match(options_, match, record.rules->origin_of(match)));
    }
    for (const rules::RuleMatch& match : record.rules->matches()) {
      // A message may quote the value: where that is masked, the catalogue's text stands for it.
      if (match.blocking && !masks_match(options_, match, record.rules->origin_of(match))) {
        fields.masked(EventFieldId::kMessage, match.message);
      }
    }
  }
  if (record.staged != nullptr) {
    for (const rules::RuleMatch& match : record.staged->matches()) {
      if (!match.nolog) fields.number(EventFieldId::kStagedRule, match.rule_id);
    }
  }
  abi::EventHeader header = *record.header;
  header.field_count = fields.count();
  if (fields.cut()) header.flags |= abi::kEventCut;
  std::memcpy(room.data(), &header, sizeof header);
  ring.commit(static_cast<std::uint32_t>(type), fields.used());
}

void EventWriter::transaction(const TransactionRecord& record) {
  const bool differs = (record.header->flags & abi::kEventStagedDiffers) != 0;
  if (record.header->action != abi::Action::kPass || differs) {
    write(verdicts_, abi::RecordType::kAlert, record);
  }
  if (options_.http_records && !sampled_out(record)) write(http_, abi::RecordType::kHttp, record);
}

/// Honest: passed by live and staged rules, and no rule matched.
bool EventWriter::sampled_out(const TransactionRecord& record) {
  if (options_.sample <= 1 || record.header->action != abi::Action::kPass) return false;
  if ((record.header->flags & abi::kEventStagedDiffers) != 0) return false;
  if (record.rules != nullptr && !record.rules->matches().empty()) return false;
  if (++honest_ < options_.sample) return true;
  honest_ = 0;
  return false;
}

void EventWriter::drop(const abi::EventHeader& header) {
  const std::span<std::uint8_t> room = verdicts_.reserve(sizeof header);
  if (room.empty()) return;
  std::memcpy(room.data(), &header, sizeof header);
  verdicts_.commit(static_cast<std::uint32_t>(abi::RecordType::kDrop), sizeof header);
}

}  // namespace sluice::engine
