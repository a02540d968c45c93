// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/sent_bytes.h"

#include <algorithm>
#include <string_view>

#include "dataplane/http/query.h"
#include "dataplane/rules/sent_places.h"

namespace sluice::rules {
namespace {

/// Whether the raw text of an argument gives the value: its first bytes, decoded once more.
bool decodes_to(std::string_view raw, std::string_view value) {
  char decoded[abi::kMatchValueBytesMax];
  const std::string_view head = raw.substr(0, sizeof decoded);
  // An escape that the cut divides may differ.
  const std::size_t size = http::percent_decode(head, decoded).size;
  const std::size_t sure = head.size() == raw.size() ? size : size - std::min<std::size_t>(size, 3);
  return sure <= value.size() && std::equal(decoded, decoded + sure, value.begin()) &&
         (head.size() != raw.size() || sure == value.size());
}

void find_arguments(const TransactionState& state, VariableId variable, std::string_view text,
                    std::span<SentBytes> wanted) {
  SentPlaces places(state, variable, wanted);
  if (places.empty()) return;
  const char separator = static_cast<char>(state.header().settings.argument_separator);
  http::for_each_argument(text, separator, [&](std::string_view name, std::string_view value) {
    places.next([&](const SentPlaces::Place& place) {
      const std::string_view raw = place.is_name ? name : value;
      if (raw != place.value && decodes_to(raw, place.value)) {
        place.sent->bytes = base::as_bytes(raw);
      }
    });
  });
}

}  // namespace

void find_sent_bytes(const TransactionState& state, std::span<SentBytes> wanted) {
  if (state.request == nullptr) return;
  const std::string_view target = state.request->target.substr(0, state.request->target.find('#'));
  const std::size_t question = target.find('?');
  if (question != std::string_view::npos) {
    find_arguments(state, VariableId::kArgsGet, target.substr(question + 1), wanted);
  }
  for (SentBytes& each : wanted) {
    if (each.origin == kNoValue) continue;
    const Value& value = state.values.at(each.origin >> 1);
    using enum VariableId;
    if (value.variable != kRequestUri && value.variable != kRequestFilename &&
        value.variable != kRequestBasename && value.variable != kPathInfo) {
      continue;
    }
    const std::string_view raw =
        value.variable == kRequestUri ? target : target.substr(0, question);
    if (raw != base::as_text(value.view())) each.bytes = base::as_bytes(raw);
  }
  // A long body is gone, or its values are those of its last part.
  if (state.long_body != nullptr || state.body_error || state.request_body.cut) return;
  switch (state.processor) {
    case http::BodyProcessor::kNone:
      return;
    case http::BodyProcessor::kUrlencoded:
      return find_arguments(state, VariableId::kArgsPost, base::as_text(state.request_body.view()),
                            wanted);
    case http::BodyProcessor::kMultipart:
      return find_sent_parts(state, wanted);
    case http::BodyProcessor::kJson:
      return find_sent_json(state, wanted);
    case http::BodyProcessor::kXml:
      return find_sent_xml(state, wanted);
  }
}

}  // namespace sluice::rules
