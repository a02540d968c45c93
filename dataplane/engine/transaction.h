// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <span>

#include "dataplane/abi/verdict.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/base/ulid.h"
#include "dataplane/engine/generation.h"
#include "dataplane/engine/sha256.h"
#include "dataplane/http/head.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/limit/limiter.h"
#include "dataplane/rules/transaction.h"

namespace sluice::engine {

/// The judgement of one generation on one transaction, with modes applied.
struct Judgement {
  Generation* generation = nullptr;    ///< pinned; null: none (staged), or the pin ran out
  abi::Mode mode = abi::Mode::kBlock;  ///< weakest of global and service
  abi::Verdict verdict;
  rules::Transaction rules;

  /// Gives the rules' memory and the pin back.
  void release(std::size_t worker);
};

/// What of a request the rules are at.
enum class Judging : std::uint8_t { kNothing, kHead, kBody, kEnd };

/// One request and its response: a slot of the worker's pool, used again and again. The heads'
/// views point into `arena`.
struct Transaction {
  std::uint32_t pool_index = 0;
  std::uint32_t number = 0;  ///< within the connection, from 1
  Judgement live, staged;
  base::Arena arena;
  http::RequestHead request;
  http::ResponseHead response;
  base::Ulid id;
  std::uint16_t service = kNoService;
  base::IpAddress client;  ///< by the service's client_address
  limit::Result limit;
  Sha256 digest;  ///< of the request body, where events.body_digest asks for it

  std::int64_t request_begin = 0, response_begin = 0;   ///< stream offsets
  std::uint64_t request_bytes = 0, response_bytes = 0;  ///< on the wire
  std::uint64_t inspected_bytes = 0;  ///< request bytes that were parsed for the rules
  std::uint64_t request_body_bytes = 0, response_body_bytes = 0;
  base::Nanos begun = 0, request_ended = 0, response_begun = 0, response_ended = 0;
  base::Nanos judging_since = 0;  ///< when the bytes came that are being judged
  base::Nanos added_ns = 0;       ///< the longest time that bytes of it waited for their verdict
  std::uint64_t wall_ns = 0;

  bool request_head_done = false, request_done = false;
  bool response_head_done = false, response_done = false;
  bool judges_response_body = false;
  bool recorded = false;                     ///< its record is written, its pins are gone
  abi::Reason refusal = abi::Reason::kNone;  ///< monitor: of a head that is still being read
  http::RequestParser::RefusedHead refused;  ///< of a head that the parser refused; in the arena
  bool rules_ended = false;                  ///< phase 2 has run, or runs
  bool peer_trusted = false;                 ///< a trusted proxy of the service
  Judging judging = Judging::kNothing;       ///< the call that has no verdict yet

  /// Makes the slot ready for another transaction; memory of the arena stays where it is.
  void start(std::uint32_t number_in_connection, std::int64_t offset, base::Nanos now,
             std::uint64_t wall);
  /// Gives the rules' memory and the pins back.
  void release(std::size_t worker);
};

}  // namespace sluice::engine
