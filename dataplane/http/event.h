// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/bytes.h"

/// What RequestParser and ResponseParser tell their caller.
namespace sluice::http {

enum class Event : std::uint8_t {
  kNeedMore,         ///< the whole chunk is consumed, nothing else to say
  kHeadComplete,     ///< head() is ready; the last consumed byte is the head's last
  kBodyData,         ///< `body` is the next piece of the body (after dechunking), part of the chunk
  kMessageComplete,  ///< the message ended at the last consumed byte; begin() before the next
  kUpgraded,         ///< responses only: like kMessageComplete, and what follows is not HTTP
  kRefused,          ///< reason() says why; see RequestParser on going on
  kUnparsed,         ///< after a refusal: bytes that cannot be read as HTTP, consumed and skipped
};

struct Step {
  Event event = Event::kNeedMore;
  std::size_t consumed = 0;  ///< bytes of the chunk, from its start, that this event covers
  base::Bytes body;          ///< of kBodyData: a view into the chunk
};

/// Limits of one service, from abi::PolicyService; the defaults are those of abi/limits.h.
struct HeadLimits {
  std::uint32_t request_line_bytes_max = abi::kRequestLineBytesMax;
  std::uint32_t header_bytes_max = abi::kHeaderBytesMax;
  std::uint32_t head_bytes_max = abi::kHeadBytesMax;
  std::uint32_t headers_max = abi::kHeadersMax;
  bool allow_websocket = false;
};

}  // namespace sluice::http
