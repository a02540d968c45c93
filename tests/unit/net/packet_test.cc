// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/packet.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/support/packet_builder.h"
#include "tests/unit/net/judge.h"

namespace sluice::net {
namespace {

using abi::Reason;
using test::Frame;
using test::PacketBuilder;

TEST(Packet, ReadsEveryFieldOfAPlainSegment) {
  PacketBuilder builder;
  builder.from("192.0.2.7", 1234).to("198.51.100.9", 8080).tcp(0x01020304, 0xa0b0c0d0, kPsh | kAck);
  builder.window = 0x1234;
  builder.timestamps(77, 88).data("GET / HTTP/1.1\r\n");
  const Frame frame = builder.build();
  ParsedPacket packet;
  parse(frame, {}, packet);
  EXPECT_EQ(packet.reason, Reason::kNone);
  EXPECT_TRUE(packet.is_tcp());
  EXPECT_EQ(packet.source.to_string(), "192.0.2.7");
  EXPECT_EQ(packet.destination.to_string(), "198.51.100.9");
  EXPECT_EQ(packet.source_port, 1234);
  EXPECT_EQ(packet.destination_port, 8080);
  EXPECT_EQ(packet.sequence, 0x01020304U);
  EXPECT_EQ(packet.acknowledgment, 0xa0b0c0d0U);
  EXPECT_EQ(packet.window, 0x1234);
  EXPECT_EQ(packet.tcp_flags, kPsh | kAck);
  EXPECT_EQ(base::as_text(packet.payload()), "GET / HTTP/1.1\r\n");
  EXPECT_TRUE(packet.options.has(TcpOptions::kTimestamp));
  EXPECT_EQ(packet.options.timestamp_value, 77U);
  EXPECT_EQ(packet.options.timestamp_echo, 88U);
  EXPECT_EQ(frame[packet.options.timestamp_offset], 8);
  EXPECT_TRUE(verify_tcp_checksum(packet));
}

TEST(Packet, ReadsIpv6) {
  PacketBuilder builder;
  builder.from("2001:db8::1", 5).to("2001:db8::2", 80).data("hello");
  const Judged judged(builder);
  EXPECT_EQ(judged.action(), Action::kInspect);
  EXPECT_EQ(judged.packet.source.to_string(), "2001:db8::1");
  EXPECT_EQ(base::as_text(judged.packet.payload()), "hello");
}

TEST(Packet, ReadsUdpPortsAndIcmpTypes) {
  PacketBuilder udp;
  udp.raw({0x04, 0xd2, 0x00, 0x35, 0x00, 0x0a, 0, 0, 1, 2}, 17);
  const Judged first(udp);
  EXPECT_EQ(first.packet.source_port, 1234);
  EXPECT_EQ(first.packet.destination_port, 53);
  EXPECT_EQ(first.packet.payload_bytes, 2U);
  EXPECT_EQ(first.action(), Action::kForward);
  PacketBuilder icmp;
  icmp.raw({3, 4, 0, 0, 0, 0, 0, 68}, 1);
  const Judged second(icmp);
  EXPECT_EQ(second.packet.icmp_type, 3);
  EXPECT_EQ(second.packet.icmp_code, 4);
}

TEST(Packet, OddTrafficToNoServiceIsForwarded) {
  PacketBuilder builder;
  builder.bad_ip_checksum = builder.bad_tcp_checksum = true;
  builder.ttl = 0;
  builder.ip_options = {1, 1, 1, 1};
  builder.tags = {{0x8100, 1}, {0x8100, 2}, {0x8100, 3}};
  Judged judged(builder);
  EXPECT_EQ(judged.action(), Action::kDrop);
  EXPECT_EQ(classify(judged.packet, Protection{}).action, Action::kForward);
}

TEST(Packet, NoFrameOfAnyBytesIsReadBeyondItsEnd) {
  std::mt19937 random(20261124);
  PacketBuilder six;
  six.from("2001:db8::1", 5).to("2001:db8::2", 80).data("hello");
  six.extension = {43, 0, 1, 4, 0, 0, 0, 0, 44, 0, 4, 0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 9};
  six.next_header = 60;
  PacketBuilder four;
  four.tags = {{0x8100, 5}};
  four.timestamps(1, 2).data("GET /");
  four.ip_options = {7, 4, 1, 1};
  for (const Frame& seed : {six.build(), four.build()}) {
    for (int round = 0; round < 20000; ++round) {
      // Exact-size heap storage: AddressSanitizer and valgrind see any overrun.
      Frame frame(seed.begin(), seed.begin() + static_cast<long>(random() % (seed.size() + 1)));
      for (int i = 0; i < 3 && !frame.empty(); ++i) {
        frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
      }
      frame.shrink_to_fit();
      ParsedPacket packet;
      parse(frame, {}, packet);
      ASSERT_LE(packet.network_end, frame.size());
      ASSERT_LE(packet.payload_offset + packet.payload_bytes, frame.size());
      if (packet.is_tcp()) {
        ASSERT_LE(packet.payload_offset + packet.payload_bytes, packet.network_end);
      }
      (void)classify(packet, {.to_service = true});
    }
  }
}

// -- link ---------------------------------------------------------------------------------------

TEST(Link, LK1_TagsDoNotHideIp) {
  for (const unsigned tpid : {0x8100U, 0x88a8U, 0x9100U}) {
    PacketBuilder builder;
    builder.data("attack");
    builder.tags = {{tpid, 10}};
    Judged one(builder);
    EXPECT_EQ(one.action(), Action::kInspect);
    EXPECT_EQ(one.packet.vlan_key, 10U);
    builder.tags = {{tpid, 10}, {0x8100, 20}};
    Judged two(builder);
    EXPECT_EQ(two.action(), Action::kInspect);
    EXPECT_EQ(two.packet.vlan_key, 10U << 12 | 20U);
    EXPECT_EQ(base::as_text(two.packet.payload()), "attack");
  }
}

TEST(Link, LK2_MoreThanTwoTagsAreDropped) {
  for (const std::size_t depth : {3U, 4U, 16U, 17U, 40U}) {
    PacketBuilder builder;
    builder.tags.assign(depth, {0x8100, 7});
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kLinkVlanDepth) << depth;
  }
}

TEST(Link, LK3_PriorityTagHasTheKeyOfUntagged) {
  PacketBuilder builder;
  builder.tags = {{0x8100, 0xe000}};
  EXPECT_EQ(Judged(builder).packet.vlan_key, 0U);
  builder.tags = {{0x8100, 0xe000}, {0x8100, 5}};
  EXPECT_EQ(Judged(builder).packet.vlan_key, 5U);
}

TEST(Link, LK4_OtherTagsAreAnotherKey) {
  PacketBuilder odd, even;
  odd.tags = {{0x8100, 10}};
  even.tags = {{0x8100, 20}};
  EXPECT_NE(Judged(odd).packet.vlan_key, Judged(even).packet.vlan_key);
}

TEST(Link, LK5_UnknownEthertypesFollowTheSwitch) {
  for (const int type : {0x8847, 0x8864, 0x88e7, 0x8926, 0x894f, 0x88e5}) {
    PacketBuilder builder;
    builder.ethertype = type;
    EXPECT_EQ(Judged(builder).action(), Action::kForward);
    const Judged strict(builder, {.to_service = true, .drop_unknown_frames = true});
    EXPECT_EQ(strict.drop_reason(), Reason::kLinkEthertype);
  }
  for (const int type : {0x0806, 0x88cc}) {
    PacketBuilder builder;
    builder.ethertype = type;
    EXPECT_EQ(Judged(builder, {.drop_unknown_frames = true}).action(), Action::kForward);
  }
}

TEST(Link, LK6_IpInSnapIsDropped) {
  PacketBuilder builder;
  builder.snap = true;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kLinkLlc);
  Frame stp(60, 0);
  stp[13] = 38, stp[14] = stp[15] = 0x42, stp[16] = 3;
  ParsedPacket packet;
  parse(stp, {}, packet);
  EXPECT_EQ(classify(packet, {.drop_unknown_frames = true}).action, Action::kForward);
}

