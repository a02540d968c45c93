// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string_view>

#include "dataplane/abi/reasons.h"
#include "dataplane/base/arena.h"
#include "dataplane/http/event.h"
#include "dataplane/http/head.h"

/// Reads a head whose raw bytes HeadScanner has accepted, or, leniently, one that was refused.
namespace sluice::http {

/// Splits a request line (without its line end) into method, target and protocol. The reason of the
/// first offence: http_not_http, http_h2_preface, http_method, http_connect, http_no_version,
/// http_request_line, http_version, http_target or http_host_conflict. RFC 9112 section 3.
[[nodiscard]] abi::Reason read_request_line(std::string_view line, RequestHead& head);

/// Whether bytes that were refused before the line's end could be the start of a request line.
[[nodiscard]] bool looks_like_request(std::string_view line);

/// Reads a complete head: `raw` with its final empty line. `line_count`: lines but the empty one.
/// Returns the first offence: of the line, of the fields, of the framing. The fields' array comes
/// from `arena`: transaction_memory when it is full.
[[nodiscard]] abi::Reason read_request_head(std::string_view raw, std::size_t line_count,
                                            const HeadLimits& limits, base::Arena& arena,
                                            RequestHead& head);

/// The same for a response; every offence is http_response.
[[nodiscard]] abi::Reason read_response_head(std::string_view raw, std::size_t line_count,
                                             base::Arena& arena, ResponseHead& head);

/// Reads what a forgiving server might of a refused head, complete or cut short: lines end at LF,
/// blanks separate the parts of the first one, folded lines belong to the value before them. False
/// where even that gives no method and target. At most kLenientFieldsMax fields.
[[nodiscard]] bool read_request_leniently(std::string_view raw, base::Arena& arena,
                                          RequestHead& head);
inline constexpr std::size_t kLenientFieldsMax = 1024;

/// Where a forgiving server would end the head: the bytes up to and with the first empty line at or
/// after `from`, or 0 if there is none yet. O(size - from).
[[nodiscard]] std::size_t lenient_head_end(std::string_view raw, std::size_t from);

}  // namespace sluice::http
