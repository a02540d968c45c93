// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/request_parts.h"

#include <algorithm>
#include <cstring>

#include "dataplane/http/cookies.h"
#include "dataplane/http/query.h"
#include "dataplane/rules/phase_plan.h"
#include "dataplane/rules/scalars.h"
#include "dataplane/rules/strict_body.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// `%XX` once, `+` left alone: what ModSecurity v3 does to the request target.
std::string_view decode_target(TransactionState& state, std::string_view raw) {
  if (raw.find('%') == std::string_view::npos) return raw;
  auto* to = static_cast<char*>(state.region.allocate(raw.size(), 1));
  if (to == nullptr) {
    state.fail_memory();
    return {};
  }
  std::size_t size = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '%' && i + 2 < raw.size()) {
      const int high = hex_digit(raw[i + 1]), low = hex_digit(raw[i + 2]);
      if (high >= 0 && low >= 0) {
        to[size++] = static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    to[size++] = raw[i];
  }
  return {to, size};
}

std::string_view basename(std::string_view path) {
  const std::size_t slash = path.find_last_of("/\\");
  return slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
}

/// One decoded name or value; a view into the query where nothing changes.
std::string_view decode_argument(TransactionState& state, std::string_view raw, bool& invalid) {
  if (!http::needs_percent_decode(raw)) return raw;
  auto* to = static_cast<char*>(state.region.allocate(raw.size(), 1));
  if (to == nullptr) {
    state.fail_memory();
    return {};
  }
  const http::PercentDecoded decoded = http::percent_decode(raw, to);
  if (decoded.invalid_count > 0) invalid = true;
  return {to, decoded.size};
}

void add_query(TransactionState& state, std::string_view query) {
  bool invalid = false;
  std::uint32_t count = 0;
  const std::uint32_t limit = state.header().settings.arguments_limit;
  const char separator = static_cast<char>(state.header().settings.argument_separator);
  http::for_each_argument(query, separator, [&](std::string_view name, std::string_view value) {
    if (state.failed()) return;
    if (limit != 0 && count++ >= limit) {
      return note_strict(state, abi::strict_bit(abi::Strict::kArguments));
    }
    const std::string_view decoded_name = decode_argument(state, name, invalid);
    const std::string_view decoded_value = decode_argument(state, value, invalid);
    add_member(state, VariableId::kArgsGet, decoded_name, base::as_bytes(decoded_value));
  });
  set_scalar(state, VariableId::kUrlencodedError, invalid ? "1" : "0");
  check_repeated_names(state, VariableId::kArgsGet);
}

std::string_view request_line(const http::RequestHead& head) {
  const std::string_view raw = base::as_text(head.raw);
  std::size_t start = 0;
  while (start < raw.size() && (raw[start] == '\r' || raw[start] == '\n')) ++start;
  // find_first_of() would ask for each byte of the line whether it is one of the two.
  const std::string_view line = raw.substr(start, raw.find('\n', start) - start);
  return line.substr(0, line.find('\r'));
}

void add_target(TransactionState& state, const http::RequestHead& head) {
  const std::string_view raw = head.target.substr(0, head.target.find('#'));
  const std::size_t question = raw.find('?');
  set_scalar(state, VariableId::kRequestUriRaw, head.target);
  const std::string_view local = head.path_and_query.substr(0, head.path_and_query.find('#'));
  set_scalar(state, VariableId::kRequestUri, decode_target(state, local));
  // Cut before decoding: a decoded `?` is part of the path (CVE-2024-1019).
  const std::string_view path = decode_target(state, raw.substr(0, question));
  set_scalar(state, VariableId::kRequestFilename, path);
  set_scalar(state, VariableId::kPathInfo, path);
  set_scalar(state, VariableId::kRequestBasename, basename(path));
  const std::string_view query =
      question == std::string_view::npos ? std::string_view() : raw.substr(question + 1);
  set_scalar(state, VariableId::kQueryString, query);
  add_query(state, query);
}

void add_authorization(TransactionState& state, std::string_view value) {
  const std::size_t blank = value.find(' ');
  const std::string_view scheme = value.substr(0, blank);
  set_scalar(state, VariableId::kAuthType, scheme);
  if (!abi::equal_ignoring_case(scheme, "basic") || blank == std::string_view::npos) return;
  const TransformResult decoded =
      apply_transform(abi::TransformId::kBase64Decode, base::as_bytes(value.substr(blank + 1)),
                      nullptr, state.worker->arena);
  const std::string_view text = base::as_text(decoded.output);
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    set_scalar(state, VariableId::kRemoteUser, state.keep(text.substr(0, colon)));
  }
}

void add_header(TransactionState& state, VariableId variable, const http::Field& field) {
  const Bytes value = base::as_bytes(field.value);
  add_member(state, variable, field.name, value);
  state.header_facts |= state.ruleset->phase_plans().headers.of(variable, field.name, value);
}

/// Cookies as those see them who read quotes: members beside the ones of the reference.
void add_quoted_cookies(TransactionState& state, std::string_view field) {
  http::for_each_quoted_cookie(field, [&](std::string_view name, std::string_view value) {
    if (state.failed()) return;
    auto* to = static_cast<char*>(state.region.allocate(value.size(), 1));
    if (to == nullptr) return state.fail_memory();
    const std::string_view unquoted(to, http::unquote_cookie(value, to));
    add_member(state, VariableId::kRequestCookies, name, base::as_bytes(unquoted));
  });
}

std::string_view server_name(std::string_view host) { return host.substr(0, host.find(':')); }

