// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <type_traits>

#include "dataplane/http/json.h"
#include "dataplane/http/multipart.h"
#include "dataplane/rules/request_parts.h"
#include "dataplane/rules/scalars.h"
#include "dataplane/rules/strict_body.h"

/// How a request body that is kept whole becomes arguments and files.
namespace sluice::rules {

/// Joins pieces into one text in the transaction's region; the next text goes behind it. A text
/// that stands in `source`, which must outlive the transaction's phase, byte for byte is not
/// copied: copies of one part of an upload, each larger than the last, would fill the region.
class Joiner {
 public:
  explicit Joiner(TransactionState& state, Bytes source = {}) : state_(state), source_(source) {}

  void append(Bytes piece) {
    if (piece.empty() || state_.failed()) return;
    if (size_ == 0) borrowed_ = rest_of_source(piece.data());
    if (!borrowed_.empty()) {
      if (continues(piece)) {
        size_ += piece.size();
        return;
      }
      const Bytes before = borrowed_.first(size_);
      borrowed_ = {};
      size_ = 0;
      copy(before);
    }
    copy(piece);
  }
  /// What was appended since the last take().
  Bytes take() {
    const Bytes text{borrowed_.empty() ? start_ : borrowed_.data(), size_};
    if (borrowed_.empty()) {
      start_ += size_;
      capacity_ -= size_;
    }
    borrowed_ = {};
    size_ = 0;
    return text;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// What was appended behind the first `start` bytes; it stays where it is.
  [[nodiscard]] Bytes behind(std::size_t start) const { return {start_ + start, size_ - start}; }

 private:
  [[nodiscard]] Bytes rest_of_source(const std::uint8_t* at) const {
    const std::less<> before;
    const std::uint8_t* const begin = source_.data();
    if (source_.empty() || before(at, begin) || !before(at, begin + source_.size())) return {};
    return source_.subspan(static_cast<std::size_t>(at - begin));
  }
  /// What a decoder holds back and gives later comes from elsewhere, but is what stands there.
  [[nodiscard]] bool continues(Bytes piece) const {
    return piece.size() <= borrowed_.size() - size_ &&
           std::memcmp(borrowed_.data() + size_, piece.data(), piece.size()) == 0;
  }
  void copy(Bytes piece) {
    if (piece.empty() || state_.failed()) return;
    const std::size_t needed = size_ + piece.size();
    if ((start_ == nullptr || needed > capacity_) && !grow(needed)) return;
    std::memcpy(start_ + size_, piece.data(), piece.size());
    size_ += piece.size();
  }
  bool grow(std::size_t needed) {
    const std::size_t capacity = needed + needed / 2 + 256;
    auto* larger = state_.region.allocate_array<std::uint8_t>(capacity);
    if (larger == nullptr) {
      state_.fail_memory();
      return false;
    }
    if (start_ != nullptr) std::memcpy(larger, start_, size_);
    start_ = larger;
    capacity_ = capacity;
    return true;
  }
  TransactionState& state_;
  Bytes source_;
  Bytes borrowed_;  ///< of the source, from where the text begins; empty: it is copied
  std::uint8_t* start_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

/// Names and values of a decoder become arguments.
struct ArgumentSink {
  ArgumentSink(TransactionState& to, VariableId list) : state(to), variable(list), text(to) {}
  void name(Bytes piece) { name_text.append(piece); }
  void value(Bytes piece) { text.append(piece); }
  void end() {
    const std::uint32_t limit = state.header().settings.arguments_limit;
    const std::uint32_t count =
        state.values.count(VariableId::kArgsGet) + state.values.count(variable);
    const Bytes key = name_text.take(), member = text.take();
    if (state.failed()) return;
    if (limit != 0 && count >= limit) {
      over_limit = true;
      note_strict(state, abi::strict_bit(abi::Strict::kArguments));
      return;
    }
    add_member(state, variable, base::as_text(key), member);
  }
  TransactionState& state;
  VariableId variable;
  Joiner text;
  Joiner name_text{state};
  bool over_limit = false;
};

struct JsonReader {
  JsonReader(TransactionState& to, base::Arena& arena)
      : state(to), decoder(arena, json_limits(to)), sink(to, VariableId::kArgs) {}
  void feed(Bytes piece) { good = good && decoder.feed(piece, sink); }
  void finish() {
    good = good && decoder.finish(sink);
    fail_json(state, decoder.reason());
    note_strict(state, decoder.strict_failures());
    set_body_error(state, !good || sink.over_limit, decoder.error_text());
  }
  TransactionState& state;
  http::JsonDecoder decoder;
  ArgumentSink sink;
  bool good = true;
};

struct MultipartSink {
  explicit MultipartSink(TransactionState& to)
      : state(to),
        data(to, to.request_body.view()),
        keeps_content(is_used(to, VariableId::kFilesTmpContent)) {}

  void part_begin(const http::MultipartPart& part) {
    name = state.keep(part.name);
    filename = state.keep(part.filename);
    file_bytes = 0;
    if (state.failed()) return;
    add_member(state, VariableId::kMultipartName, name, base::as_bytes(name));
    if (!part.has_filename) return;
    add_member(state, VariableId::kMultipartFilename, filename, base::as_bytes(filename));
  }
  void part_header(std::string_view line) {
    if (state.failed()) return;
    add_member(state, VariableId::kMultipartPartHeaders, name, base::as_bytes(state.keep(line)));
  }
  void part_data(Bytes piece) {
    if (filename.empty() || keeps_content) data.append(piece);
    file_bytes += piece.size();
  }
  void part_end() {
    if (state.failed()) return;
    if (filename.empty()) {
      no_files_bytes += file_bytes;
      return add_member(state, VariableId::kArgsPost, name, data.take());
    }
    add_member(state, VariableId::kFiles, name, base::as_bytes(filename));
    const std::string_view size =
        state.keep(number_text(state, static_cast<std::int64_t>(file_bytes)));
    add_member(state, VariableId::kFilesSizes, name, base::as_bytes(size));
    if (keeps_content) add_member(state, VariableId::kFilesTmpContent, name, data.take());
    all_files_bytes += file_bytes;
  }

  TransactionState& state;
  Joiner data;
  std::string_view name, filename;
  std::uint64_t file_bytes = 0, all_files_bytes = 0, no_files_bytes = 0;
  bool keeps_content;
};

struct MultipartReader {
  MultipartReader(TransactionState& to, base::Arena& arena)
      : state(to), decoder(arena, http::multipart_boundary(request_content_type(to))), sink(to) {}
  void feed(Bytes piece) { decoder.feed(piece, sink); }
  void finish() {
    if (state.request_body.size > 0) decoder.finish(sink);  // an empty body is no error
    if (decoder.reason() != abi::Reason::kNone) state.fail(decoder.reason());
    note_strict(state, decoder.strict_failures());
    set_multipart_flags(state, decoder.flags());
    set_body_error(state, decoder.flags().error, decoder.error_text());
    set_no_files_error(state, sink.no_files_bytes);
    set_number(state, VariableId::kFilesCombinedSize, sink.all_files_bytes);
  }
  TransactionState& state;
  http::MultipartDecoder decoder;
  MultipartSink sink;
};

/// A body of JSON or multipart on its way through its decoder, always in the same pieces.
class BodyReader {
 public:
  BodyReader(TransactionState& state, base::Arena& arena) : state_(state) {
    if (state.processor == http::BodyProcessor::kJson) {
      json_.emplace(state, arena);
    } else {
      multipart_.emplace(state, arena);
    }
  }
  /// False: that was the last piece.
  bool read() {
    const Bytes rest = state_.request_body.view().subspan(at_);
    const Bytes piece = rest.first(std::min(kPieceBytes, rest.size()));
    at_ += piece.size();
    json_ ? json_->feed(piece) : multipart_->feed(piece);
    if (at_ < state_.request_body.size) return true;
    json_ ? json_->finish() : multipart_->finish();
    return false;
  }

 private:
  static constexpr std::size_t kPieceBytes = 16 * 1024;
  TransactionState& state_;
  std::optional<JsonReader> json_;
  std::optional<MultipartReader> multipart_;
  std::size_t at_ = 0;
};
static_assert(std::is_trivially_destructible_v<BodyReader>, "it goes with its arena");

}  // namespace sluice::rules
