// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/http/event.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/response_parser.h"

/// What a parser says about one connection, in a form that two readings can be compared by.
namespace sluice::http::testing {

struct Message {
  std::string start;  ///< method and target, or the status
  std::string protocol;
  std::vector<std::string> fields;  ///< "name=value"
  std::string body;
  std::size_t start_offset = 0, end_offset = 0;  ///< in the stream; end only if complete
  bool complete = false;
  bool operator==(const Message&) const = default;
};

struct Transcript {
  std::vector<Message> messages;  ///< those whose head was complete
  std::string reason = "none";
  bool upgraded = false;
  bool operator==(const Transcript&) const = default;
};

/// Chunk sizes: the stream is cut at each offset.
using Cuts = std::vector<std::size_t>;
Cuts every_byte(std::size_t size);

Transcript read_requests(std::string_view stream, const Cuts& cuts = {},
                         const HeadLimits& limits = {});
/// The same in monitor: refusals are noted, and reading goes on leniently.
Transcript read_requests_leniently(std::string_view stream, const Cuts& cuts = {});
/// `closes`: FIN at the end.
Transcript read_responses(std::string_view stream, ResponseContext context, bool closes,
                          const Cuts& cuts = {});

}  // namespace sluice::http::testing
