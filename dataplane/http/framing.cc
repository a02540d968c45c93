// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/framing.h"

#include <array>

#include "dataplane/http/characters.h"

namespace sluice::http {
namespace {

using abi::Reason;

constexpr std::uint64_t bit(FieldId id) { return std::uint64_t{1} << static_cast<unsigned>(id); }
static_assert(static_cast<unsigned>(FieldId::kCount) <= 64);

/// HH14: of these, servers take the first, the last or the joined one.
constexpr std::uint64_t kSingletons = bit(FieldId::kContentType) | bit(FieldId::kContentEncoding) |
                                      bit(FieldId::kAuthorization) |
                                      bit(FieldId::kContentDisposition);
/// HH11: names that decide framing, identity or routing, and that CGI-like servers also read with
/// underscores.
constexpr std::uint64_t kNoUnderscore =
    bit(FieldId::kHost) | bit(FieldId::kContentLength) | bit(FieldId::kTransferEncoding) |
    bit(FieldId::kConnection) | bit(FieldId::kUpgrade) | bit(FieldId::kExpect) |
    bit(FieldId::kContentType) | bit(FieldId::kContentEncoding) | bit(FieldId::kAuthorization) |
    bit(FieldId::kProxyAuthorization) | bit(FieldId::kCookie) | bit(FieldId::kTe) |
    bit(FieldId::kTrailer) | bit(FieldId::kVia) | bit(FieldId::kForwarded) |
    bit(FieldId::kXForwardedFor) | bit(FieldId::kXForwardedHost) | bit(FieldId::kXForwardedProto) |
    bit(FieldId::kXRealIp) | bit(FieldId::kXHost) | bit(FieldId::kXOriginalUrl) |
    bit(FieldId::kXRewriteUrl) | bit(FieldId::kXHttpMethodOverride) | bit(FieldId::kXHttpMethod) |
    bit(FieldId::kXMethodOverride) | bit(FieldId::kXMiddlewareSubrequest) | bit(FieldId::kProxy) |
    bit(FieldId::kProxyConnection);
/// HH10: bytes above 0x7f in these are trimmed or mapped by some servers.
constexpr std::uint64_t kAsciiOnly = bit(FieldId::kContentType) | bit(FieldId::kUpgrade);

bool maps_to_reserved_name(std::string_view name) {
  std::array<char, 24> mapped;
  if (name.size() > mapped.size() || name.find('_') == std::string_view::npos) return false;
  for (std::size_t i = 0; i < name.size(); ++i) mapped[i] = name[i] == '_' ? '-' : name[i];
  return (bit(field_id({mapped.data(), name.size()})) & kNoUnderscore) != 0;
}

bool has_high_byte(std::string_view text) {
  for (const char c : text) {
    if (static_cast<std::uint8_t>(c) >= 0x80) return true;
  }
  return false;
}

/// The value with blanks cut but not tabs, which not every server trims (HF2, HF4): the tabs that
/// trim_ows() took lie between the colon, the value and the line's end.
bool tabs_around(const Field& field) {
  const char* const before = field.name.data() + field.name.size();
  for (const char* at = before; at < field.value.data(); ++at) {
    if (*at == '\t') return true;
  }
  const char* at = field.value.data() + field.value.size();
  for (; *at == ' ' || *at == '\t'; ++at) {  // every line of a complete head ends in CR LF
    if (*at == '\t') return true;
  }
  return false;
}

template <typename Sink>
void for_each_element(std::string_view list, Sink&& sink) {
  while (true) {
    const std::size_t comma = list.find(',');
    sink(trim_ows(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

struct ConnectionOptions {
  bool close = false, keep_alive = false, upgrade = false, other = false;

  void read(std::string_view value) {
    for_each_element(value, [this](std::string_view option) {
      if (abi::equal_ignoring_case(option, "close")) {
        close = true;
      } else if (abi::equal_ignoring_case(option, "keep-alive")) {
        keep_alive = true;
      } else if (abi::equal_ignoring_case(option, "upgrade")) {
        upgrade = true;
      } else if (!option.empty() && !abi::equal_ignoring_case(option, "te") &&
                 !abi::equal_ignoring_case(option, "http2-settings")) {
        other = true;
      }
    });
  }
};

/// What one pass over the fields finds.
struct Found {
  std::uint64_t seen = 0, repeated = 0;
  const Field* content_length = nullptr;
  const Field* transfer_encoding = nullptr;
  const Field* host = nullptr;
  const Field* expect = nullptr;
  const Field* upgrade = nullptr;
  ConnectionOptions connection;
  bool reserved_underscore = false;
  bool high_bytes = false;

  void read(const Field& field) {
    if (field.id == FieldId::kOther) {
      reserved_underscore |= maps_to_reserved_name(field.name);
      return;
    }
    repeated |= seen & bit(field.id);
    seen |= bit(field.id);
    if ((bit(field.id) & kAsciiOnly) != 0) high_bytes |= has_high_byte(field.value);
    if (field.id == FieldId::kContentLength) content_length = &field;
    if (field.id == FieldId::kTransferEncoding) transfer_encoding = &field;
    if (field.id == FieldId::kHost) host = &field;
    if (field.id == FieldId::kExpect) expect = &field;
    if (field.id == FieldId::kUpgrade) upgrade = &field;
    if (field.id == FieldId::kConnection) connection.read(field.value);
  }
  [[nodiscard]] bool is_repeated(FieldId id) const { return (repeated & bit(id)) != 0; }
};

Found read_all(const Head& head) {
  Found found;
  for (const Field& field : head.fields) found.read(field);
  return found;
}

Reason frame_body(const Found& found, Head& head) {
  if (found.transfer_encoding != nullptr && found.content_length != nullptr) {
    return Reason::kHttpClAndTe;
  }
  if (found.transfer_encoding != nullptr) {
    const Field& field = *found.transfer_encoding;
    if (found.is_repeated(field.id) || tabs_around(field) ||
        !abi::equal_ignoring_case(field.value, "chunked")) {
      return Reason::kHttpTe;
    }
    if (head.minor_version == 0) return Reason::kHttpTe10;
    head.framing = BodyFraming::kChunked;
    return Reason::kNone;
  }
  if (found.content_length == nullptr) return Reason::kNone;
  if (found.is_repeated(FieldId::kContentLength)) return Reason::kHttpClDup;
  const Field& field = *found.content_length;
  if (tabs_around(field) || !parse_content_length(field.value, head.content_length)) {
    const bool list = field.value.find(',') != std::string_view::npos;
    return list ? Reason::kHttpClDup : Reason::kHttpClBad;
  }
  head.framing = head.content_length == 0 ? BodyFraming::kNone : BodyFraming::kLength;
  return Reason::kNone;
}

std::string_view without_default_port(std::string_view host, std::string_view target) {
  const bool https = target.size() > 4 && (target[4] == 's' || target[4] == 'S');
  const std::string_view port = https ? ":443" : ":80";
  if (host.ends_with(port)) host.remove_suffix(port.size());
  return host;
}

Reason check_host(const Found& found, const RequestHead& head) {
  if (found.host == nullptr) {
    return head.minor_version == 0 ? Reason::kNone : Reason::kHttpHost;
  }
  if (found.is_repeated(FieldId::kHost) || !valid_host(found.host->value)) {
    return Reason::kHttpHost;
  }
  if (head.authority.empty()) return Reason::kNone;
  const bool same = valid_host(head.authority) &&
                    abi::equal_ignoring_case(without_default_port(head.authority, head.target),
                                             without_default_port(found.host->value, head.target));
  return same ? Reason::kNone : Reason::kHttpHostConflict;
}

/// HF10: servers change how they read the body on anything that resembles 100-continue.
Reason check_expect(const Found& found, RequestHead& head) {
  if (found.expect == nullptr) return Reason::kNone;
  head.expect_continue = !found.is_repeated(FieldId::kExpect) && head.minor_version == 1 &&
                         head.framing != BodyFraming::kNone &&
                         found.expect->value == "100-continue";
  return head.expect_continue ? Reason::kNone : Reason::kHttpExpect;
}

/// HF22, HF23: a WebSocket handshake as RFC 6455 section 4.1 has it, where the service allows it.
Reason check_upgrade(const Found& found, const HeadLimits& limits, RequestHead& head) {
  if (found.upgrade == nullptr) return Reason::kNone;
  const bool websocket = abi::equal_ignoring_case(found.upgrade->value, "websocket") &&
                         !found.is_repeated(FieldId::kUpgrade) && head.minor_version == 1 &&
                         head.framing == BodyFraming::kNone && head.method == "GET" &&
                         found.connection.upgrade && !found.connection.close;
  head.upgrade = websocket ? Upgrade::kWebsocket : Upgrade::kOther;
  return websocket && limits.allow_websocket ? Reason::kNone : Reason::kHttpUpgrade;
}

Reason check_names_and_values(const Found& found) {
  if (found.reserved_underscore) return Reason::kHttpHeaderName;
  if (found.high_bytes) return Reason::kHttpHeaderValue;
  if (found.connection.other) return Reason::kHttpConnection;
  return (found.repeated & kSingletons) != 0 ? Reason::kHttpHeaderDup : Reason::kNone;
}

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && all_of_class(name, kClassHost);
}

bool valid_ipv6(std::string_view literal) {
  if (literal.size() < 2 || literal.size() > 45) return false;
  for (const char c : literal) {
    if (!is_class(c, kClassHexDigit) && c != ':' && c != '.') return false;
  }
  return literal.find(':') != std::string_view::npos;
}

bool valid_port(std::string_view port) {
  if (port.empty() || port.size() > 5 || !all_of_class(port, kClassDigit)) return false;
  std::uint32_t number = 0;
  for (const char c : port) number = number * 10 + static_cast<std::uint32_t>(c - '0');
  return number <= 65535;
}

}  // namespace

bool parse_content_length(std::string_view text, std::uint64_t& length) {
  if (text.empty() || text.size() > 19 || !all_of_class(text, kClassDigit)) return false;
  if (text.front() == '0' && text.size() > 1) return false;
  length = 0;
  for (const char c : text) length = length * 10 + static_cast<std::uint64_t>(c - '0');
  return true;
}

bool valid_host(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos || !valid_ipv6(host.substr(1, end - 1))) return false;
    const std::string_view after = host.substr(end + 1);
    return after.empty() || (after.front() == ':' && valid_port(after.substr(1)));
  }
  const std::size_t colon = host.find(':');
  if (colon == std::string_view::npos) return valid_name(host);
  return valid_name(host.substr(0, colon)) && valid_port(host.substr(colon + 1));
}

Reason frame_request(const HeadLimits& limits, RequestHead& head) {
  const Found found = read_all(head);
  head.close = found.connection.close || (head.minor_version == 0 && !found.connection.keep_alive);
  const Reason body = frame_body(found, head);
  const Reason reasons[] = {body, check_names_and_values(found), check_host(found, head),
                            check_expect(found, head), check_upgrade(found, limits, head)};
  for (const Reason reason : reasons) {
    if (reason != Reason::kNone) return reason;
  }
  return Reason::kNone;
}

void frame_leniently(RequestHead& head) {
  head.framing = BodyFraming::kNone;
  head.content_length = 0;
  ConnectionOptions connection;
  bool length_known = false;
  for (const Field& field : head.fields) {
    if (field.id == FieldId::kConnection) connection.read(field.value);
    if (field.id == FieldId::kTransferEncoding) {
      for (std::size_t i = 0; i + 7 <= field.value.size(); ++i) {
        if (abi::equal_ignoring_case(field.value.substr(i, 7), "chunked")) {
          head.framing = BodyFraming::kChunked;
        }
      }
    }
    if (field.id != FieldId::kContentLength || length_known) continue;
    std::size_t digits = 0;
    std::uint64_t length = 0;
    while (digits < field.value.size() && digits < 18 &&
           is_class(field.value[digits], kClassDigit)) {
      length = length * 10 + static_cast<std::uint64_t>(field.value[digits++] - '0');
    }
    if (digits == 0) continue;
    length_known = true;
    head.content_length = length;
  }
  if (head.framing == BodyFraming::kNone && head.content_length > 0) {
    head.framing = BodyFraming::kLength;
  }
  head.close = connection.close || (head.minor_version == 0 && !connection.keep_alive);
}

bool frame_response(bool head_request, ResponseHead& head) {
  const Found found = read_all(head);
  const bool both = found.transfer_encoding != nullptr && found.content_length != nullptr;
  if (both || found.is_repeated(FieldId::kTransferEncoding) ||
      found.is_repeated(FieldId::kContentLength)) {
    return false;
  }
  head.close = found.connection.close || (head.minor_version == 0 && !found.connection.keep_alive);
  if (found.content_length != nullptr &&
      !parse_content_length(found.content_length->value, head.content_length)) {
    return false;
  }
  if (head.status == 101)
    head.upgrade = found.upgrade == nullptr ? Upgrade::kNone : Upgrade::kOther;
  if (head.status < 200 || head.status == 204) {  // RFC 9110 section 8.6: no Content-Length but 0
    return found.transfer_encoding == nullptr && head.content_length == 0;
  }
  if (head_request || head.status == 304) return true;
  if (found.transfer_encoding != nullptr) {
    const bool chunked = abi::equal_ignoring_case(found.transfer_encoding->value, "chunked");
    head.framing = chunked ? BodyFraming::kChunked : BodyFraming::kUntilClose;
    return !chunked || head.minor_version == 1;
  }
  if (found.content_length == nullptr) {
    head.framing = BodyFraming::kUntilClose;
  } else if (head.content_length > 0) {
    head.framing = BodyFraming::kLength;
  }
  if (head.framing == BodyFraming::kUntilClose) head.close = true;
  return true;
}

}  // namespace sluice::http
