// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <charconv>

#include "dataplane/http/json.h"
#include "dataplane/rules/sent_places.h"

namespace sluice::rules {
namespace {

bool take(std::string_view& from, std::string_view front) {
  if (!from.starts_with(front)) return false;
  from.remove_prefix(front.size());
  return true;
}

/// Takes what the inside of a JSON string stands for off the front of a text. O(raw).
bool take_unescaped(const TransactionState& state, std::string_view& from, std::string_view raw) {
  if (raw.find('\\') == std::string_view::npos) return take(from, raw);
  struct {
    std::string_view rest;
    bool same = true;
    void name(Bytes) {}
    void value(Bytes piece) { same = same && take(rest, base::as_text(piece)); }
    void end() {}
  } sink{from};
  base::Arena& arena = state.worker->arena;
  const std::size_t used = arena.used();
  http::JsonDecoder decoder(arena, {});
  bool good = true;
  for (const std::string_view part : {std::string_view("\""), raw, std::string_view("\"")}) {
    good = good && decoder.feed(base::as_bytes(part), sink);
  }
  good = good && decoder.finish(sink) && sink.same;
  arena.shrink_to(used);
  if (good) from = sink.rest;
  return good;
}

/// Where in a document a scalar stands: the members and elements that it is in, with their names as
/// the client wrote them.
class Path {
 public:
  bool open(bool is_array) {
    if (depth_ == abi::kJsonDepthMax) return false;
    levels_[depth_++] = {{}, 0, is_array};
    return true;
  }
  void close() { depth_ -= depth_ == 0 ? 0 : 1; }
  void name(std::string_view raw) {
    if (depth_ != 0) levels_[depth_ - 1].key = raw;
  }
  void next_element() {
    if (depth_ != 0) ++levels_[depth_ - 1].element;
  }
  /// Whether this is the place that rules call "json.a.array_0.b".
  [[nodiscard]] bool is_called(const TransactionState& state, std::string_view name) const {
    if (!take(name, "json")) return false;
    for (const Level& level : std::span(levels_, depth_)) {
      if (!take_level(state, level, name)) return false;
    }
    return name.empty();
  }
  /// The innermost name that has an escape; empty: none has.
  [[nodiscard]] std::string_view escaped_name() const {
    for (std::size_t i = depth_; i > 0; --i) {
      const std::string_view key = levels_[i - 1].key;
      if (key.find('\\') != std::string_view::npos) return key;
    }
    return {};
  }

 private:
  struct Level {
    std::string_view key;
    std::uint32_t element;
    bool is_array;
  };
  static bool take_level(const TransactionState& state, const Level& level,
                         std::string_view& name) {
    if (!level.is_array) {
      if (!take(name, ".")) return false;
      return level.key.empty() ? take(name, "empty-key") : take_unescaped(state, name, level.key);
    }
    char number[12];
    const char* end = std::to_chars(number, number + sizeof number, level.element).ptr;
    return take(name, ".array_") && take(name, {number, static_cast<std::size_t>(end - number)});
  }
  Level levels_[abi::kJsonDepthMax];
  std::size_t depth_ = 0;
};

/// Calls sink(path, text, is_string) for each scalar of a valid JSON text in order: the inside of a
/// string, or a number or literal as it stands. O(text).
template <typename Sink>
void for_each_scalar(std::string_view text, Sink&& sink) {
  constexpr std::string_view kBlanks = " \t\r\n";
  Path path;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t start = at;
    const char c = text[at++];
    if (c == '"') {
      while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2U : 1U;
      if (at >= text.size()) return;
      const std::string_view inside = text.substr(start + 1, at - start - 1);
      const std::size_t next = text.find_first_not_of(kBlanks, ++at);
      if (next != std::string_view::npos && text[next] == ':') {
        path.name(inside);
      } else {
        sink(path, inside, true);
      }
    } else if (c == '{' || c == '[') {
      if (!path.open(c == '[')) return;
    } else if (c == '}' || c == ']') {
      path.close();
    } else if (c == ',') {
      path.next_element();
    } else if (c != ':' && kBlanks.find(c) == std::string_view::npos) {
      at = std::min(text.find_first_of(",]} \t\r\n", at), text.size());
      sink(path, text.substr(start, at - start), false);
    }
  }
}

}  // namespace

void find_sent_json(const TransactionState& state, std::span<SentBytes> wanted) {
  SentPlaces places(state, VariableId::kArgs, wanted);
  if (places.empty()) return;
  const std::string_view body = base::as_text(state.request_body.view());
  for_each_scalar(body, [&](const Path& path, std::string_view inside, bool is_string) {
    places.next([&](const SentPlaces::Place& place) {
      std::string_view value = place.value;
      if (place.is_name) {
        const std::string_view name = path.escaped_name();
        if (!name.empty() && path.is_called(state, value)) place.sent->bytes = base::as_bytes(name);
      } else if (is_string && inside != value && take_unescaped(state, value, inside) &&
                 value.empty()) {
        place.sent->bytes = base::as_bytes(inside);
      }
    });
  });
}

}  // namespace sluice::rules
