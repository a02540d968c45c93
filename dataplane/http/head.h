// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/abi/names.h"
#include "dataplane/base/bytes.h"

/// The head of a message as views. Everything here points into the bytes that the parser copied
/// into the caller's arena at begin(): it lives until that arena is reset.
namespace sluice::http {

/// Field names that the dataplane itself looks at; all others are kOther. Compared without case.
// X(enumerator, lower-case name)
#define SLUICE_HTTP_FIELDS(X)                          \
  X(kHost, "host")                                     \
  X(kContentLength, "content-length")                  \
  X(kTransferEncoding, "transfer-encoding")            \
  X(kConnection, "connection")                         \
  X(kUpgrade, "upgrade")                               \
  X(kExpect, "expect")                                 \
  X(kContentType, "content-type")                      \
  X(kContentEncoding, "content-encoding")              \
  X(kContentDisposition, "content-disposition")        \
  X(kAuthorization, "authorization")                   \
  X(kProxyAuthorization, "proxy-authorization")        \
  X(kCookie, "cookie")                                 \
  X(kSetCookie, "set-cookie")                          \
  X(kUserAgent, "user-agent")                          \
  X(kReferer, "referer")                               \
  X(kOrigin, "origin")                                 \
  X(kAccept, "accept")                                 \
  X(kAcceptEncoding, "accept-encoding")                \
  X(kAcceptCharset, "accept-charset")                  \
  X(kAcceptLanguage, "accept-language")                \
  X(kRange, "range")                                   \
  X(kRequestRange, "request-range")                    \
  X(kTe, "te")                                         \
  X(kTrailer, "trailer")                               \
  X(kVia, "via")                                       \
  X(kForwarded, "forwarded")                           \
  X(kXForwardedFor, "x-forwarded-for")                 \
  X(kXForwardedHost, "x-forwarded-host")               \
  X(kXForwardedProto, "x-forwarded-proto")             \
  X(kXRealIp, "x-real-ip")                             \
  X(kXHost, "x-host")                                  \
  X(kXOriginalUrl, "x-original-url")                   \
  X(kXRewriteUrl, "x-rewrite-url")                     \
  X(kXHttpMethodOverride, "x-http-method-override")    \
  X(kXHttpMethod, "x-http-method")                     \
  X(kXMethodOverride, "x-method-override")             \
  X(kXMiddlewareSubrequest, "x-middleware-subrequest") \
  X(kProxy, "proxy")                                   \
  X(kProxyConnection, "proxy-connection")              \
  X(kKeepAlive, "keep-alive")                          \
  X(kHttp2Settings, "http2-settings")

enum class FieldId : std::uint8_t {
  kOther = 0,
#define SLUICE_X(enumerator, name) enumerator,
  SLUICE_HTTP_FIELDS(SLUICE_X)
#undef SLUICE_X
      kCount
};

/// The id of a field name, in any case; kOther if it is none of the list. O(name), at most 24
/// bytes.
[[nodiscard]] FieldId field_id(std::string_view name);

/// One field line. `name` as received, `value` without the blanks and tabs around it. In a lenient
/// reading a folded value still holds its line ends, and a line without colon is a name without
/// value.
struct Field {
  std::string_view name, value;
  FieldId id = FieldId::kOther;
};

/// How the end of a body is found (RFC 9112 section 6.3).
enum class BodyFraming : std::uint8_t {
  kNone = 0,
  kLength = 1,      ///< content_length bytes, at least 1
  kChunked = 2,     ///< the last chunk
  kUntilClose = 3,  ///< responses only: the server's FIN
};

enum class Upgrade : std::uint8_t { kNone = 0, kWebsocket = 1, kOther = 2 };

/// What both kinds of head share.
struct Head {
  base::Bytes raw;                   ///< start line, field lines and empty line, as received
  std::string_view protocol;         ///< "HTTP/1.1"; empty if a lenient reading has none
  std::span<const Field> fields;     ///< in order of arrival, duplicates kept
  std::uint64_t content_length = 0;  ///< of kLength
  BodyFraming framing = BodyFraming::kNone;
  std::uint8_t minor_version = 1;  ///< 0 or 1
  bool close =
      false;  ///< no message follows this one (Connection: close, or 1.0 without keep-alive)
  bool lenient = false;  ///< read after a refusal: the best guess, not what a server must see
  Upgrade upgrade = Upgrade::kNone;

  /// First field with that id, or nullptr. O(fields).
  [[nodiscard]] const Field* find(FieldId id) const;
  /// First field with that name, without case, or nullptr. O(fields).
  [[nodiscard]] const Field* find(std::string_view name) const;
};

struct RequestHead : Head {
  std::string_view method;
  std::string_view target;     ///< as received, any form
  std::string_view authority;  ///< of an absolute-form target, else empty
  /// The target without scheme and authority: path, query and fragment. "/" is not added where an
  /// absolute-form target has no path.
  std::string_view path_and_query;
  bool expect_continue = false;
};

struct ResponseHead : Head {
  std::uint16_t status = 0;  ///< 100..999
  std::string_view reason_phrase;
  [[nodiscard]] bool interim() const { return status < 200 && status != 101; }
};

}  // namespace sluice::http
