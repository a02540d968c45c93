// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/rules/ruleset_fixture.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "controlplane/seclang/link.h"
#include "dataplane/http/response_parser.h"

namespace sluice::rules::test {

namespace {

LoadedRules load(const seclang::LinkedRules& linked, config::Diagnostics& diagnostics,
                 const compile::CompileOptions& options) {
  LoadedRules result;
  compile::StringsBuilder strings;
  compile::ProgramPtr program;
  if (diagnostics.ok()) {
    program = compile::compile(linked, options, strings, diagnostics, result.report);
  }
  for (const auto& each : diagnostics.errors) result.errors.push_back(config::to_text(each));
  for (const auto& each : diagnostics.warnings) result.warnings.push_back(config::to_text(each));
  if (program == nullptr) return result;
  compile::ImageParts parts;
  parts.strings = &strings;
  parts.generation = 1;
  auto image = compile::write_image(parts, program.get());
  if (!image.ok()) {
    result.errors.push_back(image.error().message);
    return result;
  }
  result.memory.resize(image.value().size() + 64);
  const auto start = (reinterpret_cast<std::uintptr_t>(result.memory.data()) + 63) & ~63ULL;
  std::memcpy(reinterpret_cast<void*>(start), image.value().data(), image.value().size());
  result.image = {reinterpret_cast<const std::uint8_t*>(start), image.value().size()};
  abi::ImageError error{};
  auto opened = Ruleset::open(result.image, 1, error);
  if (opened.ok()) {
    result.ruleset = std::move(opened).value();
  } else {
    result.errors.push_back(opened.error().message);
  }
  return result;
}

}  // namespace

LoadedRules load_text(const std::string& text, const compile::CompileOptions& options) {
  seclang::SourceSet sources;
  config::Diagnostics diagnostics;
  const auto linked = seclang::link_text("test.conf", text, sources, diagnostics);
  return load(linked, diagnostics, options);
}

LoadedRules load_files(const std::vector<std::string>& files,
                       const compile::CompileOptions& options) {
  seclang::SourceSet sources;
  config::Diagnostics diagnostics;
  const auto linked = seclang::link_files(files, sources, diagnostics);
  return load(linked, diagnostics, options);
}

bool Judged::has(std::uint32_t id) const {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

CollectionMemory::CollectionMemory(std::size_t slots)
    : words_(CollectionTable::bytes_for(slots) / 8) {
  CollectionTable::format(span(), slots);
}

Judge::Judge(const Ruleset& ruleset, const CollectionTable* collections)
    : ruleset_(ruleset), memory_(256 * 1024) {
  worker_ = std::move(WorkerState::create({.hash_seed = 7, .collections = collections}).value());
  info.client = *base::IpAddress::parse("192.0.2.1");
  info.server = *base::IpAddress::parse("192.0.2.80");
  info.client_port = 40000;
  info.server_port = 80;
  info.wall_ns = 1'700'000'000'000'000'000;
  info.monotonic_ns = 1'000'000'000'000;
  info.id = {1, 42};
}

namespace {

/// Feeds a message to its parser, cut at every event. False if it is refused before its head.
template <typename Parser, typename Head, typename Body>
bool feed(Parser& parser, std::string_view text, Head&& on_head, Body&& on_body) {
  base::Bytes rest = base::as_bytes(text);
  bool has_head = false;
  for (int guard = 0; guard < 100000; ++guard) {
    const http::Step step = parser.feed(rest);
    rest = rest.subspan(step.consumed);
    switch (step.event) {
      case http::Event::kHeadComplete:
        has_head = true;
        on_head(parser.head());
        break;
      case http::Event::kBodyData:
        on_body(step.body);
        break;
      case http::Event::kMessageComplete:
      case http::Event::kUpgraded:
        return has_head;
      case http::Event::kNeedMore:
      case http::Event::kUnparsed:
        if (rest.empty()) return has_head;
        break;
      case http::Event::kRefused:
        if constexpr (requires { parser.continue_leniently(); }) {
          parser.continue_leniently();
          break;
        }
        return has_head;
    }
  }
  return has_head;
}

}  // namespace

/// The rest of a call, slice after slice.
void Judge::go_on(Transaction& transaction) {
  for (; transaction.working(); ++stops) {
    worker_->begin_slice(slice_cycles);
    (void)transaction.go_on();
  }
}

Judged Judge::run(std::string_view request, std::string_view response) {
  Judged judged;
  base::Arena arena(memory_);
  http::RequestParser parser;
  parser.begin(arena, {});
  Transaction transaction;
  worker_->begin_slice(slice_cycles);
  transaction.begin(ruleset_, *worker_, info);
  ++info.id.low;
  judged.refused = !feed(
      parser, request,
      [&](const http::RequestHead& head) {
        (void)transaction.request_head(head);
        go_on(transaction);
      },
      [&](base::Bytes body) {
        (void)transaction.request_body(body);
        go_on(transaction);
      });
  (void)transaction.request_end();
  go_on(transaction);
  http::ResponseParser responses;
  if (!response.empty()) {
    responses.begin(arena, {}, {});
    feed(
        responses, response,
        [&](const http::ResponseHead& head) { (void)transaction.response_head(head); },
        [&](base::Bytes body) {
          if (transaction.wants_response_body() == ResponseBodyNeed::kNone) return;
          (void)transaction.response_body(body);
        });
    (void)transaction.response_end();
  }
  transaction.finish();
  judged.verdict = transaction.verdict();
  for (const RuleMatch& match : transaction.matches()) {
    if (match.nolog) continue;
    judged.ids.push_back(match.rule_id);
    judged.targets.emplace_back(match.target);
    judged.values.emplace_back(base::as_text(match.value));
    judged.bodies.emplace_back(match.body_from, match.body_to);
    SentBytes sent[] = {{match.origin, {}}};
    transaction.find_sent(sent);
    judged.sent.emplace_back(base::as_text(sent[0].bytes));
  }
  judged.inbound = transaction.score_inbound();
  judged.outbound = transaction.score_outbound();
  judged.limits.assign(transaction.limits().begin(), transaction.limits().end());
  judged.exact = transaction.exact();
  judged.steps = transaction.steps();
  for (const std::string& name : tx_names) judged.tx.emplace_back(transaction.tx(name));
  return judged;
}

}  // namespace sluice::rules::test
