// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/judge.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "dataplane/http/strict_checks.h"
#include "dataplane/limit/keys.h"
#include "dataplane/limit/limiter.h"

namespace sluice::engine {
namespace {

using abi::Action;
using abi::Mode;
using abi::Reason;

constexpr std::uint16_t kForbidden = 403, kTooManyRequests = 429, kContentTooLarge = 413;

/// The host that a service is chosen by: lower case, without port and trailing dot. Empty when
/// there is none or it is longer than any name can be (RFC 1035 section 3.1).
std::string_view host_of(const http::RequestHead& head, char (&buffer)[256]) {
  std::string_view host = head.authority;
  if (host.empty()) {
    const http::Field* field = head.find(http::FieldId::kHost);
    if (field == nullptr) return {};
    host = field->value;
  }
  const std::size_t bracket = host.find(']');
  const std::size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  host = host.substr(0, colon);
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (host.size() > sizeof buffer) return {};
  for (std::size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    buffer[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  }
  return {buffer, host.size()};
}

std::string_view value_of(const http::RequestHead& head, http::FieldId id) {
  const http::Field* field = head.find(id);
  return field == nullptr ? std::string_view() : field->value;
}

/// A call of the rules, on their account of cycles.
template <typename Call>
auto timed(const WorkerContext& context, Call call) {
  const StageSpan span(context.stages, abi::Stage::kRules);
  return call();
}

/// The action of a verdict under a mode: what would have blocked is monitored.
Action weigh(Action action, Mode mode) {
  switch (mode) {
    case Mode::kOff:
      return Action::kPass;
    case Mode::kMonitor:
      return std::min(action, Action::kMonitor);
    case Mode::kBlock:
      return action;
  }
  return action;
}

}  // namespace

/// The first of the strongest stays.
void Judge::take(Judgement& judgement, const abi::Verdict& verdict) {
  const Action action = weigh(verdict.action, judgement.mode);
  if (action <= judgement.verdict.action) return;
  judgement.verdict = verdict;
  judgement.verdict.action = action;
  if (judgement.verdict.status == 0) judgement.verdict.status = kForbidden;
}

void Judge::set(Judgement& judgement, Reason reason, std::uint16_t status) {
  abi::Verdict verdict;
  verdict.action = Action::kBlock;
  verdict.reason = reason;
  verdict.status = status;
  take(judgement, verdict);
}

bool Judge::decide(Transaction& transaction) { return transaction.live.verdict.blocks(); }

void Judge::choose_service(Transaction& transaction) {
  Generation* live = context_.live;
  const std::uint16_t first = live->service_at(connection_.server, connection_.server_port);
  transaction.service = first;
  if (first == kNoService) return;  // the policy has changed under the connection
  char buffer[256];
  transaction.service = live->service_for_host(first, connection_.server, connection_.server_port,
                                               host_of(transaction.request, buffer));
}

void Judge::begin_rules(Transaction& transaction, Judgement& judgement, Generation* generation,
                        Mode mode) {
  judgement.generation = generation;
  judgement.mode = mode;
  if (generation == nullptr) return;
  generation->pin(context_.worker);
  if (mode == Mode::kOff) return;
  rules::TransactionInfo info;
  info.client = transaction.client;
  info.server = connection_.server;
  info.client_port = connection_.client_port;
  info.server_port = connection_.server_port;
  info.wall_ns = transaction.wall_ns;
  info.monotonic_ns = context_.now;
  info.id = transaction.id;
  info.staged = &judgement == &transaction.staged;
  if (!info.staged && transaction.service != kNoService) {
    info.strict = generation->services()[transaction.service].strict;
  }
  timed(context_,
        [&] { judgement.rules.begin(generation->ruleset(), *context_.rules_state, info); });
}

void Judge::check_limits(Transaction& transaction) {
  const StageSpan span(context_.stages, abi::Stage::kLimit);
  if (context_.limits == nullptr || transaction.service == kNoService) return;
  Generation& live = *transaction.live.generation;
  const abi::PolicyService& service = live.services()[transaction.service];
  if (service.limits.count == 0) return;
  const limit::Request<std::span<const http::Field>> request{
      service, transaction.request.method, transaction.request.path_and_query,
      transaction.request.fields, transaction.client};
  transaction.limit =
      limit::charge(*context_.limits, live.policy(), request, context_.now, &context_.counters);
}

void Judge::check_strict(Transaction& transaction) {
  if (transaction.service == kNoService) return;
  const std::uint64_t switches =
      transaction.live.generation->services()[transaction.service].strict;
  if (switches == 0) return;
  const std::uint64_t failures =
      http::strict_head_failures(transaction.request, switches, transaction.peer_trusted);
  const Reason reason = http::strict_reason(failures, switches);
  if (reason != Reason::kNone) set(transaction.live, reason, kForbidden);
}

/// What only a reader of arguments and bodies can tell. Of a body that the client has cut short
/// nothing is asked: it is well-formed in nobody's reading.
void Judge::check_strict_body(Transaction& transaction) {
  if (!transaction.request_done || !transaction.live.rules.active()) return;
  const std::uint64_t failures = transaction.live.rules.strict_failures();
  const Reason reason = http::strict_reason(failures, failures);
  if (reason != Reason::kNone) set(transaction.live, reason, kForbidden);
}

bool Judge::request_head(Transaction& transaction) {
  transaction.request_head_done = true;
  transaction.id = context_.ids.next(context_.wall / base::kNanosPerMilli);
  transaction.client = connection_.client;
  Generation* live = context_.live;
  if (live == nullptr) return false;
  choose_service(transaction);
  const std::uint16_t service = transaction.service;
  if (service != kNoService) {
    limit::ClientAddressFinder finder(live->policy(), live->services()[service],
                                      connection_.client);
    transaction.peer_trusted = finder.peer_is_trusted();
    transaction.client = finder.find(transaction.request.fields);
  }
  const Mode mode = context_.mode_of(service == kNoService ? connection_.first_service : service);
  begin_rules(transaction, transaction.live, live, mode);
  if (context_.staged != nullptr) {
    const std::uint16_t staged_service =
        context_.staged->service_at(connection_.server, connection_.server_port);
    begin_rules(transaction, transaction.staged, context_.staged,
                staged_service == kNoService ? Mode::kOff : context_.staged_modes[staged_service]);
  }
  if (mode != Mode::kOff) {
    // Charged whatever the rules say: a request that they block costs as much as any other.
    check_limits(transaction);
    if (context_.observer.rules_head != nullptr) {
      context_.observer.rules_head(context_.observer.context, transaction.request);
    }
  }
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (!judgement->rules.active()) continue;
    (void)timed(context_, [&] { return judgement->rules.request_head(transaction.request); });
  }
  return begin_judging(transaction, Judging::kHead);
}

/// What follows the rules of phase 1, in the order in which reasons are given.
void Judge::conclude_head(Transaction& transaction) {
  Judgement& live = transaction.live;
  if (live.mode == Mode::kOff) return;
  take(live, live.rules.verdict());  // worker_memory where there was none to begin with
  if (transaction.service == kNoService) set(live, Reason::kHttpUnknownHost, kForbidden);
  check_strict(transaction);
  if (transaction.limit.reason == Reason::kNone) return;
  abi::Verdict verdict;
  verdict.action = transaction.limit.mode == Mode::kBlock ? Action::kBlock : Action::kMonitor;
  verdict.reason = transaction.limit.reason;
  verdict.status = kTooManyRequests;
  verdict.retry_after_s = transaction.limit.retry_after_s;
  take(live, verdict);
}

/// The rules of both generations have been called: their verdicts are taken once both are done.
bool Judge::begin_judging(Transaction& transaction, Judging judging) {
  transaction.judging = judging;
  transaction.judging_since = context_.now;
  return conclude(transaction);
}

bool Judge::conclude(Transaction& transaction) {
  if (transaction.live.rules.working() || transaction.staged.rules.working()) return false;
  const Judging judged = std::exchange(transaction.judging, Judging::kNothing);
  const base::Nanos in_poll = context_.stages == nullptr ? 0 : context_.stages->since_start();
  transaction.added_ns =
      std::max(transaction.added_ns, context_.now - transaction.judging_since + in_poll);
  if (judged == Judging::kHead) conclude_head(transaction);
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (judgement->rules.active()) take(*judgement, judgement->rules.verdict());
  }
  if (judged == Judging::kEnd) check_strict_body(transaction);
  return decide(transaction);
}

