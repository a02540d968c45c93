// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <array>
#include <cstring>

#include "dataplane/http/characters.h"
#include "dataplane/http/head_reader.h"

namespace sluice::http {
namespace {

using abi::Reason;

/// The methods that llhttp reads, without those that tunnel (CONNECT), start another protocol (PRI)
/// or belong to one (RTSP's, ICE's SOURCE). Compared with case (HH2).
constexpr std::array<std::string_view, 32> kMethods = {
    "GET",        "POST",       "PUT",       "HEAD",     "DELETE", "PATCH",     "OPTIONS",
    "TRACE",      "PROPFIND",   "PROPPATCH", "MKCOL",    "COPY",   "MOVE",      "LOCK",
    "UNLOCK",     "SEARCH",     "BIND",      "REBIND",   "UNBIND", "ACL",       "REPORT",
    "MKACTIVITY", "CHECKOUT",   "MERGE",     "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE",
    "PURGE",      "MKCALENDAR", "LINK",      "UNLINK"};

bool is_method(std::string_view text) {
  for (const std::string_view method : kMethods) {
    if (text == method) return true;
  }
  return false;
}

constexpr std::size_t kMethodBytesMax = 32;

/// HH3: absolute form. Nothing but http(s)://authority/path, no userinfo.
Reason read_absolute_target(RequestHead& head) {
  const std::size_t scheme_end = head.target.find("://");
  const std::string_view scheme = head.target.substr(0, scheme_end);
  const std::string_view rest = head.target.substr(scheme_end + 3);
  const std::size_t authority_end = rest.find_first_of("/?#");
  head.authority = rest.substr(0, authority_end);
  head.path_and_query =
      authority_end == std::string_view::npos ? std::string_view() : rest.substr(authority_end);
  const bool http =
      abi::equal_ignoring_case(scheme, "http") || abi::equal_ignoring_case(scheme, "https");
  const bool path = head.path_and_query.empty() || head.path_and_query.front() == '/';
  const bool userinfo = head.authority.find('@') != std::string_view::npos;
  return http && path && !userinfo && !head.authority.empty() ? Reason::kNone
                                                              : Reason::kHttpHostConflict;
}

Reason read_target(RequestHead& head) {
  head.authority = {};
  head.path_and_query = head.target;
  if (head.target.front() == '/' || head.target == "*") return Reason::kNone;
  const std::size_t scheme_end = head.target.find("://");
  if (scheme_end == std::string_view::npos || scheme_end == 0) return Reason::kHttpTarget;
  for (const char c : head.target.substr(0, scheme_end)) {
    if (!is_class(c, kClassToken)) return Reason::kHttpTarget;
  }
  return read_absolute_target(head);
}

Reason read_protocol(std::string_view protocol, RequestHead& head) {
  head.protocol = protocol;
  if (protocol.find(' ') != std::string_view::npos) return Reason::kHttpRequestLine;
  if (protocol == "HTTP/1.1") {
    head.minor_version = 1;
  } else if (protocol == "HTTP/1.0") {
    head.minor_version = 0;
  } else {
    return protocol.empty() ? Reason::kHttpNoVersion : Reason::kHttpVersion;
  }
  return Reason::kNone;
}

}  // namespace

bool looks_like_request(std::string_view line) {
  const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  return end <= kMethodBytesMax && all_of_class(line.substr(0, end), kClassToken);
}

Reason read_request_line(std::string_view line, RequestHead& head) {
  if (line == "PRI * HTTP/2.0") return Reason::kHttpH2Preface;
  const std::size_t method_end = line.find(' ');
  head.method = line.substr(0, method_end);
  const bool known = is_method(head.method);
  const bool connect = head.method == "CONNECT";
  if (!known && !connect) {
    if (line.find("HTTP/") == std::string_view::npos) {
      return line.find('\t') == std::string_view::npos ? Reason::kHttpNotHttp
                                                       : Reason::kHttpRequestLine;
    }
    const bool shaped = !head.method.empty() && all_of_class(head.method, kClassToken);
    return shaped && method_end != std::string_view::npos ? Reason::kHttpMethod
                                                          : Reason::kHttpRequestLine;
  }
  if (method_end == std::string_view::npos) return Reason::kHttpRequestLine;
  if (line.find('\t') != std::string_view::npos) return Reason::kHttpRequestLine;
  const std::size_t target_end = line.find(' ', method_end + 1);
  head.target = line.substr(method_end + 1, target_end - method_end - 1);
  if (head.target.empty()) return Reason::kHttpRequestLine;
  if (connect) return Reason::kHttpConnect;
  if (target_end == std::string_view::npos) return Reason::kHttpNoVersion;
  const Reason protocol = read_protocol(line.substr(target_end + 1), head);
  const Reason target = read_target(head);
  return protocol != Reason::kNone ? protocol : target;
}

}  // namespace sluice::http
