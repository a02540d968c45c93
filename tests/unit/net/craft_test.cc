// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/craft.h"

#include <gtest/gtest.h>

#include <random>

#include "dataplane/net/checksum.h"
#include "tests/unit/net/judge.h"

namespace sluice::net {
namespace {

using test::Frame;
using test::PacketBuilder;

/// A frame that is changed in place, and what reading it anew says.
struct Changed {
  explicit Changed(const PacketBuilder& builder) : frame(builder.build()) {
    parse(frame, {}, packet);
  }
  /// Parses the first `size` bytes anew and expects right checksums.
  ParsedPacket again(std::size_t size) {
    ParsedPacket fresh;
    parse(base::Bytes(frame.data(), size), {}, fresh);
    EXPECT_EQ(fresh.reason, abi::Reason::kNone);
    EXPECT_TRUE(fresh.is_tcp() && verify_tcp_checksum(fresh));
    return fresh;
  }
  ParsedPacket again() { return again(frame.size()); }
  Frame frame;
  ParsedPacket packet;
};

PacketBuilder sample(bool v4) {
  PacketBuilder builder;
  if (!v4) builder.from("2001:db8::1", 40000).to("2001:db8::2", 80);
  builder.tags = {{0x88a8, 100}, {0x8100, 0x6005}};
  builder.tcp(1000, 2000, kPsh | kAck).timestamps(1, 2).data("GET / HTTP/1.1");
  return builder;
}

TEST(Checksum, AgreesWithThePlainSumAtEveryLength) {
  std::mt19937 random(7);
  Frame data(300);
  for (auto& byte : data) byte = static_cast<std::uint8_t>(random());
  for (std::size_t size = 0; size <= data.size(); ++size) {
    EXPECT_EQ(checksum_of({data.data(), size}),
              test::plain_checksum(Frame(data.begin(), data.begin() + static_cast<long>(size))));
  }
  EXPECT_EQ(checksum_of(Frame(64, 0xff)), 0);
}

TEST(Checksum, IncrementalUpdateIsRfc1624sExample) {
  // RFC 1624 section 4: HC 0xdd2f, m 0x5555, m' 0x3285 gives 0x0000.
  EXPECT_EQ(checksum_replace16(0xdd2f, 0x5555, 0x3285), 0x0000);
}

TEST(Craft, WritesASegmentThatReadsBack) {
  for (const bool v4 : {true, false}) {
    for (const bool timestamp : {true, false}) {
      Changed seen(sample(v4));
      std::uint8_t buffer[kCraftHeaderBytesMax + 5];
      SegmentFields fields;
      fields.sequence = 7, fields.acknowledgment = 9, fields.window = 11;
      fields.flags = kAck | kFin;
      fields.timestamp = timestamp;
      fields.timestamp_value = 3, fields.timestamp_echo = 4;
      fields.payload = base::as_bytes("reply");
      const SegmentTemplate back = reversed(template_of(seen.packet));
      const std::size_t size = craft_segment(buffer, back, fields);
      ASSERT_NE(size, 0U);
      ParsedPacket packet;
      parse(base::Bytes(buffer, size), {}, packet);
      EXPECT_EQ(packet.reason, abi::Reason::kNone);
      EXPECT_TRUE(verify_tcp_checksum(packet));
      EXPECT_EQ(packet.source, seen.packet.destination);
      EXPECT_EQ(packet.destination, seen.packet.source);
      EXPECT_EQ(packet.source_port, 80);
      EXPECT_EQ(packet.destination_port, 40000);
      EXPECT_EQ(packet.vlan_key, seen.packet.vlan_key);
      EXPECT_EQ(packet.sequence, 7U);
      EXPECT_EQ(packet.acknowledgment, 9U);
      EXPECT_EQ(packet.window, 11);
      EXPECT_EQ(packet.tcp_flags, kAck | kFin);
      EXPECT_EQ(packet.options.has(TcpOptions::kTimestamp), timestamp);
      EXPECT_EQ(packet.options.timestamp_echo, timestamp ? 4U : 0U);
      EXPECT_EQ(base::as_text(packet.payload()), "reply");
      EXPECT_EQ(0, std::memcmp(buffer, seen.frame.data() + 6, 6));
      EXPECT_EQ(0, std::memcmp(buffer + 6, seen.frame.data(), 6));
      EXPECT_EQ(craft_segment({buffer, size - 1}, back, fields), 0U);
    }
  }
}

TEST(Craft, ClearsTheUrgentPointerAndReservedBits) {
  for (const bool v4 : {true, false}) {
    PacketBuilder builder = sample(v4);
    builder.flags |= kUrg;
    builder.urgent_pointer = 3;
    builder.reserved = 0xf;
    Changed changed(builder);
    clear_urgent(changed.frame, changed.packet);
    clear_reserved(changed.frame, changed.packet);
    const ParsedPacket fresh = changed.again();
    EXPECT_EQ(fresh.tcp_flags, kPsh | kAck);
    EXPECT_EQ(fresh.urgent_pointer, 0);
    EXPECT_EQ(fresh.tcp_reserved, 0);
    EXPECT_EQ(changed.packet.tcp_flags, fresh.tcp_flags);
  }
}

TEST(Craft, TO10_TO11_StripsAllButTheAllowedOptions) {
  PacketBuilder builder;
  builder.tcp(1, 0, kSyn);
  builder.options = {2, 4, 5, 0xb4, 30, 4, 1, 2, 1, 34, 5, 9, 9, 9, 3, 3, 7, 4, 2, 254, 3, 0};
  Changed changed(builder);
  strip_unknown_options(changed.frame, changed.packet);
  const ParsedPacket fresh = changed.again();
  EXPECT_EQ(fresh.options.present,
            TcpOptions::kMss | TcpOptions::kWindowScale | TcpOptions::kSackPermitted);
  EXPECT_EQ(fresh.options.mss, 1460);
  EXPECT_EQ(fresh.options.window_scale, 7);
  EXPECT_EQ(changed.packet.options.present, fresh.options.present);
  strip_option(changed.frame, changed.packet, 4);
  EXPECT_FALSE(changed.again().options.has(TcpOptions::kSackPermitted));
}

TEST(Craft, TO8_ClampsTheSegmentSize) {
  for (const auto& [sent, expected] : {std::pair{1, 216}, {0, 216}, {65535, 1460}, {1400, 1400}}) {
    PacketBuilder builder;
    builder.tcp(1, 0, kSyn);
    builder.options = {
        1, 2, 4, static_cast<std::uint8_t>(sent >> 8), static_cast<std::uint8_t>(sent), 1, 1, 1};
    Changed changed(builder);
    clamp_mss(changed.frame, changed.packet, 216, 1460);
    EXPECT_EQ(changed.again().options.mss, expected);
  }
}

TEST(Craft, NormalisesWhatNeedsIt) {
  Changed plain(sample(true));
  const Frame before = plain.frame;
  EXPECT_FALSE(needs_normalising(plain.packet));
  normalise(plain.frame, plain.packet);
  EXPECT_EQ(plain.frame, before);

  PacketBuilder builder = sample(false);
  builder.flags = kSyn | kUrg;
  builder.reserved = 1;
  builder.urgent_pointer = 9;
  builder.options = {34, 2, 2, 4, 0, 1, 1, 1};
  Changed changed(builder);
  EXPECT_TRUE(needs_normalising(changed.packet));
  normalise(changed.frame, changed.packet);
  EXPECT_FALSE(needs_normalising(changed.packet));
  const ParsedPacket fresh = changed.again();
  EXPECT_FALSE(needs_normalising(fresh));
  EXPECT_EQ(fresh.options.mss, kMssMin);
  EXPECT_EQ(fresh.tcp_flags, kSyn);
}

TEST(Craft, KeepsUnknownOptionsOfDataSegments) {
  PacketBuilder builder;
  builder.options = {254, 4, 1, 2};
  EXPECT_FALSE(needs_normalising(Changed(builder).packet));
}

TEST(Craft, SetsTheAcknowledgment) {
  Changed changed(sample(true));
  set_acknowledgment(changed.frame, changed.packet, 0xfffffff0U);
  EXPECT_EQ(changed.again().acknowledgment, 0xfffffff0U);
}

TEST(Craft, TrimsTheEndAndTakesFinAway) {
  for (const bool v4 : {true, false}) {
    for (std::uint32_t keep = 0; keep <= 14; ++keep) {
      PacketBuilder builder = sample(v4);
      builder.flags |= kFin;
      builder.padding = Frame(4, 'p');
      Changed changed(builder);
      const std::size_t size = trim_payload(changed.frame, changed.packet, keep);
      const ParsedPacket fresh = changed.again(size);
      EXPECT_EQ(base::as_text(fresh.payload()), std::string_view("GET / HTTP/1.1").substr(0, keep));
      EXPECT_EQ(fresh.has_flag(kFin), keep == 14);
      EXPECT_EQ(fresh.network_end, size);
      EXPECT_EQ(fresh.sequence, 1000U);
    }
  }
}

TEST(Craft, TrimsTheFrontAndMovesTheSequence) {
  for (const bool v4 : {true, false}) {
    for (std::uint32_t cut = 0; cut <= 14; ++cut) {
      Changed changed(sample(v4));
      const ParsedPacket fresh = changed.again(trim_front(changed.frame, changed.packet, cut));
      EXPECT_EQ(base::as_text(fresh.payload()), std::string_view("GET / HTTP/1.1").substr(cut));
      EXPECT_EQ(fresh.sequence, 1000 + cut);
    }
  }
}

}  // namespace
}  // namespace sluice::net