bool Judge::go_on(Transaction& transaction) {
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (judgement->rules.working()) (void)timed(context_, [&] { return judgement->rules.go_on(); });
  }
  return conclude(transaction);
}

/// For the record: nobody waits for the verdict any more.
void Judge::run_to_the_end(Transaction& transaction) {
  context_.rules_state->begin_slice(0);
  while (working(transaction)) (void)go_on(transaction);
}

bool Judge::request_body(Transaction& transaction, base::Bytes bytes) {
  transaction.request_body_bytes += bytes.size();
  if (context_.events.options().body_digest) transaction.digest.update(bytes);
  if (transaction.rules_ended) return false;
  if (context_.observer.rules_body != nullptr && transaction.live.rules.active()) {
    context_.observer.rules_body(context_.observer.context, bytes);
  }
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (!judgement->rules.active()) continue;
    (void)timed(context_, [&] { return judgement->rules.request_body(bytes); });
  }
  return begin_judging(transaction, Judging::kBody);
}

bool Judge::request_end(Transaction& transaction) {
  transaction.request_done = true;
  transaction.request_ended = context_.now;
  return request_cut(transaction);
}

bool Judge::request_cut(Transaction& transaction) {
  if (transaction.rules_ended) return false;
  transaction.rules_ended = true;
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (!judgement->rules.active()) continue;
    (void)timed(context_, [&] { return judgement->rules.request_end(); });
  }
  return begin_judging(transaction, Judging::kEnd);
}