void add_fields(TransactionState& state, const http::RequestHead& head) {
  for (const http::Field& field : head.fields) {
    add_header(state, VariableId::kRequestHeaders, field);
    switch (field.id) {
      case http::FieldId::kCookie:
        http::for_each_cookie(field.value, [&](std::string_view name, std::string_view value) {
          if (state.failed()) return;
          add_member(state, VariableId::kRequestCookies, name, base::as_bytes(value));
        });
        if (reads_otherwise(state)) add_quoted_cookies(state, field.value);
        break;
      case http::FieldId::kContentType: {
        const http::BodyProcessor processor = http::default_body_processor(field.value);
        if (processor != http::BodyProcessor::kNone) state.processor = processor;
        break;
      }
      case http::FieldId::kHost:
        set_scalar(state, VariableId::kServerName, server_name(field.value));
        break;
      case http::FieldId::kAuthorization:
        add_authorization(state, field.value);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void set_scalar(TransactionState& state, VariableId variable, std::string_view text) {
  if (!is_used(state, variable)) return;
  // Set again: the newest value is the only one.
  state.values.clear(variable);
  if (state.values.add(state.region, variable, {}, base::as_bytes(text)) == kNoValue) {
    state.fail_memory();
  }
}

void set_number(TransactionState& state, VariableId variable, std::uint64_t number) {
  if (!is_used(state, variable)) return;
  const auto value = static_cast<std::int64_t>(number);
  set_scalar(state, variable, state.keep(number_text(state, value)));
}

void add_member(TransactionState& state, VariableId variable, std::string_view key, Bytes value) {
  if (state.values.add(state.region, variable, key, value) != kNoValue) return;
  if (state.values.size() == abi::kValuesMax) {
    state.fail(abi::Reason::kHttpArgs);
  } else {
    state.fail_memory();
  }
}

void set_combined_size(TransactionState& state, std::uint64_t more) {
  if (!is_used(state, VariableId::kArgsCombinedSize)) return;  // what follows reads every value
  std::uint64_t size = more;
  std::uint32_t count = more > 0 ? 1 : 0;
  for (const VariableId list : {VariableId::kArgsGet, VariableId::kArgsPost, VariableId::kArgs}) {
    for (std::uint16_t i = state.values.first(list); i != kNoValue; i = state.values.at(i).next) {
      size += state.values.at(i).bytes + state.values.at(i).name_bytes;
      ++count;
    }
  }
  if (count == 0) return;
  set_number(state, VariableId::kArgsCombinedSize, size);
}

void add_request_head(TransactionState& state, const http::RequestHead& head) {
  set_scalar(state, VariableId::kRequestMethod, head.method);
  state.header_facts |= state.ruleset->phase_plans().headers.of_method(head.method);
  set_scalar(state, VariableId::kRequestProtocol, head.protocol);
  if (is_used(state, VariableId::kRequestLine)) {
    set_scalar(state, VariableId::kRequestLine, request_line(head));
  }
  add_target(state, head);
  add_fields(state, head);
  set_combined_size(state);
}

void add_response_head(TransactionState& state, const http::ResponseHead& head) {
  set_scalar(state, VariableId::kResponseProtocol, head.protocol);
  set_number(state, VariableId::kResponseStatus, head.status);
  set_number(state, VariableId::kStatus, head.status);
  if (is_used(state, VariableId::kStatusLine)) {
    const std::string_view line = base::as_text(head.raw);
    set_scalar(state, VariableId::kStatusLine, line.substr(0, line.find_first_of("\r\n")));
  }
  const bool headers = is_used(state, VariableId::kResponseHeaders) ||
                       is_used(state, VariableId::kResponseHeadersNames);
  for (const http::Field& field : head.fields) {
    if (headers) add_header(state, VariableId::kResponseHeaders, field);
    if (field.id == http::FieldId::kContentType) {
      set_scalar(state, VariableId::kResponseContentType,
                 field.value.substr(0, field.value.find(';')));
    }
  }
}

void add_response_body(TransactionState& state) {
  set_scalar(state, VariableId::kResponseBody, base::as_text(state.response_body.view()));
  set_number(state, VariableId::kResponseContentLength, state.response_body.total);
  const std::uint64_t limit = state.header().settings.response_body_limit;
  const bool over = limit != 0 && state.response_body.total > limit;
  set_scalar(state, VariableId::kOutboundDataError, over ? "1" : "0");
}

bool append_body(TransactionState& state, BodyBuffer& buffer, Bytes bytes, std::uint64_t limit) {
  buffer.total += bytes.size();
  const std::size_t room = static_cast<std::size_t>(limit) - buffer.size;
  const Bytes kept = bytes.first(std::min(bytes.size(), room));
  if (kept.size() < bytes.size()) buffer.cut = true;
  if (buffer.size + kept.size() > buffer.capacity) {
    // Sizes of the pool's blocks, less what the region needs for itself.
    const std::size_t index = MemoryPool::class_for(buffer.size + kept.size() + 64);
    if (index >= MemoryPool::kClasses) {
      state.fail(abi::Reason::kTransactionMemory);
      return false;
    }
    const std::size_t capacity = MemoryPool::bytes_of(index) - 64;
    auto* larger = state.region.allocate_array<std::uint8_t>(capacity);
    if (larger == nullptr) {
      state.fail_memory();
      return false;
    }
    if (buffer.size > 0) std::memcpy(larger, buffer.data, buffer.size);
    buffer.data = larger;
    buffer.capacity = capacity;
  }
  if (!kept.empty()) std::memcpy(buffer.data + buffer.size, kept.data(), kept.size());
  buffer.size += kept.size();
  return !buffer.cut;
}

}  // namespace sluice::rules
