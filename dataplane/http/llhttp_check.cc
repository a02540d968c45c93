// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/llhttp_check.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice::http {

struct LlhttpCheck::Callbacks {
  static LlhttpCheck& self(llhttp_t* parser) { return *static_cast<LlhttpCheck*>(parser->data); }

  static int field_complete(llhttp_t* parser) {
    ++self(parser).fields_;
    return 0;
  }
  static int headers_complete(llhttp_t* parser) {
    LlhttpCheck& check = self(parser);
    check.head_complete_ = true;
    check.chunked_ = (parser->flags & F_CHUNKED) != 0;
    check.length_ = parser->content_length;
    return check.no_body_ ? 1 : 0;
  }
  static int body(llhttp_t* parser, const char*, std::size_t size) {
    self(parser).body_bytes_ += size;
    return 0;
  }
  static int message_complete(llhttp_t* parser) {
    self(parser).complete_ = true;
    return 0;
  }

  static const llhttp_settings_t& settings() {
    static constexpr llhttp_settings_t kSettings = [] {
      llhttp_settings_t made{};
      made.on_header_value_complete = field_complete;
      made.on_headers_complete = headers_complete;
      made.on_body = body;
      made.on_message_complete = message_complete;
      return made;
    }();
    return kSettings;
  }
};

void LlhttpCheck::start(llhttp_type_t type, bool no_body) {
  llhttp_init(&parser_, type, &Callbacks::settings());
  length_ = body_bytes_ = 0;
  fields_ = 0;
  no_body_ = no_body;
  head_complete_ = complete_ = chunked_ = false;
}

bool LlhttpCheck::run(base::Bytes bytes) {
  if (bytes.empty()) return true;
  parser_.data = this;  // the parser may have moved since the last call
  const llhttp_errno_t result =
      llhttp_execute(&parser_, reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // The pause is for the caller to decide on: our own parser knows of allowed upgrades.
  return result == HPE_OK || (result == HPE_PAUSED_UPGRADE && complete_);
}

/// llhttp knows no bytes above 0x7f in a target, which is a matter of a switch here (HH20).
bool LlhttpCheck::run_masked(base::Bytes bytes) {
  std::array<std::uint8_t, 256> masked;
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), masked.size());
    for (std::size_t i = 0; i < size; ++i) masked[i] = bytes[i] < 0x80 ? bytes[i] : 'x';
    if (!run({masked.data(), size})) return false;
    bytes = bytes.subspan(size);
  }
  return true;
}

bool LlhttpCheck::agrees(const Head& head) {
  const bool framed = head.framing == BodyFraming::kLength
                          ? length_ == head.content_length
                          : head.framing != BodyFraming::kNone || complete_;
  return head_complete_ && framed && parser_.http_major == 1 &&
         parser_.http_minor == head.minor_version && fields_ == head.fields.size() &&
         (no_body_ || chunked_ == (head.framing == BodyFraming::kChunked)) &&
         complete_ == (head.framing == BodyFraming::kNone) && body_bytes_ == 0;
}

bool LlhttpCheck::head(const RequestHead& head) {
  start(HTTP_REQUEST, false);
  const auto* const target = reinterpret_cast<const std::uint8_t*>(head.target.data());
  const auto target_at = static_cast<std::size_t>(target - head.raw.data());
  const base::Bytes after = head.raw.subspan(target_at + head.target.size());
  const bool high = std::any_of(head.target.begin(), head.target.end(),
                                [](char c) { return static_cast<std::uint8_t>(c) >= 0x80; });
  if (high) {
    const bool read =
        run(head.raw.first(target_at)) && run_masked(base::as_bytes(head.target)) && run(after);
    if (!read) return false;
  } else if (!run(head.raw)) {
    return false;
  }
  const char* const method = llhttp_method_name(static_cast<llhttp_method_t>(parser_.method));
  return agrees(head) && head.method == method;
}

bool LlhttpCheck::head(const ResponseHead& head) {
  start(HTTP_RESPONSE, head.framing == BodyFraming::kNone);
  return run(head.raw) && agrees(head) && parser_.status_code == head.status;
}

bool LlhttpCheck::body(base::Bytes bytes, bool is_data, bool ends) {
  const std::uint64_t before = body_bytes_;
  if (!run(bytes)) return false;
  return body_bytes_ - before == (is_data ? bytes.size() : 0) && complete_ == ends;
}

bool LlhttpCheck::built_strict() {
  RequestHead head;
  head.raw = base::as_bytes("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
  LlhttpCheck check;
  check.start(HTTP_REQUEST, false);
  return !check.run(head.raw);
}

}  // namespace sluice::http