bool Judge::response_head(Transaction& transaction) {
  transaction.response_head_done = true;
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (!judgement->rules.active()) continue;
    take(*judgement,
         timed(context_, [&] { return judgement->rules.response_head(transaction.response); }));
    if (judgement->rules.wants_response_body() != rules::ResponseBodyNeed::kNone) {
      transaction.judges_response_body = true;
    }
  }
  return decide(transaction);
}

bool Judge::response_body(Transaction& transaction, base::Bytes bytes) {
  transaction.response_body_bytes += bytes.size();
  if (!transaction.judges_response_body) return false;
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (judgement->rules.active() &&
        judgement->rules.wants_response_body() != rules::ResponseBodyNeed::kNone) {
      take(*judgement, timed(context_, [&] { return judgement->rules.response_body(bytes); }));
    }
  }
  return decide(transaction);
}

bool Judge::response_end(Transaction& transaction) {
  transaction.response_done = true;
  transaction.response_ended = context_.now;
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (judgement->rules.active())
      take(*judgement, timed(context_, [&] { return judgement->rules.response_end(); }));
  }
  return decide(transaction);
}

void Judge::without_head(Transaction& transaction) {
  transaction.id = context_.ids.next(context_.wall / base::kNanosPerMilli);
  transaction.client = connection_.client;
  transaction.service = connection_.first_service;
  transaction.live.mode = context_.mode_of(transaction.service);
}

bool Judge::refuse(Transaction& transaction, Reason reason, const http::RequestHead* head) {
  // A verdict on what came before the refusal stays; what the lenient reading gives is only seen.
  const bool judged_before = transaction.request_head_done;
  if (!judged_before && head != nullptr) {
    transaction.request = *head;
    (void)request_head(transaction);
    run_to_the_end(transaction);
  } else if (!judged_before) {
    without_head(transaction);
  }
  const std::uint16_t status = reason == Reason::kBodyTooLarge ? kContentTooLarge : kForbidden;
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (!judged_before) judgement->verdict = abi::Verdict{};
    set(*judgement, reason, status);
  }
  return decide(transaction);
}

void Judge::see_rest(Transaction& transaction) {
  run_to_the_end(transaction);
  if (transaction.request_done || transaction.rules_ended) return;
  transaction.rules_ended = true;
  context_.rules_state->begin_slice(0);
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (judgement->rules.active())
      (void)timed(context_, [&] { return judgement->rules.request_end(); });
  }
}

bool Judge::refuse(Transaction& transaction, Reason reason, std::uint16_t status) {
  if (!transaction.request_head_done) {
    without_head(transaction);
    transaction.request_head_done = true;
  }
  set(transaction.live, reason, status);
  set(transaction.staged, reason, status);
  return decide(transaction);
}

void Judge::fill_header(const Transaction& transaction, std::uint16_t flags,
                        abi::EventHeader& header) {
  const abi::Verdict& verdict = transaction.live.verdict;
  header.time_ns = context_.wall;
  header.monotonic_ns = context_.now;
  header.event_id[0] = transaction.id.high;
  header.event_id[1] = transaction.id.low;
  header.flow_id = connection_.flow_id;
  if (transaction.live.generation != nullptr) {
    header.generation = transaction.live.generation->number();
  } else if (context_.live != nullptr) {
    header.generation = context_.live->number();  // judged before it had a transaction
  }
  std::memcpy(header.source, connection_.client.bytes, sizeof header.source);
  std::memcpy(header.destination, connection_.server.bytes, sizeof header.destination);
  header.source_port = connection_.client_port;
  header.destination_port = connection_.server_port;
  set_vlan(connection_.vlan_key, header);
  header.service_index = transaction.service;
  header.worker = context_.worker;
  header.status = verdict.blocks() && (flags & abi::kEventReplied) != 0
                      ? verdict.status
                      : transaction.response.status;
  header.action = verdict.action;
  header.reason = verdict.reason;
  header.phase = verdict.phase;
  header.rule_id = verdict.rule_id;
  header.direction = verdict.phase >= 3 ? 1 : 0;
  header.limit_id = transaction.limit.limit_id;
  header.transaction = transaction.number;
  header.flags = flags;
  const rules::Transaction& rules = transaction.live.rules;
  if (rules.active()) {
    header.score_inbound = rules.score_inbound();
    header.score_outbound = rules.score_outbound();
  }
  if (!rules.active() || rules.exact()) header.flags |= abi::kEventExact;
  if (transaction.staged.generation != nullptr) {
    header.staged_generation = transaction.staged.generation->number();
    header.staged_action = transaction.staged.verdict.action;
    header.staged_reason = transaction.staged.verdict.reason;
    if (header.staged_action != header.action) header.flags |= abi::kEventStagedDiffers;
    if (const rules::Transaction& staged = transaction.staged.rules; staged.active()) {
      header.staged_score_inbound = staged.score_inbound();
      header.staged_score_outbound = staged.score_outbound();
    }
  }
  header.request_bytes = transaction.request_bytes;
  header.response_bytes = transaction.response_bytes;
  header.request_body_bytes = transaction.request_body_bytes;
  header.response_body_bytes = transaction.response_body_bytes;
  header.inspected_bytes = transaction.inspected_bytes;
  header.duration_ns = context_.now - transaction.begun;
  if (transaction.response_begun != 0 && transaction.request_ended != 0 &&
      transaction.response_begun >= transaction.request_ended) {
    header.server_ns = transaction.response_begun - transaction.request_ended;
  }
  header.added_ns = transaction.added_ns;
}

