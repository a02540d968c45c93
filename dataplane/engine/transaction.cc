// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/transaction.h"

namespace sluice::engine {

void Transaction::start(std::uint32_t number_in_connection, std::int64_t offset, base::Nanos now,
                        std::uint64_t wall) {
  number = number_in_connection;
  live.verdict = staged.verdict = abi::Verdict{};
  arena.reset();
  request = http::RequestHead{};
  response = http::ResponseHead{};
  id = base::Ulid{};
  service = kNoService;
  limit = limit::Result{};
  request_begin = offset;
  response_begin = -1;
  request_bytes = response_bytes = inspected_bytes = 0;
  request_body_bytes = response_body_bytes = 0;
  begun = now;
  request_ended = response_begun = response_ended = judging_since = added_ns = 0;
  wall_ns = wall;
  refusal = abi::Reason::kNone;
  refused = {};
  request_head_done = request_done = response_head_done = response_done = false;
  judges_response_body = rules_ended = recorded = peer_trusted = false;
  judging = Judging::kNothing;
  digest.discard();
}

void Judgement::release(std::size_t worker) {
  rules.release();
  if (generation != nullptr) generation->unpin(worker);
  generation = nullptr;
}

void Transaction::release(std::size_t worker) {
  live.release(worker);
  staged.release(worker);
}

}  // namespace sluice::engine
