// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/fragments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "tests/unit/net/judge.h"

namespace sluice::net {
namespace {

using abi::Reason;
using test::Frame;
using test::PacketBuilder;

constexpr base::Nanos kSecond = base::kNanosPerSecond;

PacketBuilder request(bool v4, std::size_t body = 200) {
  PacketBuilder builder;
  if (!v4) builder.from("2001:db8::1", 40000).to("2001:db8::2", 80);
  builder.tags = {{0x8100, 42}};
  builder.timestamps(1, 2);
  std::string text = "GET /?q=attack HTTP/1.1\r\n";
  for (std::size_t i = 0; text.size() < body; ++i) text += static_cast<char>('a' + i % 26);
  builder.data(text);
  return builder;
}

/// The piece [offset, offset + bytes) of what `whole` carries, marked as told.
PacketBuilder piece(const PacketBuilder& whole, std::size_t offset, std::size_t bytes, bool more,
                    const Frame* other = nullptr) {
  const Frame transport = other != nullptr ? *other : whole.transport_bytes();
  PacketBuilder part = whole;
  const auto from = transport.begin() + static_cast<long>(offset);
  part.raw(Frame(from, from + static_cast<long>(std::min(bytes, transport.size() - offset))),
           whole.protocol);
  if (whole.is_v4()) {
    part.fragment_field = static_cast<unsigned>(offset / 8) | (more ? 0x2000U : 0U);
  } else {
    part.next_header = 44;
    part.extension = {6,
                      0,
                      static_cast<std::uint8_t>(offset >> 8),
                      static_cast<std::uint8_t>((offset & 0xf8) | (more ? 1 : 0)),
                      0,
                      0,
                      static_cast<std::uint8_t>(whole.id >> 8),
                      static_cast<std::uint8_t>(whole.id)};
  }
  return part;
}

class Fragments : public testing::TestWithParam<bool> {
 protected:
  void make(FragmentLimits limits = small()) {
    memory_.assign(FragmentTable::memory_bytes(limits) + 64, 0xcd);
    void* start = memory_.data();
    std::size_t room = memory_.size();
    std::align(64, FragmentTable::memory_bytes(limits), start, room);
    base::seeded_hash_key(key_, 1);
    table_ = std::make_unique<FragmentTable>(std::span(static_cast<std::uint8_t*>(start), room),
                                             key_, limits);
  }
  static FragmentLimits small() {
    FragmentLimits limits;
    limits.datagrams = 32;
    limits.blocks = 128;
    limits.packets = 512;
    limits.tombstones = 64;
    limits.datagrams_per_source = 8;
    return limits;
  }
  void SetUp() override { make(); }

  FragmentResult add(const PacketBuilder& builder, base::Nanos now = 0) {
    frame_ = builder.build();
    ParsedPacket packet;
    parse(frame_, {}, packet);
    EXPECT_TRUE(packet.is_fragment);
    ++next_ref_;
    return table_->add(packet, PacketRef{next_ref_}, now);
  }
  /// Adds and expects a drop for `reason` that gives back `released` earlier pieces.
  void expect_drop(const PacketBuilder& builder, Reason reason, std::size_t released,
                   base::Nanos now = 0) {
    const FragmentResult result = add(builder, now);
    EXPECT_EQ(result.outcome, FragmentOutcome::kDropped);
    EXPECT_EQ(abi::reason_name(result.reason), abi::reason_name(reason));
    EXPECT_EQ(result.packets.size(), released);
  }
  void expect_held(const PacketBuilder& builder, base::Nanos now = 0) {
    EXPECT_EQ(add(builder, now).outcome, FragmentOutcome::kHeld);
  }
  void expect_empty() {
    EXPECT_EQ(table_->datagrams(), 0U);
    EXPECT_EQ(table_->packets(), 0U);
    EXPECT_EQ(table_->blocks_used(), 0U);
  }
  void expect_whole(const FragmentResult& result, const PacketBuilder& whole, std::size_t pieces) {
    ASSERT_EQ(result.outcome, FragmentOutcome::kComplete);
    EXPECT_EQ(result.packets.size(), pieces);
    ParsedPacket packet;
    parse(result.datagram, {}, packet);
    const Classification judged = classify(packet, {.to_service = true});
    EXPECT_EQ(judged.action, Action::kInspect) << abi::reason_name(judged.reason);
    EXPECT_TRUE(std::ranges::equal(packet.payload(), whole.payload));
    EXPECT_EQ(packet.vlan_key, 42U);
    expect_empty();
  }

