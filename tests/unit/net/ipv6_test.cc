// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>

#include "dataplane/net/packet.h"
#include "tests/support/packet_builder.h"
#include "tests/unit/net/judge.h"

namespace sluice::net {
namespace {

using abi::Reason;
using test::Frame;
using test::PacketBuilder;

constexpr std::uint8_t kHop = 0, kRoute = 43, kFrag = 44, kDest = 60;

PacketBuilder six() {
  PacketBuilder builder;
  builder.from("2001:db8::1", 40000).to("2001:db8::2", 80).data("attack");
  return builder;
}

/// Puts the headers named by `kinds` before TCP, each of 8 bytes.
PacketBuilder chained(const std::vector<std::uint8_t>& kinds) {
  PacketBuilder builder = six();
  builder.next_header = kinds.front();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const std::uint8_t next = i + 1 < kinds.size() ? kinds[i + 1] : 6;
    switch (kinds[i]) {
      case kFrag:
        test::append(builder.extension, {next, 0, 0, 0, 0, 0, 0, 9});
        break;
      case kRoute:
        test::append(builder.extension, {next, 0, 4, 0, 0, 0, 0, 0});
        break;
      default:
        test::append(builder.extension, {next, 0, 1, 4, 0, 0, 0, 0});
    }
  }
  return builder;
}

TEST(Ipv6, V61_ChainOfUpToEightHeadersIsRead) {
  for (const std::size_t count : {1U, 8U}) {
    const Judged judged(chained(std::vector<std::uint8_t>(count, kDest)));
    EXPECT_EQ(judged.action(), Action::kInspect) << count;
    EXPECT_EQ(base::as_text(judged.packet.payload()), "attack");
  }
  for (const std::size_t count : {9U, 40U}) {
    EXPECT_EQ(Judged(chained(std::vector<std::uint8_t>(count, kDest))).drop_reason(),
              Reason::kIp6Chain);
  }
}

TEST(Ipv6, V61_OrderIsHopByHopFirstAndOneRoutingHeader) {
  EXPECT_EQ(Judged(chained({kHop, kDest, kRoute, kDest})).action(), Action::kInspect);
  EXPECT_EQ(Judged(chained({kDest, kHop})).drop_reason(), Reason::kIp6Chain);
  EXPECT_EQ(Judged(chained({kHop, kHop})).drop_reason(), Reason::kIp6Chain);
  EXPECT_EQ(Judged(chained({kRoute, kRoute})).drop_reason(), Reason::kIp6Chain);
}

TEST(Ipv6, V61_ChainBeyond256BytesIsDropped) {
  PacketBuilder builder = six();
  builder.next_header = kDest;
  builder.extension.assign(264, 0);  // Pad1 throughout
  builder.extension[0] = 6;
  builder.extension[1] = 32;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIp6Chain);
  builder.extension.resize(256);
  builder.extension[1] = 31;
  EXPECT_EQ(Judged(builder).action(), Action::kInspect);
}

TEST(Ipv6, V61_AuthenticationHeaderIsWalked) {
  PacketBuilder builder = six();
  builder.next_header = 51;
  builder.extension = {6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
  EXPECT_EQ(base::as_text(Judged(builder).packet.payload()), "attack");
}

TEST(Ipv6, V61_HeaderBeyondThePacketIsDropped) {
  PacketBuilder builder = chained({kDest});
  builder.extension[1] = 200;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIp6Chain);
}

PacketBuilder fragment(unsigned offset, bool more, const Frame& data, std::uint8_t next = 6) {
  PacketBuilder builder = six();
  builder.next_header = kFrag;
  builder.extension = {next,
                       0,
                       static_cast<std::uint8_t>(offset >> 8),
                       static_cast<std::uint8_t>((offset & 0xf8) | (more ? 1 : 0)),
                       0,
                       0,
                       0,
                       9};
  builder.raw(data, 6);
  return builder;
}

TEST(Ipv6, V62_FirstFragmentMustReachTheWholeTcpHeader) {
  const Frame segment = six().tcp_segment();
  EXPECT_EQ(Judged(fragment(0, true, Frame(16, 0))).drop_reason(), Reason::kIp6FragChain);
  Frame whole(segment.begin(), segment.begin() + 24);
  EXPECT_EQ(Judged(fragment(0, true, whole)).action(), Action::kReassemble);
  // The destination header fills the first fragment.
  EXPECT_EQ(Judged(fragment(0, true, {6, 2, 1, 20, 0, 0, 0, 0}, kDest)).drop_reason(),
            Reason::kIp6Chain);
  EXPECT_EQ(Judged(fragment(0, true, {6, 0, 1, 4, 0, 0, 0, 0}, kDest)).drop_reason(),
            Reason::kIp6FragChain);
}

