// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/tcp_options.h"

#include <gtest/gtest.h>

#include "tests/unit/net/judge.h"

namespace sluice::net {
namespace {

using abi::Reason;
using test::Frame;
using test::PacketBuilder;

PacketBuilder with(Frame options, unsigned flags = kSyn) {
  PacketBuilder builder;
  builder.flags = flags;
  builder.options = std::move(options);
  return builder;
}

TEST(TcpOptions, ReadsTheOptionsOfALinuxSyn) {
  const Judged judged(with({2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 3, 3, 7}));
  const TcpOptions& options = judged.packet.options;
  EXPECT_EQ(judged.action(), Action::kInspect);
  EXPECT_EQ(options.mss, 1460);
  EXPECT_EQ(options.window_scale, 7);
  EXPECT_TRUE(options.has(TcpOptions::kSackPermitted));
  EXPECT_EQ(options.timestamp_value, 5U);
  EXPECT_EQ(options.timestamp_echo, 6U);
  EXPECT_FALSE(options.has(TcpOptions::kOther));
}

TEST(TcpOptions, TO2_TwoTimestampsAreDropped) {
  const Frame old{8, 10, 0, 0, 0, 1, 0, 0, 0, 0}, fresh{8, 10, 0, 0, 0, 9, 0, 0, 0, 0};
  Frame one = old, other = fresh;
  test::append(one, fresh);
  test::append(other, old);
  EXPECT_EQ(Judged(with(one, kAck)).drop_reason(), Reason::kTcpOptionDup);
  EXPECT_EQ(Judged(with(other, kAck)).drop_reason(), Reason::kTcpOptionDup);
  Frame padded{1, 1};
  test::append(padded, one);
  EXPECT_EQ(Judged(with(padded, kAck)).drop_reason(), Reason::kTcpOptionDup);
}

TEST(TcpOptions, TO5_KeyedSegmentsAreDropped) {
  Frame md5{19, 18};
  md5.resize(18, 0xaa);
  for (const unsigned flags : {unsigned{kAck}, unsigned{kRst}, unsigned{kSyn}}) {
    EXPECT_EQ(Judged(with(md5, flags)).drop_reason(), Reason::kTcpAuthOption);
    EXPECT_EQ(Judged(with({29, 4, 1, 1}, flags)).drop_reason(), Reason::kTcpAuthOption);
  }
}

TEST(TcpOptions, TO6_OffsetsOutsideThePacketAreDropped) {
  for (int offset = 0; offset < 5; ++offset) {
    PacketBuilder builder;
    builder.data_offset = offset;
    EXPECT_EQ(Judged(builder).drop_reason(), Reason::kTcpOffset) << offset;
  }
  PacketBuilder builder;
  builder.data_offset = 6;
  EXPECT_EQ(Judged(builder).drop_reason(), Reason::kTcpOffset);
  PacketBuilder cut;
  cut.raw(Frame(19, 0x50), 6);
  EXPECT_EQ(Judged(cut).drop_reason(), Reason::kTcpOffset);
}

TEST(TcpOptions, TO6_WrongLengthsAreDropped) {
  for (const Frame& options : std::vector<Frame>{{2, 0, 0, 0},
                                                 {2, 1, 0, 0},
                                                 {2, 3, 5, 0},
                                                 {2, 5, 5, 0, 0, 0, 0, 0},
                                                 {3, 4, 7, 0},
                                                 {4, 3, 0, 0},
                                                 {99, 5, 0, 0},
                                                 {99, 255, 0, 0},
                                                 {1, 1, 1, 8},
                                                 {8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                                 {5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                                                 {5, 2, 0, 0}}) {
    EXPECT_EQ(Judged(with(options)).drop_reason(), Reason::kTcpOption)
        << int{options[0]} << "," << int{options[1]};
  }
}

TEST(TcpOptions, TO6_ReadingStopsAtTheEndOfList) {
  const Judged judged(with({0, 8, 0, 99, 2, 4, 1, 1}));
  EXPECT_EQ(judged.action(), Action::kInspect);
  EXPECT_EQ(judged.packet.options.present, 0);
}

TEST(TcpOptions, TO9_SackBlocksAreFound) {
  Frame options{1, 1, 5, 18};
  options.resize(20, 7);
  const Judged judged(with(options, kAck));
  EXPECT_EQ(judged.packet.options.sack_blocks, 2);
  EXPECT_EQ(judged.packet.options.sack_offset, 14 + 20 + 20 + 4);
}

TEST(TcpOptions, TO10_TO11_UnknownOptionsAreSeen) {
  EXPECT_TRUE(Judged(with({30, 4, 0, 0})).packet.options.has(TcpOptions::kMultipath));
  EXPECT_TRUE(Judged(with({34, 2, 1, 1})).packet.options.has(TcpOptions::kFastOpen));
  for (const int kind : {253, 254, 28, 11, 12, 13, 14, 15}) {
    EXPECT_TRUE(Judged(with({static_cast<std::uint8_t>(kind), 4, 0, 0}))
                    .packet.options.has(TcpOptions::kOther));
  }
}

TEST(TcpOptions, TO12_ReservedBitsAreApartFromTheFlags) {
  for (unsigned bit = 0; bit < 12; ++bit) {
    PacketBuilder builder;
    builder.reserved = bit < 4 ? 1U << bit : 0;
    builder.flags = bit < 4 ? unsigned{kAck} : 1U << (bit - 4);
    const Judged judged(builder);
    EXPECT_EQ(judged.packet.tcp_reserved, builder.reserved);
    EXPECT_EQ(judged.packet.tcp_flags, builder.flags);
  }
}

TEST(TcpOptions, TO13_PayloadStartsAtTheHeadersOwnOffset) {
  for (std::size_t words = 5; words <= 15; ++words) {
    PacketBuilder builder = with(Frame((words - 5) * 4, 1), kAck);
    builder.data("attack");
    const Judged judged(builder);
    EXPECT_EQ(judged.action(), Action::kInspect);
    EXPECT_EQ(base::as_text(judged.packet.payload()), "attack") << words;
  }
}

}  // namespace
}  // namespace sluice::net
