// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstring>
#include <functional>

#include "dataplane/http/content_decoder.h"
#include "dataplane/http/json.h"
#include "dataplane/http/multipart.h"
#include "dataplane/http/query.h"
#include "dataplane/http/xml.h"
#include "dataplane/rules/request_parts.h"
#include "dataplane/rules/scalars.h"
#include "dataplane/rules/strict_body.h"

namespace sluice::rules {

namespace {

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

void read_urlencoded(TransactionState& state, bool is_labelled = true) {
  bool invalid = state.values.first(VariableId::kUrlencodedError) != kNoValue &&
                 state.values.at(state.values.first(VariableId::kUrlencodedError)).view()[0] == '1';
  ArgumentSink sink(state, VariableId::kArgsPost);
  const char separator = static_cast<char>(state.header().settings.argument_separator);
  const auto decode = [&](std::string_view raw, Joiner& to) {
    if (!http::needs_percent_decode(raw)) return to.append(base::as_bytes(raw));
    auto* decoded = static_cast<char*>(state.worker->arena.allocate(raw.size(), 1));
    if (decoded == nullptr) return state.fail(abi::Reason::kTransactionMemory);
    const std::size_t used = state.worker->arena.used() - raw.size();
    const http::PercentDecoded result = http::percent_decode(raw, decoded);
    if (result.invalid_count > 0) {
      invalid = true;
      if (is_labelled) note_strict(state, abi::strict_bit(abi::Strict::kBodyForm));
    }
    to.append(base::as_bytes(std::string_view(decoded, result.size)));
    state.worker->arena.shrink_to(used);
  };
  http::for_each_argument(base::as_text(state.request_body.view()), separator,
                          [&](std::string_view name, std::string_view value) {
                            if (state.failed()) return;
                            decode(name, sink.name_text);
                            decode(value, sink.text);
                            sink.end();
                          });
  if (!is_labelled) return;
  set_scalar(state, VariableId::kUrlencodedError, invalid ? "1" : "0");
  check_repeated_names(state, VariableId::kArgsPost);
}

void read_json(TransactionState& state) {
  http::JsonDecoder decoder(state.worker->arena, json_limits(state));
  ArgumentSink sink(state, VariableId::kArgs);
  bool good = decoder.feed(state.request_body.view(), sink);
  if (good) good = decoder.finish(sink);
  fail_json(state, decoder.reason());
  note_strict(state, decoder.strict_failures());
  set_body_error(state, !good || sink.over_limit, decoder.error_text());
}

/// What servers make of a body that go by its bytes: JSON under another label (`curl -d` says form)
/// becomes arguments beside those of the label, and a body without one is read as a form (Rack,
/// Python's cgi, Bottle). Nothing is held against such a reading, and REQUEST_BODY stays.
void read_otherwise(TransactionState& state) {
  const bool is_form = state.processor == http::BodyProcessor::kUrlencoded;
  if (!is_form && state.processor != http::BodyProcessor::kNone) return;
  const std::string_view text = base::as_text(state.request_body.view());
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return;
  if (text[begin] == '{' || text[begin] == '[') {
    http::JsonLimits limits = json_limits(state);
    limits.find_duplicate_keys = false;
    state.grant(text.size());  // it is work twice
    http::JsonDecoder decoder(state.worker->arena, limits);
    ArgumentSink sink(state, VariableId::kArgs);
    if (decoder.feed(state.request_body.view(), sink)) decoder.finish(sink);
    return fail_json(state, decoder.reason());
  }
  if (!is_form && request_content_type(state).empty()) read_urlencoded(state, false);
}

struct XmlSink {
  explicit XmlSink(TransactionState& to)
      : state(to), all_text(to), splits(to.ruleset->reads_xml_texts()) {}
  void text(Bytes piece) { all_text.append(piece); }
  void text_end() {
    if (splits && !state.failed()) {
      add_member(state, VariableId::kXml, kXmlTexts, all_text.behind(node_start));
    }
    node_start = all_text.size();
  }
  void reference(Bytes piece) {
    all_text.append(piece);
    node_start = all_text.size();
  }
  void attribute(std::string_view, std::string_view value) {
    if (!state.failed()) {
      add_member(state, VariableId::kXml, "//@*", base::as_bytes(state.keep(value)));
    }
  }
  TransactionState& state;
  Joiner all_text;
  std::size_t node_start = 0;
  bool splits;
};

void read_xml(TransactionState& state) {
  XmlSink sink(state);
  http::XmlDecoder decoder(state.worker->arena);
  bool good = decoder.feed(state.request_body.view(), sink);
  if (good) good = decoder.finish(sink);
  if (decoder.reason() != abi::Reason::kNone) state.fail(decoder.reason());
  // An empty body is an error of libmodsecurity's, and an honest client's DELETE.
  if (state.request_body.size > 0) note_strict(state, decoder.strict_failures());
  if (!state.failed()) add_member(state, VariableId::kXml, "/*", sink.all_text.take());
  set_body_error(state, !good, decoder.error_text());
}

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

void read_multipart(TransactionState& state) {
  const http::MultipartBoundary boundary = http::multipart_boundary(request_content_type(state));
  http::MultipartDecoder decoder(state.worker->arena, boundary);
  MultipartSink sink(state);
  decoder.feed(state.request_body.view(), sink);
  if (state.request_body.size > 0) decoder.finish(sink);  // an empty body is no error
  if (decoder.reason() != abi::Reason::kNone) state.fail(decoder.reason());
  note_strict(state, decoder.strict_failures());
  set_multipart_flags(state, decoder.flags());
  set_body_error(state, decoder.flags().error, decoder.error_text());
  set_no_files_error(state, sink.no_files_bytes);
  set_number(state, VariableId::kFilesCombinedSize, sink.all_files_bytes);
}

void read_with_processor(TransactionState& state) {
  const bool is_multipart = state.processor == http::BodyProcessor::kMultipart;
  if (!is_multipart && state.processor != http::BodyProcessor::kNone &&
      set_no_files_error(state, state.request_body.size)) {
    return;
  }
  switch (state.processor) {
    case http::BodyProcessor::kNone:
      return set_body_error(state, false, {});
    case http::BodyProcessor::kUrlencoded:
      return read_urlencoded(state);
    case http::BodyProcessor::kMultipart:
      return read_multipart(state);
    case http::BodyProcessor::kJson:
      return read_json(state);
    case http::BodyProcessor::kXml:
      return read_xml(state);
  }
}

/// Undoes Content-Encoding: what rules see is what the application will see.
void decode_content(TransactionState& state) {
  http::ContentCoding coding = http::ContentCoding::kIdentity;
  for (const http::Field& field : state.request->fields) {
    if (field.id != http::FieldId::kContentEncoding) continue;
    if (coding != http::ContentCoding::kIdentity) return state.fail(abi::Reason::kBodyEncoding);
    coding = http::content_coding(field.value);
  }
  // What nothing here decodes is for the switch body_encoding: where it is off, rules see the
  // bytes.
  if (coding == http::ContentCoding::kIdentity || coding == http::ContentCoding::kUnsupported) {
    return;
  }
  if (state.request_body.size == 0) return;
  const BodyBuffer encoded = state.request_body;
  state.request_body = {};
  http::ContentDecoder decoder(state.worker->arena, coding, {});
  abi::Reason reason = decoder.feed(encoded.view(), [&](Bytes piece) {
    append_body(state, state.request_body, piece, abi::kBodyBytesKept);
  });
  if (reason == abi::Reason::kNone) reason = decoder.finish();
  state.grant(state.request_body.size);
  if (reason != abi::Reason::kNone) state.fail(reason);
  if (state.request_body.cut) state.fail(abi::Reason::kBodyTooLarge);
}

/// Whether REQUEST_BODY has the raw body: not where a parser has turned all of it into something
/// better (ModSecurity reference manual, and the tests of the CRS; libmodsecurity 3 always has it).
bool shows_raw_body(const TransactionState& state) {
  if (state.force_request_body) return true;
  switch (state.processor) {
    case http::BodyProcessor::kNone:
    case http::BodyProcessor::kUrlencoded:
      return true;
    case http::BodyProcessor::kMultipart:
    case http::BodyProcessor::kJson:
    case http::BodyProcessor::kXml:
      return state.body_error;
  }
  return true;
}

void set_full_request(TransactionState& state) {
  if (!is_used(state, VariableId::kFullRequest) &&
      !is_used(state, VariableId::kFullRequestLength)) {
    return;
  }
  Joiner all(state);
  all.append(state.request->raw);
  all.append(state.request_body.view());
  const Bytes text = all.take();
  set_scalar(state, VariableId::kFullRequest, base::as_text(text));
  set_number(state, VariableId::kFullRequestLength, text.size());
}

}  // namespace

std::string_view request_content_type(const TransactionState& state) {
  std::string_view found;
  for (const http::Field& field : state.request->fields) {
    if (field.id == http::FieldId::kContentType) found = field.value;
  }
  return found;
}

void set_body_error(TransactionState& state, bool error, std::string_view message) {
  const std::string_view flag = error ? "1" : "0";
  set_scalar(state, VariableId::kReqbodyError, flag);
  set_scalar(state, VariableId::kReqbodyProcessorError, flag);
  state.body_error = error;
  if (!error) return;
  set_scalar(state, VariableId::kReqbodyErrorMsg, message);
  set_scalar(state, VariableId::kReqbodyProcessorErrorMsg, message);
}

http::JsonLimits json_limits(const TransactionState& state) {
  http::JsonLimits limits;
  const std::uint32_t depth = state.header().settings.json_depth_limit;
  if (depth != 0) limits.depth_max = std::min(limits.depth_max, depth);
  limits.find_duplicate_keys = abi::is_strict(state.info.strict, abi::Strict::kJsonDuplicateKey);
  if (limits.find_duplicate_keys) {
    constexpr std::string_view kPurpose = "json keys";
    limits.hash_seed = base::keyed_hash64(state.worker->key, kPurpose.data(), kPurpose.size());
  }
  return limits;
}

void fail_json(TransactionState& state, abi::Reason reason) {
  if (reason == abi::Reason::kNone) return;
  const bool chosen = state.header().settings.json_depth_limit != 0;
  if (reason != abi::Reason::kJsonDepth || !chosen) state.fail(reason);
}

void set_multipart_flags(TransactionState& state, const http::MultipartFlags& flags) {
  using enum VariableId;
  const auto flag = [&](VariableId variable, bool value) {
    set_scalar(state, variable, value ? "1" : "0");
  };
  flag(kMultipartBoundaryQuoted, flags.boundary_quoted);
  flag(kMultipartBoundaryWhitespace, flags.boundary_whitespace);
  flag(kMultipartDataBefore, flags.data_before);
  flag(kMultipartDataAfter, flags.data_after);
  flag(kMultipartHeaderFolding, flags.header_folding);
  flag(kMultipartInvalidHeaderFolding, flags.invalid_header_folding);
  flag(kMultipartLfLine, flags.lf_line);
  flag(kMultipartCrlfLfLines, flags.crlf_lf_lines());
  flag(kMultipartMissingSemicolon, flags.missing_semicolon);
  flag(kMultipartInvalidQuoting, flags.invalid_quoting);
  flag(kMultipartInvalidPart, flags.invalid_part);
  flag(kMultipartStrictError, flags.strict_error());
  flag(kMultipartFileLimitExceeded, false);  // no file is ever saved
  constexpr std::string_view kUnmatched[] = {"0", "1", "2"};
  set_scalar(state, kMultipartUnmatchedBoundary,
             kUnmatched[flags.unmatched_boundary < 3 ? flags.unmatched_boundary : 1]);
}

bool set_no_files_error(TransactionState& state, std::uint64_t bytes) {
  const std::uint64_t limit = state.header().settings.request_body_no_files_limit;
  if (limit == 0 || bytes <= limit) return false;
  set_body_error(state, true, "Request body excluding files is bigger than the maximum expected.");
  set_scalar(state, VariableId::kInboundDataError, "1");
  return true;
}

void add_body_values(TransactionState& state) {
  read_with_processor(state);
  if (!shows_raw_body(state)) return;
  set_scalar(state, VariableId::kRequestBody, base::as_text(state.request_body.view()));
}

void add_request_body(TransactionState& state) {
  decode_content(state);
  if (state.failed()) return;
  const std::uint64_t limit = state.request_body_limit;
  const bool over = limit != 0 && state.request_body.total > limit;
  set_scalar(state, VariableId::kInboundDataError, over ? "1" : "0");
  check_body_label(state, state.request_body.view());
  read_with_processor(state);
  if (reads_otherwise(state) && !state.failed()) read_otherwise(state);
  const std::size_t arena_used = state.worker->arena.used();
  if (state.request_body.size > 0) {
    if (shows_raw_body(state)) {
      set_scalar(state, VariableId::kRequestBody, base::as_text(state.request_body.view()));
    }
    set_number(state, VariableId::kRequestBodyLength, state.request_body.total);
  }
  set_combined_size(state);
  set_full_request(state);
  state.worker->arena.shrink_to(arena_used);
}

}  // namespace sluice::rules
