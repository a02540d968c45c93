// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <brotli/encode.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "dataplane/http/content_decoder.h"
#include "tests/unit/http/pieces.h"

namespace sluice::http::testing {
namespace {

using abi::Reason;

std::string deflated(std::string_view text, int window_bits, int level = 6) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
std::string gzip(std::string_view text) { return deflated(text, 15 + 16); }

std::string brotli(std::string_view text) {
  std::size_t size = BrotliEncoderMaxCompressedSize(text.size()) + 64;
  std::string out(size, '\0');
  EXPECT_TRUE(BrotliEncoderCompress(5, 18, BROTLI_MODE_GENERIC, text.size(),
                                    reinterpret_cast<const std::uint8_t*>(text.data()), &size,
                                    reinterpret_cast<std::uint8_t*>(out.data())));
  out.resize(size);
  return out;
}

struct Decoded {
  std::string text;
  Reason reason = Reason::kNone;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(ContentCoding coding, const std::vector<std::string_view>& chunks,
               const ContentLimits& limits = {}, std::size_t arena_bytes = 1u << 20) {
  std::vector<std::uint8_t> memory(arena_bytes);
  base::Arena arena(memory);
  ContentDecoder decoder(arena, coding, limits);
  Decoded decoded;
  for (const std::string_view chunk : chunks) {
    const Reason reason = decoder.feed(base::as_bytes(chunk), [&decoded](base::Bytes piece) {
      decoded.text += base::as_text(piece);
    });
    if (reason != Reason::kNone) break;
  }
  decoded.reason = decoder.finish();
  return decoded;
}

void expect_text(ContentCoding coding, std::string_view coded, std::string_view text) {
  for_every_cut(coded, [&](const auto& chunks) {
    const Decoded decoded = decode(coding, chunks);
    EXPECT_EQ(decoded.reason, Reason::kNone);
    EXPECT_EQ(decoded.text, text);
  });
}

constexpr std::string_view kText = "id=1' or '1'='1 and some more of the same: id=1' or '1'='1";

TEST(Content, HB3DecodesGzipDeflateAndBrotli) {
  expect_text(ContentCoding::kGzip, gzip(kText), kText);
  expect_text(ContentCoding::kDeflate, deflated(kText, 15), kText);
  expect_text(ContentCoding::kDeflate, deflated(kText, -15), kText);
  expect_text(ContentCoding::kBrotli, brotli(kText), kText);
  expect_text(ContentCoding::kIdentity, kText, kText);
}

TEST(Content, HB3DecodesEveryGzipMember) {
  expect_text(ContentCoding::kGzip, gzip("harmless ") + gzip(kText),
              "harmless " + std::string(kText));
}

TEST(Content, HB3RefusesBytesAfterTheEndAndBrokenOrShortStreams) {
  for (const auto& [coding, coded] : {std::pair{ContentCoding::kGzip, gzip(kText)},
                                      std::pair{ContentCoding::kDeflate, deflated(kText, 15)},
                                      std::pair{ContentCoding::kDeflate, deflated(kText, -15)},
                                      std::pair{ContentCoding::kBrotli, brotli(kText)}}) {
    EXPECT_EQ(decode(coding, {coded + "garbage"}).reason, Reason::kBodyEncoding);
    EXPECT_EQ(decode(coding, {coded, "garbage"}).reason, Reason::kBodyEncoding);
    EXPECT_EQ(decode(coding, {coded.substr(0, coded.size() - 1)}).reason, Reason::kBodyEncoding);
    std::string broken = coded;
    broken[broken.size() / 2] = static_cast<char>(~broken[broken.size() / 2]);
    EXPECT_NE(decode(coding, {broken}), (Decoded{std::string(kText), Reason::kNone}));
  }
  EXPECT_EQ(decode(ContentCoding::kGzip, {kText}).reason, Reason::kBodyEncoding);
  EXPECT_EQ(decode(ContentCoding::kGzip, {}).reason, Reason::kNone);
}

TEST(Content, HB3NamesCodings) {
  EXPECT_EQ(content_coding("GZip"), ContentCoding::kGzip);
  EXPECT_EQ(content_coding("x-gzip "), ContentCoding::kGzip);
  EXPECT_EQ(content_coding("br"), ContentCoding::kBrotli);
  EXPECT_EQ(content_coding("deflate"), ContentCoding::kDeflate);
  EXPECT_EQ(content_coding("identity"), ContentCoding::kIdentity);
  for (const std::string_view other : {"gzip, gzip", "zstd", "compress", "gzip;q=1", "g zip"}) {
    EXPECT_EQ(content_coding(other), ContentCoding::kUnsupported) << other;
  }
}

TEST(Content, HB4RefusesBombs) {
  const std::string zeros(10u << 20, '\0');
  for (const auto& [coding, coded] : {std::pair{ContentCoding::kGzip, gzip(zeros)},
                                      std::pair{ContentCoding::kBrotli, brotli(zeros)}}) {
    const Decoded decoded = decode(coding, {coded});
    EXPECT_EQ(decoded.reason, Reason::kBodyBomb);
    EXPECT_LE(decoded.text.size(), abi::kDecodedRatioFreeBytes + 100 * coded.size() + 4096);
  }
}

TEST(Content, HB4RefusesMuchOutputUnderTheRatio) {
  std::string text;
  for (std::uint32_t i = 0; text.size() < 300000; ++i) text += std::to_string(i * 2654435761u);
  EXPECT_EQ(decode(ContentCoding::kGzip, {gzip(text)}, {.output_bytes_max = 300000 - 1}).reason,
            Reason::kBodyBomb);
  EXPECT_EQ(decode(ContentCoding::kGzip, {gzip(text)}).reason, Reason::kNone);
}

TEST(Content, SaysWhenTheArenaIsFull) {
  EXPECT_EQ(decode(ContentCoding::kGzip, {gzip(kText)}, {}, 8192).reason,
            Reason::kTransactionMemory);
  EXPECT_EQ(decode(ContentCoding::kBrotli, {brotli(kText)}, {}, 8192).reason,
            Reason::kTransactionMemory);
}

}  // namespace
}  // namespace sluice::http::testing
