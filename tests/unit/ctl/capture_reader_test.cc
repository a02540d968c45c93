// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/capture_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "tests/support/packet_builder.h"

namespace sluice::ctl {
namespace {

using test::Frame;
using test::PacketBuilder;

void put_le(Frame& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

constexpr std::uint32_t kMicroseconds = 0xa1b2c3d4, kNanoseconds = 0xa1b23c4d;

/// A pcap file header (draft-ietf-opsawg-pcap).
Frame pcap_header(std::uint32_t link_type, std::uint32_t magic = kMicroseconds) {
  Frame out;
  put_le(out, magic, 4);
  put_le(out, 2, 2);
  put_le(out, 4, 2);
  put_le(out, 0, 8);
  put_le(out, 65535, 4);
  put_le(out, link_type, 4);
  return out;
}

void put_record(Frame& out, std::uint32_t seconds, std::uint32_t fraction, const Frame& packet,
                std::size_t wire_bytes = 0) {
  put_le(out, seconds, 4);
  put_le(out, fraction, 4);
  put_le(out, packet.size(), 4);
  put_le(out, wire_bytes != 0 ? wire_bytes : packet.size(), 4);
  test::append(out, packet);
}

class Capture : public testing::Test {
 protected:
  ~Capture() override { std::remove(path_.c_str()); }

  CaptureReader open(const Frame& file) {
    write(file);
    auto reader = CaptureReader::open(path_);
    EXPECT_TRUE(reader.ok());
    return std::move(reader).value();
  }
  void write(const Frame& file) {
    std::ofstream out(path_, std::ios::binary);
    out.write(reinterpret_cast<const char*>(file.data()), static_cast<long>(file.size()));
  }
  /// The next frame's bytes; empty at the end.
  static Frame next(CaptureReader& reader, CapturedFrame& frame) {
    const auto more = reader.next(frame);
    EXPECT_TRUE(more.ok());
    if (!more.ok() || !more.value()) return {};
    return {frame.bytes.begin(), frame.bytes.end()};
  }

  std::string path_ = testing::TempDir() + "capture_reader_" + std::to_string(getpid());
  CapturedFrame frame_;
};

TEST_F(Capture, ReadsEthernetFramesWithTheirTimes) {
  PacketBuilder builder;
  const Frame one = builder.data("one").build(), two = builder.data("two!").build();
  Frame file = pcap_header(1);
  put_record(file, 100, 250000, one);
  put_record(file, 101, 7, two);
  CaptureReader reader = open(file);
  EXPECT_EQ(next(reader, frame_), one);
  EXPECT_EQ(frame_.time_ns, 100'250'000'000U);
  EXPECT_EQ(frame_.number, 1U);
  EXPECT_FALSE(frame_.truncated);
  EXPECT_EQ(next(reader, frame_), two);
  EXPECT_EQ(frame_.time_ns, 101'000'007'000U);
  EXPECT_FALSE(reader.next(frame_).value());
}

TEST_F(Capture, KeepsNanoseconds) {
  Frame file = pcap_header(1, kNanoseconds);
  put_record(file, 5, 123456789, PacketBuilder{}.build());
  CaptureReader reader = open(file);
  EXPECT_FALSE(next(reader, frame_).empty());
  EXPECT_EQ(frame_.time_ns, 5'123'456'789U);
}

TEST_F(Capture, SaysWhenBytesWereCutOff) {
  Frame file = pcap_header(1);
  put_record(file, 1, 0, PacketBuilder{}.build(), 1514);
  CaptureReader reader = open(file);
  EXPECT_FALSE(next(reader, frame_).empty());
  EXPECT_TRUE(frame_.truncated);
}

TEST_F(Capture, GivesEthernetHeadersToOtherLinkTypes) {
  PacketBuilder six;
  six.from("2001:db8::1", 1).to("2001:db8::2", 80).data("hello");
  PacketBuilder four;
  four.data("hello");
  for (const PacketBuilder* builder : {&four, &six}) {
    const Frame packet = builder->network_packet();
    const unsigned type = builder->is_v4() ? 0x0800 : 0x86dd;
    Frame cooked{0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0};
    test::put16(cooked, type);
    Frame cooked2;
    test::put16(cooked2, type);
    test::append(cooked2, {0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0});
    const Frame loop{static_cast<std::uint8_t>(builder->is_v4() ? 2 : 30), 0, 0, 0};
    const std::pair<std::uint32_t, Frame> cases[] = {
        {113, cooked}, {276, cooked2}, {101, {}}, {builder->is_v4() ? 228U : 229U, {}}, {0, loop}};
    for (const auto& [link_type, header] : cases) {
      Frame record = header;
      test::append(record, packet);
      Frame file = pcap_header(link_type);
      put_record(file, 1, 0, record);
      CaptureReader reader = open(file);
      const Frame frame = next(reader, frame_);
      const Frame expected = builder->build();
      ASSERT_EQ(frame.size(), expected.size()) << link_type;
      EXPECT_TRUE(std::equal(frame.begin() + 12, frame.end(), expected.begin() + 12)) << link_type;
    }
  }
}

TEST_F(Capture, PassesOverWhatIsNoEthernetPayload) {
  Frame netlink(16, 0);
  netlink[15] = 4;
  Frame file = pcap_header(113);
  put_record(file, 1, 0, netlink);
  put_record(file, 1, 0, Frame(5, 0));
  CaptureReader reader = open(file);
  EXPECT_FALSE(reader.next(frame_).value());
  EXPECT_EQ(reader.skipped(), 2U);
}

TEST_F(Capture, ReadsPcapng) {
  const Frame packet = PacketBuilder{}.data("next generation").build();
  Frame file;
  for (const std::uint64_t word : {0x0a0d0d0aU, 28U, 0x1a2b3c4dU, 1U}) put_le(file, word, 4);
  put_le(file, ~0ULL, 8);  // section length unknown
  put_le(file, 28, 4);
  for (const std::uint64_t word : {1U, 20U, 1U, 0U, 20U}) put_le(file, word, 4);  // Ethernet
  const std::size_t padded = (packet.size() + 3) / 4 * 4;
  const std::uint64_t microseconds = 1'700'000'000'000'001;
  put_le(file, 6, 4);
  put_le(file, 32 + padded, 4);
  put_le(file, 0, 4);
  put_le(file, microseconds >> 32, 4);
  put_le(file, microseconds & 0xffffffff, 4);
  put_le(file, packet.size(), 4);
  put_le(file, packet.size(), 4);
  test::append(file, packet);
  file.resize(file.size() + padded - packet.size(), 0);
  put_le(file, 32 + padded, 4);
  CaptureReader reader = open(file);
  EXPECT_EQ(next(reader, frame_), packet);
  EXPECT_EQ(frame_.time_ns, microseconds * 1000);
  EXPECT_FALSE(reader.next(frame_).value());
}

TEST_F(Capture, NamesTheFileInEveryError) {
  const auto missing = CaptureReader::open(path_ + ".none");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find(path_), std::string::npos);
  write(test::bytes_of("GET / HTTP/1.1\r\nHost: no capture\r\n\r\n"));
  const auto garbage = CaptureReader::open(path_);
  ASSERT_FALSE(garbage.ok());
  EXPECT_NE(garbage.error().message.find(path_), std::string::npos);
  write(pcap_header(105));  // IEEE 802.11
  const auto wireless = CaptureReader::open(path_);
  ASSERT_FALSE(wireless.ok());
  EXPECT_NE(wireless.error().message.find("IEEE802_11"), std::string::npos);
}

TEST_F(Capture, SaysWhereADamagedFileEnds) {
  Frame file = pcap_header(1);
  put_record(file, 1, 0, PacketBuilder{}.build());
  put_record(file, 1, 0, PacketBuilder{}.build());
  file.resize(file.size() - 10);
  CaptureReader reader = open(file);
  EXPECT_FALSE(next(reader, frame_).empty());
  const auto damaged = reader.next(frame_);
  ASSERT_FALSE(damaged.ok());
  EXPECT_NE(damaged.error().message.find("after packet 1"), std::string::npos);
}

}  // namespace
}  // namespace sluice::ctl
