// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/abi/limits.h"
#include "dataplane/http/multipart.h"

namespace sluice::http::testing {

struct Part {
  std::string name, filename;
  bool is_file = false;
  std::vector<std::string> headers;
  std::string data;
  bool ended = false;
  bool operator==(const Part&) const = default;
};

struct MultipartBody {
  std::vector<Part> parts;
  MultipartFlags flags;
  std::uint64_t failures = 0;
  abi::Reason reason = abi::Reason::kNone;

  bool operator==(const MultipartBody& other) const {
    const auto bits = [](const MultipartFlags& f) {
      return std::vector<int>{f.boundary_quoted,   f.boundary_whitespace, f.data_before,
                              f.data_after,        f.header_folding,      f.invalid_header_folding,
                              f.lf_line,           f.crlf_line,           f.missing_semicolon,
                              f.invalid_quoting,   f.invalid_part,        f.error,
                              f.unmatched_boundary};
    };
    return parts == other.parts && bits(flags) == bits(other.flags) && failures == other.failures &&
           reason == other.reason;
  }
};

struct MultipartSink {
  std::vector<Part>& parts;
  void part_begin(const MultipartPart& part) {
    parts.push_back(
        {std::string(part.name), std::string(part.filename), part.is_file(), {}, "", false});
  }
  void part_header(std::string_view line) { parts.back().headers.emplace_back(line); }
  void part_data(base::Bytes piece) { parts.back().data += base::as_text(piece); }
  void part_end() { parts.back().ended = true; }
};

inline MultipartBody decode_multipart(std::string_view content_type,
                                      const std::vector<std::string_view>& chunks) {
  std::vector<std::uint8_t> memory(64 * 1024);
  base::Arena arena(memory);
  MultipartDecoder decoder(arena, multipart_boundary(content_type));
  MultipartBody body;
  MultipartSink sink{body.parts};
  for (const std::string_view chunk : chunks) (void)decoder.feed(base::as_bytes(chunk), sink);
  const bool good = decoder.finish(sink);
  body.flags = decoder.flags();
  body.failures = decoder.strict_failures();
  body.reason = decoder.reason();
  EXPECT_EQ(good, !body.flags.error);
  EXPECT_EQ(good, decoder.error_text().empty());
  return body;
}

}  // namespace sluice::http::testing