TEST(Link, LK7_VersionAndEthertypeMustAgree) {
  PacketBuilder four;
  four.ethertype = 0x86dd;
  EXPECT_EQ(Judged(four).drop_reason(), Reason::kIpVersion);
  PacketBuilder six;
  six.from("2001:db8::1", 5).to("2001:db8::2", 80);
  six.ethertype = 0x0800;
  EXPECT_EQ(Judged(six).drop_reason(), Reason::kIpVersion);
  PacketBuilder none;
  none.version = 5;
  EXPECT_EQ(Judged(none).drop_reason(), Reason::kIpVersion);
}

TEST(Link, LK8_PaddingIsNeverPayload) {
  PacketBuilder builder;
  builder.data("G");
  builder.padding = test::bytes_of("UNION SELECT");
  const Judged judged(builder);
  EXPECT_EQ(judged.action(), Action::kInspect);
  EXPECT_EQ(base::as_text(judged.packet.payload()), "G");
}

TEST(Link, LK9_IpLengthBeyondTheFrameIsTruncated) {
  PacketBuilder builder;
  builder.data("abc");
  builder.total_length = 44;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpTruncated);
  PacketBuilder six;
  six.from("2001:db8::1", 5).to("2001:db8::2", 80);
  six.total_length = 21;
  EXPECT_EQ(Judged(six).drop_reason(), Reason::kIpTruncated);
}

