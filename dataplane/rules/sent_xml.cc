// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <algorithm>
#include <initializer_list>

#include "dataplane/http/xml.h"
#include "dataplane/rules/sent_places.h"

namespace sluice::rules {
namespace {

using Pieces = std::initializer_list<std::string_view>;

/// Whether a small document has this text or, as its only one, this attribute.
bool reads_as(const TransactionState& state, Pieces document, std::string_view value) {
  struct {
    std::string_view rest;
    bool same = true;
    void text(Bytes piece) {
      const std::string_view part = base::as_text(piece);
      same = same && rest.starts_with(part);
      if (same) rest.remove_prefix(part.size());
    }
    void text_end() {}
    void reference(Bytes piece) { text(piece); }
    void attribute(std::string_view, std::string_view whole) { text(base::as_bytes(whole)); }
  } sink{value};
  base::Arena& arena = state.worker->arena;
  const std::size_t used = arena.used();
  bool good = true;
  {
    http::XmlDecoder decoder(arena);
    for (const std::string_view piece : document) {
      good = good && decoder.feed(base::as_bytes(piece), sink);
    }
    good = good && decoder.finish(sink);
  }
  arena.shrink_to(used);
  return good && sink.same && sink.rest.empty();
}

/// Behind the first `mark` from `from` on.
std::size_t behind(std::string_view text, std::string_view mark, std::size_t from) {
  const std::size_t at = text.find(mark, from);
  return at == std::string_view::npos ? text.size() : at + mark.size();
}

/// Where markup that begins at `at` and is no tag ends; `at` for a tag.
std::size_t end_of_markup(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("<!--")) return behind(text, "-->", at + 4);
  return rest.starts_with("<?") ? behind(text, "?>", at) : at;
}

/// Calls attribute(text with its quotes) for each attribute and node(text) for each text node of a
/// well-formed document in order. Returns what stands inside its root element; of a document with a
/// type, which may give attributes that nobody wrote, nothing. O(text).
template <typename Attribute, typename Node>
std::string_view for_each_value(std::string_view text, Attribute&& attribute, Node&& node) {
  std::size_t start = 0, end = 0;  // of what is inside the root
  std::size_t depth = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t open = std::min(text.find('<', at), text.size());
    if (open > at && depth > 0) node(text.substr(at, open - at));
    const std::string_view rest = text.substr(open);
    at = end_of_markup(text, open);
    if (at > open) continue;
    if (rest.starts_with("<![CDATA[")) {
      while (text.substr(at).starts_with("<![CDATA[")) at = behind(text, "]]>", at);
      node(text.substr(open, at - open));
    } else if (rest.starts_with("<!")) {
      return {};
    } else if (rest.starts_with("</")) {
      end = open;
      --depth;
      at = behind(text, ">", open);
    } else if (!rest.empty()) {
      for (;;) {
        at = std::min(text.find_first_of("\"'>", at), text.size());
        if (at == text.size() || text[at] == '>') break;
        const std::size_t close = std::min(text.find(text[at], at + 1), text.size() - 1);
        attribute(text.substr(at, close + 1 - at));
        at = close + 1;
      }
      if (text[at - 1] != '/') ++depth;
      at = std::min(at + 1, text.size());
      if (start == 0) start = at;
    }
  }
  return end > start ? text.substr(start, end - start) : std::string_view();
}

}  // namespace

void find_sent_xml(const TransactionState& state, std::span<SentBytes> wanted) {
  SentPlaces places(state, VariableId::kXml, wanted);
  if (places.empty()) return;
  const std::string_view body = base::as_text(state.request_body.view());
  const auto next_text = [&](std::string_view raw) {
    places.next([&](const SentPlaces::Place& place) {
      if (place.is_name || raw == place.value) return;
      if (reads_as(state, {"<a>", raw, "</a>"}, place.value)) {
        place.sent->bytes = base::as_bytes(raw);
      }
    });
  };
  const bool has_texts = state.ruleset->reads_xml_texts();
  const std::string_view inside = for_each_value(
      body,
      [&](std::string_view quoted) {
        places.next([&](const SentPlaces::Place& place) {
          const std::string_view raw = quoted.substr(1, quoted.size() - 2);
          if (place.is_name || raw == place.value) return;
          if (reads_as(state, {"<a b=", quoted, "/>"}, place.value)) {
            place.sent->bytes = base::as_bytes(raw);
          }
        });
      },
      [&](std::string_view raw) {
        if (has_texts) next_text(raw);
      });
  next_text(inside);  // the text of all elements is one value, and comes last
}

}  // namespace sluice::rules
