// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/http/content_decoder.h"
#include "dataplane/http/content_type.h"
#include "dataplane/http/cookies.h"
#include "dataplane/http/json.h"
#include "dataplane/http/multipart.h"
#include "dataplane/http/query.h"
#include "dataplane/http/urlencoded.h"
#include "dataplane/http/xml.h"

/// Body decoders, the first byte chooses which: what they give does not depend on where chunks are
/// cut. Input: decoder, place of a cut, body (multipart: the Content-Type up to a NUL before it).

namespace {

using namespace sluice;
using Chunks = std::vector<std::string_view>;

constexpr std::size_t kArenaBytes = 512 * 1024;

/// Everything a decoder gives, with marks between, and what it says of the body.
struct Log {
  std::string text;
  void put(char mark, std::string_view piece) {
    if (text.empty() || mark != last_ || mark == 'h') text += std::string("\n") + mark;
    last_ = mark;
    text += piece;
  }
  void name(base::Bytes piece) { put('n', base::as_text(piece)); }
  void value(base::Bytes piece) { put('v', base::as_text(piece)); }
  void end() {
    put('e', "");
    last_ = 0;
  }
  void text_piece(base::Bytes piece) { put('t', base::as_text(piece)); }
  void part_begin(const http::MultipartPart& part) {
    put('p', part.name);
    put('f', part.filename);
  }
  void part_header(std::string_view line) { put('h', line); }
  void part_data(base::Bytes piece) { put('d', base::as_text(piece)); }
  void part_end() {
    put('e', "");
    last_ = 0;
  }
  void state(std::uint64_t number) { text += "\n#" + std::to_string(number); }

 private:
  char last_ = 0;
};

struct XmlLog {
  Log& log;
  void text(base::Bytes piece) { log.text_piece(piece); }
  void text_end() { log.end(); }
  void reference(base::Bytes piece) { log.put('&', base::as_text(piece)); }
  void attribute(std::string_view name, std::string_view value) {
    log.put('a', name);
    log.put('=', value);
  }
};

/// One decoder at a time; not cleared, which would take most of the time.
class Memory {
 public:
  Memory() : arena_(bytes()) {}
  base::Arena& arena() { return arena_; }

 private:
  static std::vector<std::uint8_t>& bytes() {
    static std::vector<std::uint8_t> kept(kArenaBytes);
    return kept;
  }
  base::Arena arena_;
};

std::string urlencoded(const Chunks& chunks) {
  http::UrlencodedDecoder decoder;
  Log log;
  for (const auto chunk : chunks) decoder.feed(base::as_bytes(chunk), log);
  decoder.finish(log);
  log.state(decoder.invalid_encoding() ? 1 : 0);
  return log.text;
}

std::string json(const Chunks& chunks) {
  Memory memory;
  http::JsonDecoder decoder(memory.arena(), {.find_duplicate_keys = true});
  Log log;
  bool good = true;
  for (const auto chunk : chunks) good = good && decoder.feed(base::as_bytes(chunk), log);
  good = good && decoder.finish(log);
  SLUICE_CHECK(good == (decoder.error() == http::JsonError::kNone));
  log.state(static_cast<std::uint64_t>(decoder.error()));
  log.state(decoder.strict_failures());
  return log.text;
}

std::string multipart(std::string_view type, const Chunks& chunks) {
  Memory memory;
  http::MultipartDecoder decoder(memory.arena(), http::multipart_boundary(type));
  Log log;
  for (const auto chunk : chunks) (void)decoder.feed(base::as_bytes(chunk), log);
  (void)decoder.finish(log);
  log.state(decoder.strict_failures());
  log.state(decoder.flags().strict_error() ? 1 : 0);
  log.state(decoder.flags().unmatched_boundary);
  log.state(static_cast<std::uint64_t>(decoder.reason()));
  return log.text;
}

/// expat sees errors in markup at different times: only well-formed documents must agree.
std::string xml(const Chunks& chunks) {
  Memory memory;
  http::XmlDecoder decoder(memory.arena());
  Log log;
  XmlLog sink{log};
  bool good = true;
  for (const auto chunk : chunks) good = good && decoder.feed(base::as_bytes(chunk), sink);
  good = good && decoder.finish(sink);
  log.state(decoder.strict_failures());
  return good ? log.text : "error";
}

/// The same bytes of output, or a refusal: its reason may depend on how far the decoder could run.
std::string content(http::ContentCoding coding, const Chunks& chunks) {
  Memory memory;
  http::ContentDecoder decoder(memory.arena(), coding, {.output_bytes_max = 1u << 20});
  Log log;
  for (const auto chunk : chunks) {
    (void)decoder.feed(base::as_bytes(chunk), [&log](base::Bytes piece) { log.text_piece(piece); });
  }
  return decoder.finish() == abi::Reason::kNone ? log.text : "error";
}

template <typename Decode>
void check(std::string_view body, std::size_t cut, Decode&& decode) {
  const std::string whole = decode(Chunks{body});
  cut = body.empty() ? 0 : cut % body.size();
  SLUICE_CHECK(decode(Chunks{body.substr(0, cut), body.substr(cut)}) == whole);
  Chunks bytes;
  for (std::size_t i = 0; i < body.size() && i < 4096; ++i) bytes.push_back(body.substr(i, 1));
  if (body.size() > bytes.size()) bytes.push_back(body.substr(bytes.size()));
  SLUICE_CHECK(decode(bytes) == whole);
}

void check_values(std::string_view text) {
  std::size_t bytes = 0;
  const auto count = [&bytes](std::string_view name, std::string_view value) {
    bytes += name.size() + value.size();
  };
  http::for_each_cookie(text, count);
  http::for_each_argument(text, '&', count);
  SLUICE_CHECK(bytes <= 2 * text.size());
  (void)http::parse_media_type(text);
  (void)http::multipart_boundary(text);
  std::string decoded(text);
  SLUICE_CHECK(http::percent_decode(decoded, decoded.data()).size <= text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t cut = data[1];
  switch (data[0] % 8) {
    case 0:
      check(body, cut, urlencoded);
      break;
    case 1:
      check(body, cut, json);
      break;
    case 2: {
      const std::string_view type = body.substr(0, body.find('\0'));
      body.remove_prefix(std::min(body.size(), type.size() + 1));
      check(body, cut, [type](const Chunks& chunks) { return multipart(type, chunks); });
      break;
    }
    case 3:
      check(body, cut, xml);
      break;
    case 4:
      check(body, cut,
            [](const Chunks& chunks) { return content(http::ContentCoding::kGzip, chunks); });
      break;
    case 5:
      check(body, cut,
            [](const Chunks& chunks) { return content(http::ContentCoding::kDeflate, chunks); });
      break;
    case 6:
      check(body, cut,
            [](const Chunks& chunks) { return content(http::ContentCoding::kBrotli, chunks); });
      break;
    default:
      check_values(body);
  }
  return 0;
}
