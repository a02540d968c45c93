// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/multipart.h"
#include "dataplane/rules/request_parts.h"
#include "dataplane/rules/sent_places.h"

namespace sluice::rules {
namespace {

/// Meets the names in the heads of parts in the order in which they became values.
struct NamesSink {
  using Place = SentPlaces::Place;
  NamesSink(const TransactionState& state, std::span<SentBytes> wanted)
      : body(base::as_text(state.request_body.view())),
        fields(state, VariableId::kArgsPost, wanted),
        files(state, VariableId::kFiles, wanted),
        names(state, VariableId::kMultipartName, wanted),
        filenames(state, VariableId::kMultipartFilename, wanted) {}

  [[nodiscard]] bool empty() const {
    return fields.empty() && files.empty() && names.empty() && filenames.empty();
  }
  void part_begin(const http::MultipartPart& part) {
    const auto name = [&](const Place& place) { take(place, part.name, part.raw_name); };
    const auto filename = [&](const Place& place) {
      take(place, part.filename, part.raw_filename);
    };
    names.next(name);
    if (part.has_filename) filenames.next(filename);
    if (part.is_file()) {
      files.next([&](const Place& place) { place.is_name ? name(place) : filename(place); });
    } else {
      fields.next([&](const Place& place) {
        if (place.is_name) name(place);
      });
    }
  }
  void part_header(std::string_view) {}
  void part_data(Bytes) {}
  void part_end() {}

 private:
  /// `raw` lies in the decoder: the same bytes are in the body, unless a fold divides them.
  void take(const Place& place, std::string_view parsed, std::string_view raw) const {
    if (raw == parsed || parsed != place.value) return;
    const std::size_t at = body.find(raw);
    if (at == std::string_view::npos) return;
    place.sent->bytes = base::as_bytes(body.substr(at, raw.size()));
  }

  std::string_view body;
  SentPlaces fields, files, names, filenames;
};

}  // namespace

void find_sent_parts(const TransactionState& state, std::span<SentBytes> wanted) {
  NamesSink sink(state, wanted);
  if (sink.empty()) return;
  base::Arena& arena = state.worker->arena;
  const std::size_t used = arena.used();
  http::MultipartDecoder decoder(arena, http::multipart_boundary(request_content_type(state)));
  decoder.feed(state.request_body.view(), sink);
  decoder.finish(sink);
  arena.shrink_to(used);
}

}  // namespace sluice::rules
