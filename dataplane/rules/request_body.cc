// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <new>

#include "dataplane/http/content_decoder.h"
#include "dataplane/http/query.h"
#include "dataplane/http/xml.h"
#include "dataplane/rules/body_reader.h"

namespace sluice::rules {

namespace {

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

/// Bodies whose decoder stops between two pieces are read by a BodyReader.
bool is_read_in_pieces(const TransactionState& state) {
  return state.processor == http::BodyProcessor::kJson ||
         state.processor == http::BodyProcessor::kMultipart;
}

void read_at_once(TransactionState& state) {
  switch (state.processor) {
    case http::BodyProcessor::kNone:
      return set_body_error(state, false, {});
    case http::BodyProcessor::kUrlencoded:
      return read_urlencoded(state);
    case http::BodyProcessor::kXml:
      return read_xml(state);
    case http::BodyProcessor::kMultipart:
    case http::BodyProcessor::kJson:
      return;
  }
}

/// The body is longer than SecRequestBodyNoFilesLimit, where that needs no reading.
bool is_over_no_files_limit(TransactionState& state) {
  return state.processor != http::BodyProcessor::kMultipart &&
         state.processor != http::BodyProcessor::kNone &&
         set_no_files_error(state, state.request_body.size);
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

/// What comes before the processor. False: there is nothing for it to read.
bool open_body(TransactionState& state) {
  decode_content(state);
  if (state.failed()) return false;
  const std::uint64_t limit = state.request_body_limit;
  const bool over = limit != 0 && state.request_body.total > limit;
  set_scalar(state, VariableId::kInboundDataError, over ? "1" : "0");
  check_body_label(state, state.request_body.view());
  return !is_over_no_files_limit(state);
}

void close_body(TransactionState& state) {
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
  if (!is_over_no_files_limit(state)) read_at_once(state);
  if (!shows_raw_body(state)) return;
  set_scalar(state, VariableId::kRequestBody, base::as_text(state.request_body.view()));
}

bool add_request_body(TransactionState& state) {
  if (state.long_work == nullptr) {
    LongWork* work = nullptr;
    const bool in_slices = is_read_in_pieces(state) &&
                           state.request_body.size >= state.least_to_stop(abi::kSlicedBodyBytes);
    if (in_slices && (work = state.worker->scan.take_long_work()) == nullptr) return false;
    state.long_work = work;
    const bool opened = open_body(state);
    if (!opened || !is_read_in_pieces(state)) {
      state.give_up_work();
      if (state.failed()) return true;
      if (opened) read_at_once(state);
      close_body(state);
      return true;
    }
    base::Arena& arena = work != nullptr ? work->arena : state.worker->arena;
    void* memory = arena.allocate(sizeof(BodyReader), alignof(BodyReader));
    if (memory == nullptr) {
      state.give_up_work();
      state.fail(abi::Reason::kTransactionMemory);
      return true;
    }
    auto* reader = new (memory) BodyReader(state, arena);
    if (work == nullptr) {
      while (reader->read() && !state.failed()) {
      }
      close_body(state);
      return true;
    }
    work->body = reader;
  }
  while (state.long_work->body->read() && !state.failed()) {
    if (state.slice_over_now()) return false;
  }
  state.give_up_work();
  close_body(state);
  return true;
}

}  // namespace sluice::rules