TEST(Ipv6, V64_AtomicFragmentIsWhole) {
  const Judged judged(chained({kFrag}));
  EXPECT_EQ(judged.action(), Action::kInspect);
  EXPECT_FALSE(judged.packet.is_fragment);
  EXPECT_EQ(base::as_text(judged.packet.payload()), "attack");
}

TEST(Ipv6, V65_TwoFragmentHeadersAreDropped) {
  EXPECT_EQ(Judged(chained({kFrag, kFrag})).drop_reason(), Reason::kIp6FragDup);
}

TEST(Ipv6, V66_ReservedBitsAndOddMiddleLengthsAreDropped) {
  PacketBuilder reserved = chained({kFrag});
  reserved.extension[1] = 1;
  EXPECT_EQ(Judged(reserved).drop_reason(), Reason::kIp6Chain);
  PacketBuilder low_bits = chained({kFrag});
  low_bits.extension[3] = 2;
  EXPECT_EQ(Judged(low_bits).drop_reason(), Reason::kIp6Chain);
  EXPECT_EQ(Judged(fragment(40, true, Frame(13, 'x'))).drop_reason(), Reason::kIpFragLen);
  EXPECT_EQ(Judged(fragment(40, true, {})).drop_reason(), Reason::kIpFragEmpty);
  EXPECT_EQ(Judged(fragment(65528, false, Frame(8, 'x'))).drop_reason(), Reason::kIpFragBig);
}

TEST(Ipv6, V66_FragmentsOfAnyProtocolAreReassembled) {
  // Receivers take the protocol of the first fragment only: a piece that says UDP still joins.
  EXPECT_EQ(Judged(fragment(40, false, Frame(8, 'x'), 17)).action(), Action::kReassemble);
}

TEST(Ipv6, V67_RoutingHeadersThatStillRouteAreDropped) {
  for (const auto& [type, left, dropped] :
       {std::tuple{0, 1, true}, {0, 0, true}, {4, 1, true}, {4, 0, false}, {2, 0, false}}) {
    PacketBuilder builder = chained({kRoute});
    builder.extension[2] = static_cast<std::uint8_t>(type);
    builder.extension[3] = static_cast<std::uint8_t>(left);
    EXPECT_EQ(Judged(builder).drop_reason(), dropped ? Reason::kIp6Rh : Reason::kCount);
  }
}

TEST(Ipv6, V68_OptionsThatDiscardAreDropped) {
  for (const auto& [type, dropped] :
       {std::pair{0x1e, false}, {0x5e, true}, {0x9e, true}, {0xde, true}}) {
    for (const std::uint8_t kind : {kHop, kDest}) {
      PacketBuilder builder = chained({kind});
      builder.extension[2] = static_cast<std::uint8_t>(type);
      EXPECT_EQ(Judged(builder).drop_reason(), dropped ? Reason::kIp6Option : Reason::kCount);
    }
  }
  PacketBuilder overlong = chained({kDest});
  overlong.extension[3] = 5;
  EXPECT_EQ(Judged(overlong).drop_reason(), Reason::kIp6Option);
}

TEST(Ipv6, V69_BytesBehindNoNextHeaderAreDropped) {
  PacketBuilder builder = six();
  builder.next_header = 59;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIp6Nonext);
  builder.raw({}, 59);
  EXPECT_EQ(Judged(builder).action(), Action::kForward);
}

TEST(Ipv6, V6A_JumbogramsAreDropped) {
  PacketBuilder builder = six();
  builder.total_length = 0;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIp6Jumbo);
  PacketBuilder option = chained({kHop});
  option.extension[2] = 0xc2;
  EXPECT_EQ(Judged(option).drop_reason(), Reason::kIp6Jumbo);
}

TEST(Ipv6, V6B_MartiansAreDroppedAndMappedEqualsPlain) {
  for (const char* source :
       {"::", "::1", "ff02::1", "::ffff:192.0.2.1", "fe80::1", "2001:db8::2"}) {
    PacketBuilder builder = six();
    builder.source = source;
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kIpMartian) << source;
  }
  PacketBuilder zero = six();
  zero.ttl = 0;
  EXPECT_EQ(Judged(zero).drop_reason(), Reason::kIpTtl);
  EXPECT_EQ(base::IpAddress::parse("::ffff:192.0.2.1"), base::IpAddress::parse("192.0.2.1"));
}

TEST(Ipv6, V42_TcpChecksumCoversTheIpv6PseudoHeader) {
  PacketBuilder builder = six();
  builder.bad_tcp_checksum = true;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kTcpCsum);
}

}  // namespace
}  // namespace sluice::net
