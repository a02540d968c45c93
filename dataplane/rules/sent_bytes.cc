// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/sent_bytes.h"

#include <algorithm>
#include <string_view>

#include "dataplane/http/query.h"

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

/// Whether the inside of a JSON string may give the value: up to its first escape it is the value.
bool unescapes_to(std::string_view raw, std::string_view value) {
  const std::string_view plain = raw.substr(0, raw.find('\\'));
  return plain.size() <= value.size() && value.substr(0, plain.size()) == plain;
}

/// The same for the inside of a member's name and a part of a name as rules see it, "json.a.b",
/// behind any of its points: which of them stand between members is not known.
bool unescapes_to_part_of(std::string_view raw, std::string_view name) {
  const std::string_view plain = raw.substr(0, raw.find('\\'));
  for (std::size_t at = name.find('.'); at != std::string_view::npos; at = name.find('.', at + 1)) {
    if (name.substr(at + 1).starts_with(plain)) return true;
  }
  return false;
}

/// Calls sink(key, text) for each scalar of a valid JSON text in order: the inside of the name of
/// the member that it is, or is in a list of (empty: there is none, or it is not known any more),
/// and that of a string, or a number or literal as it stands. O(text).
template <typename Sink>
void for_each_scalar(std::string_view text, Sink&& sink) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::string_view key;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t start = at;
    const char c = text[at++];
    if (c == '"') {
      while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2U : 1U;
      if (at >= text.size()) return;
      const std::string_view inside = text.substr(start + 1, at - start - 1);
      const std::size_t next = text.find_first_not_of(kBlanks, ++at);
      const bool is_key = next != std::string_view::npos && text[next] == ':';
      if (is_key) {
        key = inside;
      } else {
        sink(key, inside);
      }
    } else if (c == '}' || c == ']') {
      key = {};  // what follows is of a member that was begun before
    } else if (std::string_view("{[,: \t\r\n").find(c) == std::string_view::npos) {
      at = std::min(text.find_first_of(",]} \t\r\n", at), text.size());
      sink(key, text.substr(start, at - start));
    }
  }
}

/// Where a wanted value stands among those of its variable, and what it is.
struct Place {
  SentBytes* sent;
  std::uint32_t number;
  std::string_view value;
  bool is_name;
};

inline constexpr std::size_t kPlacesMax = 32;

/// The wanted values of one variable. O(values * wanted).
std::span<Place> places_of(const TransactionState& state, VariableId variable,
                           std::span<SentBytes> wanted, Place (&places)[kPlacesMax]) {
  std::size_t count = 0;
  std::uint32_t number = 0;
  for (std::uint16_t i = state.values.first(variable); i != kNoValue;
       i = state.values.at(i).next, ++number) {
    for (SentBytes& each : wanted) {
      if (each.origin == kNoValue || each.origin >> 1 != i || count == kPlacesMax) continue;
      const Value& value = state.values.at(i);
      const bool is_name = (each.origin & 1) != 0;
      places[count++] = {&each, number, is_name ? value.key() : base::as_text(value.view()),
                         is_name};
    }
  }
  return {places, count};
}

void find_arguments(const TransactionState& state, VariableId variable, std::string_view text,
                    std::span<SentBytes> wanted) {
  Place places[kPlacesMax];
  std::span<Place> left = places_of(state, variable, wanted, places);
  std::uint32_t number = 0;
  if (left.empty()) return;
  const char separator = static_cast<char>(state.header().settings.argument_separator);
  http::for_each_argument(text, separator, [&](std::string_view name, std::string_view value) {
    for (; !left.empty() && left.front().number == number; left = left.subspan(1)) {
      const Place& place = left.front();
      const std::string_view raw = place.is_name ? name : value;
      if (raw != place.value && decodes_to(raw, place.value)) {
        place.sent->bytes = base::as_bytes(raw);
      }
    }
    ++number;
  });
}

void find_members(const TransactionState& state, std::span<SentBytes> wanted) {
  Place places[kPlacesMax];
  std::span<Place> left = places_of(state, VariableId::kArgs, wanted, places);
  std::uint32_t number = 0;
  if (left.empty()) return;
  const std::string_view body = base::as_text(state.request_body.view());
  for_each_scalar(body, [&](std::string_view key, std::string_view inside) {
    for (; !left.empty() && left.front().number == number; left = left.subspan(1)) {
      const Place& place = left.front();
      const std::string_view raw = place.is_name ? key : inside;
      const bool escaped = place.is_name ? raw.find('\\') != std::string_view::npos &&
                                               unescapes_to_part_of(raw, place.value)
                                         : raw != place.value && unescapes_to(raw, place.value);
      if (escaped) place.sent->bytes = base::as_bytes(raw);
    }
    ++number;
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
  if (state.processor == http::BodyProcessor::kUrlencoded) {
    find_arguments(state, VariableId::kArgsPost, base::as_text(state.request_body.view()), wanted);
  } else if (state.processor == http::BodyProcessor::kJson) {
    find_members(state, wanted);
  }
}

}  // namespace sluice::rules
