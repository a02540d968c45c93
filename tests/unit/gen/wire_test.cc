// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/wire.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "dataplane/net/packet.h"
#include "perf/gen/plan.h"

namespace sluice::gen {
namespace {

constexpr OutSegment kSegment{.source = 0x0a640001,
                              .destination = 0x0a0a0002,
                              .source_port = 40000,
                              .destination_port = 80,
                              .sequence = 0x12345678,
                              .acknowledgment = 0x9abcdef0,
                              .timestamp = 77,
                              .echo = 66,
                              .window = 8192,
                              .mss = 1460,
                              .flags = net::kAck | net::kPsh};

std::vector<std::uint8_t> written(const OutSegment& out, std::string_view payload) {
  std::vector<std::uint8_t> frame(frame_bytes((out.flags & net::kSyn) != 0, payload.size()));
  net::ChecksumSum sum;
  net::add_bytes(sum, base::as_bytes(payload));
  write_segment(frame.data(), kToServer, out, base::as_bytes(payload), sum);
  return frame;
}

TEST(Wire, TheAppliancesParserAgrees) {
  for (const std::string_view payload : {"", "x", "GET / HTTP/1.1\r\n\r\n"}) {
    const auto frame = written(kSegment, payload);
    net::ParsedPacket packet;
    net::parse(frame, {}, packet);
    EXPECT_EQ(packet.reason, abi::Reason::kNone);
    ASSERT_TRUE(packet.is_tcp());
    EXPECT_TRUE(packet.ip_checksum_ok);
    EXPECT_TRUE(net::verify_tcp_checksum(packet));
    EXPECT_EQ(packet.sequence, kSegment.sequence);
    EXPECT_EQ(packet.options.timestamp_echo, 66U);
    EXPECT_EQ(base::as_text(packet.payload()), payload);
  }
}

TEST(Wire, SynCarriesItsOptions) {
  OutSegment syn = kSegment;
  syn.flags = net::kSyn;
  const auto frame = written(syn, "");
  net::ParsedPacket packet;
  net::parse(frame, {}, packet);
  EXPECT_EQ(packet.options.mss, 1460);
  EXPECT_EQ(packet.options.window_scale, kWindowScale);
  InSegment in;
  ASSERT_TRUE(read_segment(frame, in));
  EXPECT_EQ(in.mss, 1460);
  EXPECT_EQ(in.window_scale, kWindowScale);
  EXPECT_TRUE(in.has_timestamp);
  EXPECT_TRUE(in.checksum_right());
}

TEST(Wire, ReadsWhatItWroteAndSeesEveryFlippedBit) {
  const auto frame = written(kSegment, "0123456789");
  InSegment in;
  ASSERT_TRUE(read_segment(frame, in));
  EXPECT_TRUE(in.checksum_right());
  EXPECT_EQ(in.payload_bytes, 10U);
  for (std::size_t bit = kEthernetBytes * 8; bit < frame.size() * 8; ++bit) {
    auto spoiled = frame;
    spoiled[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    InSegment read;
    EXPECT_FALSE(read_segment(spoiled, read) && read.checksum_right()) << bit;
  }
}

TEST(Wire, ShortFramesAreRefused) {
  const auto frame = written(kSegment, "0123456789");
  for (std::size_t bytes = 0; bytes < frame.size(); ++bytes) {
    InSegment in;
    EXPECT_FALSE(read_segment(base::Bytes(frame).first(bytes), in)) << bytes;
  }
}

TEST(AddressPlan, EverySlotIsFoundAgainAndNoTwoShareAPort) {
  AddressPlan plan;
  plan.clients = 100;
  plan.connections = 1234;
  ASSERT_TRUE(plan.settle());
  std::set<std::pair<std::uint32_t, std::uint16_t>> seen;
  for (std::uint32_t opening = 0; opening < 20; ++opening) {
    for (std::uint32_t slot = 0; slot < plan.connections; ++slot) {
      const auto address = plan.address(slot);
      const auto port = plan.port(slot, opening);
      EXPECT_EQ(plan.slot(address, port), slot);
      EXPECT_TRUE(seen.emplace(address, port).second) << slot << " " << opening;
    }
  }
  EXPECT_EQ(plan.slot(plan.network + plan.clients, 2000), AddressPlan::kNone);
  plan.connections = 4'000'000;
  EXPECT_FALSE(plan.settle());
}

}  // namespace
}  // namespace sluice::gen