TEST(Link, LK11_ServiceAddressFromOutsideIsSpoofed) {
  EXPECT_EQ(Judged(PacketBuilder{}, {.from_service = true}).drop_reason(), Reason::kLinkSpoof);
  EXPECT_EQ(Judged(PacketBuilder{}, {.from_service = true, .from_outside = false}).action(),
            Action::kInspect);
}

TEST(Link, LK12_GroupMacIsDroppedForTcp) {
  PacketBuilder builder;
  builder.destination_mac.assign(6, 0xff);
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kLinkMacType);
}

TEST(Link, LK13_TunnelsFollowTheSwitch) {
  for (const int protocol : {4, 41, 47, 50}) {
    PacketBuilder builder;
    builder.raw(Frame(40, 0), protocol);
    EXPECT_EQ(Judged(builder).action(), Action::kForward);
    EXPECT_EQ(Judged(builder, {.to_service = true, .drop_unknown_frames = true}).drop_reason(),
              Reason::kIpTunnel);
  }
  PacketBuilder vxlan;
  vxlan.raw({0, 1, 0x12, 0xb5, 0, 8, 0, 0}, 17);
  EXPECT_EQ(Judged(vxlan, {.to_service = true, .drop_unknown_frames = true}).drop_reason(),
            Reason::kIpTunnel);
}

// -- IPv4 ---------------------------------------------------------------------------------------

TEST(Ipv4, V41_HeaderChecksumIsVerifiedUnlessTheCardDid) {
  PacketBuilder builder;
  builder.bad_ip_checksum = true;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpCsum);
  const Frame frame = builder.build();
  ParsedPacket packet;
  parse(frame, {.ip_checksum_good = true}, packet);
  EXPECT_EQ(packet.reason, Reason::kNone);
}

TEST(Ipv4, V42_TcpChecksumIsVerifiedUnlessTheCardDid) {
  for (const unsigned flags : {unsigned{kAck}, unsigned{kRst}, unsigned{kFin | kAck}}) {
    PacketBuilder builder;
    builder.tcp(1, 2, flags).data("odd");
    builder.bad_tcp_checksum = true;
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kTcpCsum);
    const Frame frame = builder.build();
    ParsedPacket packet;
    parse(frame, {.tcp_checksum_good = true}, packet);
    EXPECT_EQ(classify(packet, {.to_service = true}).action, Action::kInspect);
  }
}

TEST(Ipv4, V43_TtlZeroIsDropped) {
  PacketBuilder builder;
  builder.ttl = 0;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpTtl);
  builder.ttl = 1;
  EXPECT_EQ(Judged(builder).action(), Action::kInspect);
}

TEST(Ipv4, V44_HeaderAndTotalLengthsMustFit) {
  for (int ihl = 0; ihl < 5; ++ihl) {
    PacketBuilder builder;
    builder.ihl = ihl;
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpHlen) << ihl;
  }
  PacketBuilder longer;
  longer.ihl = 15;
  EXPECT_EQ(Judged(longer).drop_reason(), Reason::kIpHlen);  // 60 of 40 bytes
  for (const int total : {0, 1, 19}) {
    PacketBuilder builder;
    builder.total_length = total;
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpLen) << total;
  }
}

TEST(Ipv4, V45_OptionsAreDroppedYetReadRight) {
  for (std::size_t size = 4; size <= 40; size += 4) {
    PacketBuilder builder;
    builder.data("x");
    builder.ip_options.assign(size, 1);
    const Judged judged(builder);
    EXPECT_EQ(judged.drop_reason(), Reason::kIpOptions);
    EXPECT_EQ(judged.packet.destination_port, 80);
    EXPECT_EQ(base::as_text(judged.packet.payload()), "x");
  }
}

