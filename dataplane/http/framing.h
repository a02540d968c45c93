// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/abi/reasons.h"
#include "dataplane/http/event.h"
#include "dataplane/http/head.h"

/// What the fields of a head say of the message: its body, its connection, its host.
namespace sluice::http {

/// Fills framing, close, upgrade and expectation of a request whose line and fields are well-formed
/// in a complete head, and returns the first offence in the order of the code, not of the fields.
/// O(fields).
[[nodiscard]] abi::Reason frame_request(const HeadLimits& limits, RequestHead& head);

/// The framing that a forgiving server is most likely to see: chunked if any Transfer-Encoding says
/// so, else the first Content-Length that begins with digits.
void frame_leniently(RequestHead& head);

/// Fills framing, close and upgrade of a response. False: it cannot be framed. RFC 9112
/// section 6.3.
[[nodiscard]] bool frame_response(bool head_request, ResponseHead& head);

/// Digits alone, 1 to 19 of them, no leading zero but "0" itself (HF4).
[[nodiscard]] bool parse_content_length(std::string_view text, std::uint64_t& length);

/// uri-host [ ":" port ] as servers agree on it (HH4): registered name of letters, digits, "-._",
/// IPv4, or an IPv6 literal in brackets; a port of 1 to 5 digits, at most 65535.
[[nodiscard]] bool valid_host(std::string_view host);

}  // namespace sluice::http
