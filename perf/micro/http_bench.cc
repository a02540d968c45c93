// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "dataplane/http/cookies.h"
#include "dataplane/http/json.h"
#include "dataplane/http/llhttp_check.h"
#include "dataplane/http/multipart.h"
#include "dataplane/http/query.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/http/response_parser.h"
#include "dataplane/http/strict_checks.h"
#include "dataplane/http/urlencoded.h"
#include "dataplane/http/xml.h"

namespace {

using namespace sluice;

const std::string kTiny = "GET /api/v1/items/42 HTTP/1.1\r\nHost: orders.internal\r\n\r\n";

std::string large_get() {
  std::string target = "/api/v1/search?";
  for (int i = 0; i < 10; ++i) {
    target += (i ? "&" : "") + std::string("argument") + std::to_string(i) + "=some+value%20" +
              std::to_string(i * 977);
  }
  std::string head = "GET " + target +
                     " HTTP/1.1\r\nHost: orders.internal\r\nUser-Agent: Mozilla/5.0 (X11; Linux "
                     "x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\n"
                     "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
                     "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
                     "Connection: keep-alive\r\nReferer: https://orders.internal/start\r\n"
                     "X-Request-Id: 5f2b8a0c-11d2-4a8e-9c1f-0d8c3a7b6e55\r\n"
                     "Cache-Control: max-age=0\r\nDNT: 1\r\nOrigin: https://orders.internal\r\n"
                     "Cookie: ";
  for (int i = 0; i < 6; ++i) {
    head += (i ? "; " : "") + std::string("session") + std::to_string(i) + "=0123456789abcdef";
  }
  return head + "\r\n\r\n";
}

std::string json_body() {
  std::string body = "{\"items\":[";
  for (int i = 0; body.size() < 950; ++i) {
    body += (i ? "," : "") + std::string("{\"id\":") + std::to_string(i) +
            ",\"name\":\"item number " + std::to_string(i) + "\",\"ok\":true}";
  }
  return body + "]}";
}

/// One request through the parser, chunks of the given size; the events are taken, not used.
void parse(http::RequestParser& parser, base::Bytes rest, base::Arena& arena) {
  arena.reset();
  parser.begin(arena, {});
  while (true) {
    const http::Step step = parser.feed(rest);
    rest = rest.subspan(step.consumed);
    benchmark::DoNotOptimize(step.body.data());
    if (step.event == http::Event::kMessageComplete) return;
    if (step.event == http::Event::kRefused || step.event == http::Event::kNeedMore) std::abort();
  }
}

void run_requests(benchmark::State& state, const std::string& request) {
  std::vector<std::uint8_t> memory(64 * 1024);
  base::Arena arena(memory);
  http::RequestParser parser;
  parser.reset();
  for (auto _ : state) parse(parser, base::as_bytes(request), arena);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * request.size()));
}

void BM_RequestParser_tiny_get(benchmark::State& state) { run_requests(state, kTiny); }
void BM_RequestParser_ten_arguments(benchmark::State& state) { run_requests(state, large_get()); }
void BM_RequestParser_json_post(benchmark::State& state) {
  const std::string body = json_body();
  run_requests(state,
               "POST /api/v1/items HTTP/1.1\r\nHost: orders.internal\r\nContent-Type: "
               "application/json\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n\r\n" + body);
}
void BM_RequestParser_chunked_64k(benchmark::State& state) {
  std::string request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 16; ++i) request += "1000\r\n" + std::string(4096, 'x') + "\r\n";
  run_requests(state, request + "0\r\n\r\n");
}

/// The share of the second reader.
void run_llhttp(benchmark::State& state, const std::string& request) {
  std::vector<std::uint8_t> memory(64 * 1024);
  base::Arena arena(memory);
  http::RequestParser parser;
  parser.reset();
  parser.begin(arena, {});
  if (parser.feed(base::as_bytes(request)).event != http::Event::kHeadComplete) std::abort();
  http::LlhttpCheck check;
  for (auto _ : state) {
    if (!check.head(parser.head())) std::abort();
  }
}
void BM_LlhttpCheck_tiny_get(benchmark::State& state) { run_llhttp(state, kTiny); }
void BM_LlhttpCheck_ten_arguments(benchmark::State& state) { run_llhttp(state, large_get()); }

void BM_StrictChecks_ten_arguments(benchmark::State& state) {
  const std::string request = large_get();
  std::vector<std::uint8_t> memory(64 * 1024);
  base::Arena arena(memory);
  http::RequestParser parser;
  parser.reset();
  parser.begin(arena, {});
  (void)parser.feed(base::as_bytes(request));
  for (auto _ : state) {
    benchmark::DoNotOptimize(http::strict_head_failures(parser.head(), abi::kStrictDefault, false));
  }
}