TEST(Ipv4, V46_ReservedFlagAndDfOnFragmentsAreDropped) {
  for (const unsigned field : {0x8000U, 0xc000U, 0x4001U, 0x6000U}) {
    PacketBuilder builder;
    builder.fragment_field = field;
    builder.payload = Frame(20, 'x');
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpFragDf) << field;
  }
}

TEST(Ipv4, V47_MartiansAndLandAreDropped) {
  for (const char* source : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255",
                             "255.255.255.255", "198.51.100.2"}) {
    PacketBuilder builder;
    builder.from(source, 80);
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpMartian) << source;
  }
}

TEST(Ipv4, V48_FragmentsOfTcpGoToReassembly) {
  PacketBuilder builder;
  builder.payload = Frame(20, 'x');
  builder.fragment_field = 0x2000;
  const Judged first(builder);
  EXPECT_EQ(first.action(), Action::kReassemble);
  EXPECT_TRUE(first.packet.more_fragments);
  EXPECT_EQ(first.packet.fragment_bytes(), 40U);
  EXPECT_FALSE(first.packet.ports_known);
  builder.raw(Frame(5, 'y'), 6);
  builder.fragment_field = 5;
  const Judged last(builder);
  EXPECT_EQ(last.action(), Action::kReassemble);
  EXPECT_EQ(last.packet.fragment_offset, 40);
  EXPECT_EQ(last.packet.fragment_id, 0x1234U);
  builder.protocol = 17;
  EXPECT_EQ(Judged(builder).action(), Action::kForward);
  builder.protocol = 6;
  EXPECT_EQ(Judged(builder, {.to_service = true, .drop_fragments = true}).drop_reason(),
            Reason::kIpFrag);
}

TEST(Ipv4, V50_FirstFragmentMustHoldTheTcpHeader) {
  PacketBuilder builder;
  builder.options = {1, 1, 1, 1};
  const Frame segment = builder.tcp_segment();
  for (const long size : {8L, 16L}) {
    builder.raw(Frame(segment.begin(), segment.begin() + size), 6);
    builder.fragment_field = 0x2000;
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpFragTiny) << size;
  }
  builder.raw(segment, 6);
  EXPECT_EQ(Judged(builder).action(), Action::kReassemble);
  builder.raw(Frame(8, 0), 6);
  builder.fragment_field = 1;  // RFC 3128: the flags by another way
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpFragTiny);
}

TEST(Ipv4, V51_MiddleFragmentOfOddLengthIsDropped) {
  PacketBuilder builder;
  builder.fragment_field = 0x2000;
  builder.payload = Frame(24, 'x');
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpFragLen);
}

TEST(Ipv4, V53_FragmentBeyondTheLargestDatagramIsDropped) {
  PacketBuilder builder;
  builder.raw(Frame(100, 'x'), 6);
  builder.fragment_field = 8189;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpFragBig);
}

TEST(Ipv4, V54_EmptyFragmentIsDropped) {
  PacketBuilder builder;
  builder.raw({}, 6);
  builder.fragment_field = 0x2000 | 5;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpFragEmpty);
}

TEST(Ipv4, V59_IcmpErrorsQuoteTheirSegment) {
  PacketBuilder quoted;
  quoted.from("198.51.100.2", 80).to("192.0.2.1", 40000).tcp(0xcafe, 0, kAck);
  PacketBuilder error;
  Frame body{3, 4, 0, 0, 0, 0, 0, 68};
  const Frame inner = quoted.network_packet();
  body.insert(body.end(), inner.begin(), inner.begin() + 28);
  error.raw(body, 1);
  const Judged judged(error);
  IcmpQuote quote;
  ASSERT_TRUE(parse_icmp_error(judged.packet, quote));
  EXPECT_EQ(quote.source.to_string(), "198.51.100.2");
  EXPECT_EQ(quote.source_port, 80);
  EXPECT_EQ(quote.destination_port, 40000);
  EXPECT_EQ(quote.sequence, 0xcafeU);
  body.resize(8 + 27);
  error.raw(body, 1);
  EXPECT_FALSE(parse_icmp_error(Judged(error).packet, quote));
}

}  // namespace
}  // namespace sluice::net