  std::vector<std::uint8_t> memory_;
  base::HashKey key_{};
  std::unique_ptr<FragmentTable> table_;
  Frame frame_;
  std::uint64_t next_ref_ = 0;
};

TEST_P(Fragments, V48_RequestInAnyOrderOfPiecesIsWhole) {
  for (const std::size_t size : {120U, 80U, 40U, 32U}) {
    const PacketBuilder whole = request(GetParam(), 240);
    const std::size_t total = whole.transport_bytes().size();
    std::vector<PacketBuilder> parts;
    for (std::size_t at = 0; at < total; at += size) {
      parts.push_back(piece(whole, at, size, at + size < total));
    }
    for (int round = 0; round < 2; ++round) {
      for (std::size_t i = 0; i + 1 < parts.size(); ++i) expect_held(parts[i]);
      expect_whole(add(parts.back()), whole, parts.size());
      std::ranges::reverse(parts);
    }
  }
}

TEST_P(Fragments, V48_PacketsComeBackInOrderOfOffset) {
  const PacketBuilder whole = request(GetParam(), 100);
  expect_held(piece(whole, 80, 800, false));
  expect_held(piece(whole, 40, 40, true));
  const FragmentResult result = add(piece(whole, 0, 40, true));
  ASSERT_EQ(result.packets.size(), 3U);
  EXPECT_EQ(result.packets[0], PacketRef{3});
  EXPECT_EQ(result.packets[1], PacketRef{2});
  EXPECT_EQ(result.packets[2], PacketRef{1});
}

TEST_P(Fragments, V48_LargestDatagramIsJoinedAcrossBlocks) {
  const PacketBuilder whole = request(GetParam(), 64000);
  const std::size_t total = whole.transport_bytes().size();
  FragmentResult result;
  std::size_t pieces = 0;
  for (std::size_t at = 0; at < total; at += 1480, ++pieces) {
    result = add(piece(whole, at, 1480, at + 1480 < total));
  }
  expect_whole(result, whole, pieces);
}

TEST_P(Fragments, V49_V63_AnyOverlapDropsTheDatagramAndItsId) {
  // The shapes of Shankar and Paxson against a held piece 80..160: {offset, bytes}.
  const std::pair<std::size_t, std::size_t> shapes[] = {{80, 80},  {80, 120}, {80, 40},
                                                        {40, 80},  {40, 120}, {40, 160},
                                                        {120, 80}, {96, 40},  {120, 40}};
  unsigned id = 1;
  for (const auto& [offset, bytes] : shapes) {
    for (const bool differs : {true, false}) {
      if (!differs && offset == 80 && bytes == 80) continue;  // the exact duplicate, see below
      make();
      PacketBuilder whole = request(GetParam(), 400);
      whole.id = id++;
      Frame other = whole.transport_bytes();
      if (differs) other[offset + bytes / 2] ^= 0x20;
      expect_held(piece(whole, 80, 80, true));
      expect_drop(piece(whole, offset, bytes, true, &other), Reason::kIpFragOverlap, 1);
      expect_drop(piece(whole, 0, 80, true), Reason::kIpFragTimeout, 0, 59 * kSecond);
      expect_held(piece(whole, 0, 80, true), 61 * kSecond);
      // The other order.
      make();
      expect_held(piece(whole, offset, bytes, true, &other));
      expect_drop(piece(whole, 80, 80, true), Reason::kIpFragOverlap, 1);
      expect_empty();
    }
  }
}

TEST_P(Fragments, V49_ExactDuplicateIsDroppedAlone) {
  const PacketBuilder whole = request(GetParam(), 100);
  expect_held(piece(whole, 0, 80, true));
  expect_drop(piece(whole, 0, 80, true), Reason::kIpFragDup, 0);
  expect_whole(add(piece(whole, 80, 800, false)), whole, 2);
}

TEST_P(Fragments, V52_TwoEndsDropTheDatagram) {
  PacketBuilder whole = request(GetParam(), 400);
  expect_held(piece(whole, 80, 40, false));
  expect_drop(piece(whole, 120, 40, false), Reason::kIpFragEnd, 1);
  whole.id = 2;
  expect_held(piece(whole, 160, 40, true));
  expect_drop(piece(whole, 80, 40, false), Reason::kIpFragEnd, 1);
  whole.id = 3;
  expect_held(piece(whole, 80, 40, false));
  expect_drop(piece(whole, 200, 40, true), Reason::kIpFragEnd, 1);
  whole.id = 4;
  expect_held(piece(whole, 80, 40, false));
  expect_drop(piece(whole, 40, 80, true), Reason::kIpFragEnd, 1);  // more, up to the end
  expect_empty();
}

TEST_P(Fragments, V53_HeadersOfTheFirstPieceCountForTheSize) {
  PacketBuilder whole = request(GetParam(), 65300);
  if (!GetParam()) return;  // IPv6 counts the payload alone
  const std::size_t total = whole.transport_bytes().size();
  whole.ip_options.assign(40, 1);
  for (std::size_t at = 0; at + 4096 < total; at += 4096) {
    PacketBuilder part = piece(whole, at, 4096, true);
    if (at != 0) part.ip_options.clear();
    expect_held(part);
  }
  // Padded so that 20 + data fits in 65535, and 60 + data does not.
  Frame longer = whole.transport_bytes();
  longer.resize(65500, 'z');
  PacketBuilder last = piece(whole, 61440, 65500, false, &longer);
  last.ip_options.clear();
  const FragmentResult result = add(last);
  EXPECT_EQ(result.reason, Reason::kIpFragBig);
  EXPECT_EQ(result.packets.size(), 15U);
  expect_empty();
}

TEST_P(Fragments, V55_DatagramsDifferByIdAndVlan) {
  PacketBuilder one = request(GetParam(), 100);
  PacketBuilder two = request(GetParam(), 130);
  two.id = 0x4321;
  PacketBuilder other_vlan = request(GetParam(), 160);
  other_vlan.tags = {{0x8100, 43}};
  for (const auto* whole : {&one, &two, &other_vlan}) expect_held(piece(*whole, 0, 80, true));
  EXPECT_EQ(table_->datagrams(), 3U);
  for (const auto* whole : {&one, &two, &other_vlan}) {
    const FragmentResult result = add(piece(*whole, 80, 800, false));
    ASSERT_EQ(result.outcome, FragmentOutcome::kComplete);
    ParsedPacket packet;
    parse(result.datagram, {}, packet);
    EXPECT_EQ(packet.payload_bytes, whole->payload.size());
  }
}

TEST_P(Fragments, V55_ProtocolTellsIpv4DatagramsApartButNotIpv6) {
  const PacketBuilder whole = request(GetParam(), 100);
  expect_held(piece(whole, 0, 80, true));
  PacketBuilder foreign = piece(whole, 80, 800, false);
  if (GetParam()) {
    foreign.protocol = 17;
    expect_held(foreign);
    EXPECT_EQ(table_->datagrams(), 2U);
  } else {
    foreign.extension[0] = 17;
    expect_drop(foreign, Reason::kIpFragOverlap, 1);
  }
}

TEST_P(Fragments, V55_SameIdTwiceIsAnOverlap) {
  const PacketBuilder one = request(GetParam(), 100);
  PacketBuilder two = request(GetParam(), 100);
  two.sequence = 5;
  expect_held(piece(one, 0, 80, true));
  expect_drop(piece(two, 0, 80, true), Reason::kIpFragOverlap, 1);
  expect_drop(piece(one, 80, 800, false), Reason::kIpFragTimeout, 0);
}

TEST_P(Fragments, V56_LateRestDiesWithItsDatagram) {
  const PacketBuilder whole = request(GetParam(), 100);
  expect_held(piece(whole, 0, 80, true), 1 * kSecond);
  FragmentResult ended;
  EXPECT_FALSE(table_->expire(11 * kSecond - 1, ended));
  EXPECT_TRUE(table_->expire(11 * kSecond, ended));
  EXPECT_EQ(ended.reason, Reason::kIpFragTimeout);
  EXPECT_EQ(ended.packets.size(), 1U);
  EXPECT_FALSE(table_->expire(11 * kSecond, ended));
  expect_drop(piece(whole, 80, 800, false), Reason::kIpFragTimeout, 0, 70 * kSecond);
  expect_held(piece(whole, 80, 800, false), 72 * kSecond);
}

TEST_P(Fragments, V56_LateRestDiesEvenBeforeTheTimerRuns) {
  const PacketBuilder whole = request(GetParam(), 100);
  expect_held(piece(whole, 0, 80, true));
  expect_drop(piece(whole, 80, 800, false), Reason::kIpFragTimeout, 1, 10 * kSecond);
  expect_empty();
}

TEST_P(Fragments, V57_FloodOfOneSourceLeavesRoomForOthers) {
  PacketBuilder flood = request(GetParam(), 100);
  flood.source = GetParam() ? "192.0.2.99" : "2001:db8:bad::9";
  std::size_t held = 0;
  for (unsigned i = 0; i < 1000; ++i) {
    flood.id = i;
    if (!GetParam()) flood.source = "2001:db8:bad::" + std::to_string(i % 9 + 1);  // one /64
    const FragmentResult result = add(piece(flood, 0, 80, true));
    held += result.outcome == FragmentOutcome::kHeld ? 1 : 0;
    EXPECT_TRUE(result.outcome == FragmentOutcome::kHeld || result.reason == Reason::kIpFragFull);
  }
  EXPECT_EQ(held, 8U);
  const PacketBuilder legal = request(GetParam(), 100);
  expect_held(piece(legal, 0, 80, true));
  EXPECT_EQ(add(piece(legal, 80, 800, false)).outcome, FragmentOutcome::kComplete);
}

TEST_P(Fragments, V57_FullTablesAndPoolsAreNamed) {
  FragmentLimits limits = small();
  limits.blocks = 2;
  make(limits);
  PacketBuilder whole = request(GetParam(), 8000);
  expect_held(piece(whole, 0, 2048, true));
  expect_held(piece(whole, 2048, 2048, true));
  expect_drop(piece(whole, 4096, 2048, true), Reason::kIpFragFull, 2);
  expect_empty();
  limits = small();
  limits.packets_per_source = 2;
  make(limits);
  expect_held(piece(whole, 0, 80, true));
  expect_held(piece(whole, 80, 80, true));
  expect_drop(piece(whole, 160, 80, true), Reason::kIpFragFull, 2);
  limits = small();
  limits.blocks_per_source = 1;
  make(limits);
  expect_drop(piece(whole, 0, 4096, true), Reason::kIpFragFull, 0);
  expect_empty();
}

TEST_P(Fragments, V58_MoreThan64PiecesDropTheDatagram) {
  const PacketBuilder whole = request(GetParam(), 2000);
  std::vector<std::size_t> order;
  for (std::size_t i = 5; i < 69; ++i) order.push_back(i);
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  for (const std::size_t i : order) expect_held(piece(whole, i * 8, 8, true));
  expect_drop(piece(whole, 69 * 8, 8, true), Reason::kIpFragCount, 64);
  expect_empty();
}

TEST_P(Fragments, V51_V54_MalformedPiecePoisonsItsDatagram) {
  const PacketBuilder whole = request(GetParam(), 200);
  expect_held(piece(whole, 0, 80, true));
  const PacketBuilder odd = piece(whole, 80, 13, true);
  const Judged judged(odd);
  EXPECT_EQ(judged.drop_reason(), Reason::kIpFragLen);
  const FragmentResult result = table_->poison(judged.packet, Reason::kIpFragLen, 0);
  EXPECT_EQ(result.outcome, FragmentOutcome::kDropped);
  EXPECT_EQ(result.packets.size(), 1U);
  expect_drop(piece(whole, 80, 800, false), Reason::kIpFragTimeout, 0);
}

TEST_P(Fragments, RandomPiecesNeverLeakAndNeverYieldOtherBytes) {
  std::mt19937 random(20261124);
  std::size_t complete = 0;
  for (base::Nanos now = 0; now < 20000; ++now) {
    PacketBuilder whole = request(GetParam(), 100);
    whole.id = random() % 64;
    const std::size_t total = whole.transport_bytes().size();
    const std::size_t offset = random() % 4 * 40;
    const std::size_t bytes = random() % 8 == 0 ? 48 : 40;
    if (offset >= total) continue;
    const bool last = offset + bytes >= total;
    const FragmentResult result = add(piece(whole, offset, bytes, !last), now * kSecond / 50);
    if (result.outcome == FragmentOutcome::kComplete) {
      ++complete;
      ParsedPacket packet;
      parse(result.datagram, {}, packet);
      ASSERT_EQ(classify(packet, {.to_service = true}).action, Action::kInspect);
      ASSERT_TRUE(std::ranges::equal(packet.payload(), whole.payload));
    }
    FragmentResult ended;
    (void)table_->expire(now * kSecond / 50, ended);
  }
  EXPECT_GT(complete, 100U);
  FragmentResult ended;
  while (table_->expire(10000 * kSecond, ended)) {
  }
  expect_empty();
}

INSTANTIATE_TEST_SUITE_P(Families, Fragments, testing::Values(true, false),
                         [](const auto& family) { return family.param ? "V4" : "V6"; });

TEST(FragmentHash, IsEqualForThePiecesOfOneDatagram) {
  base::HashKey key;
  base::seeded_hash_key(key, 1);
  PacketBuilder whole = request(true);
  const Judged first(piece(whole, 0, 80, true)), rest(piece(whole, 80, 800, false));
  whole.id = 2;
  const Judged other(piece(whole, 0, 80, true));
  EXPECT_EQ(fragment_hash(key, first.packet), fragment_hash(key, rest.packet));
  EXPECT_NE(fragment_hash(key, first.packet), fragment_hash(key, other.packet));
}

}  // namespace
}  // namespace sluice::net