void BM_ResponseParser_small(benchmark::State& state) {
  const std::string response =
      "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 17:00:00 GMT\r\n"
      "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}";
  std::vector<std::uint8_t> memory(64 * 1024);
  base::Arena arena(memory);
  http::ResponseParser parser;
  parser.reset();
  for (auto _ : state) {
    arena.reset();
    parser.begin(arena, {}, {});
    base::Bytes rest = base::as_bytes(response);
    for (http::Step step = parser.feed(rest); step.event != http::Event::kMessageComplete;
         step = parser.feed(rest)) {
      rest = rest.subspan(step.consumed);
    }
  }
}

struct CountingSink {
  std::size_t bytes = 0;
  void name(base::Bytes piece) { bytes += piece.size(); }
  void value(base::Bytes piece) { bytes += piece.size(); }
  void end() {}
  void text(base::Bytes piece) { bytes += piece.size(); }
  void text_end() {}
  void reference(base::Bytes piece) { bytes += piece.size(); }
  void attribute(std::string_view, std::string_view value) { bytes += value.size(); }
  void part_begin(const http::MultipartPart& part) { bytes += part.name.size(); }
  void part_header(std::string_view line) { bytes += line.size(); }
  void part_data(base::Bytes piece) { bytes += piece.size(); }
  void part_end() {}
};

template <typename Decode>
void run_decoder(benchmark::State& state, const std::string& body, Decode&& decode) {
  std::vector<std::uint8_t> memory(1u << 20);
  base::Arena arena(memory);
  CountingSink sink;
  for (auto _ : state) {
    arena.reset();
    decode(arena, base::as_bytes(body), sink);
  }
  benchmark::DoNotOptimize(sink.bytes);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}

void BM_JsonDecoder_1k(benchmark::State& state) {
  run_decoder(state, json_body(), [](base::Arena& arena, base::Bytes body, CountingSink& sink) {
    http::JsonDecoder decoder(arena, {});
    if (!decoder.feed(body, sink) || !decoder.finish(sink)) std::abort();
  });
}
void BM_JsonDecoder_1k_duplicate_keys(benchmark::State& state) {
  run_decoder(state, json_body(), [](base::Arena& arena, base::Bytes body, CountingSink& sink) {
    http::JsonDecoder decoder(arena, {.find_duplicate_keys = true});
    if (!decoder.feed(body, sink) || !decoder.finish(sink)) std::abort();
  });
}
void BM_JsonDecoder_long_string(benchmark::State& state) {
  run_decoder(state, "\"" + std::string(64 * 1024, 'x') + "\"",
              [](base::Arena& arena, base::Bytes body, CountingSink& sink) {
                http::JsonDecoder decoder(arena, {});
                if (!decoder.feed(body, sink) || !decoder.finish(sink)) std::abort();
              });
}
void BM_UrlencodedDecoder_ten_arguments(benchmark::State& state) {
  std::string body;
  for (int i = 0; i < 10; ++i) body += "argument" + std::to_string(i) + "=some+value%20here&";
  run_decoder(state, body, [](base::Arena&, base::Bytes text, CountingSink& sink) {
    http::UrlencodedDecoder decoder;
    decoder.feed(text, sink);
    decoder.finish(sink);
  });
}
void BM_MultipartDecoder_64k_file(benchmark::State& state) {
  std::string file;
  for (int i = 0; file.size() < 64 * 1024; ++i)
    file += "line " + std::to_string(i) + " of -- it\r\n";
  const std::string body =
      "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n" + file +
      "\r\n--B--\r\n";
  run_decoder(state, body, [](base::Arena& arena, base::Bytes text, CountingSink& sink) {
    http::MultipartDecoder decoder(arena,
                                   http::multipart_boundary("multipart/form-data; boundary=B"));
    decoder.feed(text, sink);
    if (!decoder.finish(sink)) std::abort();
  });
}
void BM_XmlDecoder_1k(benchmark::State& state) {
  std::string body = "<items>";
  for (int i = 0; body.size() < 950; ++i) {
    body += "<item id=\"" + std::to_string(i) + "\"><name>item number</name></item>";
  }
  run_decoder(state, body + "</items>",
              [](base::Arena& arena, base::Bytes text, CountingSink& sink) {
                http::XmlDecoder decoder(arena);
                if (!decoder.feed(text, sink) || !decoder.finish(sink)) std::abort();
              });
}

BENCHMARK(BM_RequestParser_tiny_get);
BENCHMARK(BM_RequestParser_ten_arguments);
BENCHMARK(BM_RequestParser_json_post);
BENCHMARK(BM_RequestParser_chunked_64k);
BENCHMARK(BM_LlhttpCheck_tiny_get);
BENCHMARK(BM_LlhttpCheck_ten_arguments);
BENCHMARK(BM_StrictChecks_ten_arguments);
BENCHMARK(BM_ResponseParser_small);
BENCHMARK(BM_JsonDecoder_1k);
BENCHMARK(BM_JsonDecoder_1k_duplicate_keys);
BENCHMARK(BM_JsonDecoder_long_string);
BENCHMARK(BM_UrlencodedDecoder_ten_arguments);
BENCHMARK(BM_MultipartDecoder_64k_file);
BENCHMARK(BM_XmlDecoder_1k);

}  // namespace

BENCHMARK_MAIN();