void Judge::count(const Transaction& transaction) {
  const abi::Verdict& verdict = transaction.live.verdict;
  abi::WorkerCounters& counters = context_.counters;
  const std::size_t service =
      transaction.service == kNoService ? abi::kServicesMax : transaction.service;
  counters
      .requests[service][static_cast<std::size_t>(verdict.action)]
               [static_cast<std::size_t>(verdict.reason)]
      .add();
  counters.count(abi::CounterId::kRequests);
  if (transaction.response_done) counters.count(abi::CounterId::kResponses);
  const auto bucket = static_cast<std::size_t>(std::bit_width(transaction.added_ns / 64));
  counters.added_latency[std::min(bucket, abi::kLatencyBuckets - 1)].add();
  counters.added_latency_sum_ns.add(transaction.added_ns);
  // Hits are numbered by the live image; what an older generation judged is in its records alone.
  if (transaction.live.generation != context_.live || !transaction.live.rules.active()) return;
  for (const rules::RuleMatch& match : transaction.live.rules.matches()) {
    if (match.rule_index < abi::kRuleHitsMax) counters.rule_hits[match.rule_index].add();
  }
}

void Judge::finish(Transaction& transaction, std::uint16_t flags) {
  if (transaction.recorded) return;
  transaction.recorded = true;
  // In monitor the request is on its way already, and the record must say what it was. Else it has
  // not left and never will: the rest of the work is given up.
  if (working(transaction) && transaction.live.mode != Mode::kBlock) run_to_the_end(transaction);
  transaction.judging = Judging::kNothing;
  for (Judgement* judgement : {&transaction.live, &transaction.staged}) {
    if (judgement->rules.active()) timed(context_, [&] { judgement->rules.finish(); });
  }
  abi::EventHeader header{};
  fill_header(transaction, flags, header);
  count(transaction);
  const http::RequestHead& head = transaction.request;
  TransactionRecord record;
  record.header = &header;
  record.method = head.method;
  record.uri = head.target;
  record.protocol = head.protocol;
  record.host = value_of(head, http::FieldId::kHost);
  record.user_agent = value_of(head, http::FieldId::kUserAgent);
  record.content_type = value_of(head, http::FieldId::kContentType);
  record.fields = head.fields;
  record.refused_head = base::as_text(transaction.refused.bytes);
  record.refused_at = transaction.refused.at;
  record.limit_name = transaction.limit.limit_name;
  if (transaction.live.generation != nullptr && transaction.service != kNoService) {
    const Generation& live = *transaction.live.generation;
    record.route =
        limit::named_route(live.policy(), live.services()[transaction.service], head.method,
                           head.path_and_query.substr(0, head.path_and_query.find_first_of("?#")));
  }
  char client[base::IpAddress::kTextBytesMax];
  if (!(transaction.client == connection_.client)) {
    record.client_address = {client, transaction.client.format(client)};
  }
  std::uint8_t digest[Sha256::kDigestBytes];
  if (transaction.digest.open()) {
    transaction.digest.finish(digest);
    record.body_sha256 = digest;
  }
  if (transaction.live.rules.active()) record.rules = &transaction.live.rules;
  if (transaction.staged.rules.active()) record.staged = &transaction.staged.rules;
  {
    const StageSpan span(context_.stages, abi::Stage::kEvents);
    context_.events.transaction(record);
  }
  if (context_.observer.transaction != nullptr) {
    context_.observer.transaction(context_.observer.context, record);
  }
  transaction.release(context_.worker);
}

}  // namespace sluice::engine
