// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// What is counted and recorded though nothing is dropped (docs/adr/0016).

#include <gtest/gtest.h>

#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/messages.h"

namespace sluice::test {
namespace {

using abi::Reason;
using engine::Fate;

/// A second, and polls enough to look at all places of the summary once more.
constexpr std::uint64_t kUntilSaidMs = 14'000;

/// The only record of dropped or noted frames.
abi::EventHeader said(EngineRig& rig) {
  rig.advance_ms(kUntilSaidMs);
  const auto records = rig.records(abi::RecordType::kDrop);
  EXPECT_EQ(records.size(), 1u);
  return records.empty() ? abi::EventHeader{} : records[0].header;
}

TEST(Noted, ARequestThatWaitsForThoseBeforeIt) {
  EngineRig rig;
  Dialog dialog(rig);
  dialog.handshake();
  for (std::size_t i = 0; i < abi::kPipelinedMax; ++i) {
    EXPECT_EQ(dialog.client(kGood).fate, Fate::kForward);
  }
  EXPECT_EQ(rig.noted(Reason::kHttpPipeline), 0u) << "none waits";
  EXPECT_EQ(dialog.client(kGood).fate, Fate::kKept);
  EXPECT_EQ(rig.noted(Reason::kHttpPipeline), 1u);
  const abi::EventHeader record = said(rig);
  EXPECT_EQ(record.reason, Reason::kHttpPipeline);
  EXPECT_EQ(record.action, abi::Action::kPass);
  EXPECT_EQ(record.packet_count, 1u);
  EXPECT_EQ(record.source_port, 40000u);
  EXPECT_EQ(rig.dropped(Reason::kHttpPipeline), 0u);
}

TEST(Noted, AnIdleConnectionThatIsForgotten) {
  RigOptions options;
  options.idle_timeout_ms = 5'000;
  EngineRig rig(options);
  Dialog dialog(rig);
  dialog.handshake();
  dialog.client(kGood);
  dialog.server(kOk);
  rig.advance_ms(4'000);
  EXPECT_EQ(rig.noted(Reason::kFlowIdle), 0u);
  rig.advance_ms(2'000);
  EXPECT_EQ(rig.noted(Reason::kFlowIdle), 1u);
  const abi::EventHeader record = said(rig);
  EXPECT_EQ(record.reason, Reason::kFlowIdle);
  EXPECT_EQ(record.action, abi::Action::kPass);
  EXPECT_EQ(record.packet_count, 0u);
  EXPECT_EQ(record.source_port, 40000u);
  EXPECT_EQ(record.destination_port, 80u);
}

TEST(Noted, HandshakesThatGiveTheirPlaceToOthersOnceASecond) {
  RigOptions options;
  options.config.embryonic_max = 64;
  EngineRig rig(options);
  for (unsigned i = 0; i < 2'000; ++i) {
    PacketBuilder builder;
    builder.tcp(i, 0, net::kSyn).from("192.0.2.1", 30000 + i);
    EXPECT_EQ(rig.push(engine::Side::kOutside, builder.build()).fate, Fate::kForward);
    if (i == 0) {
      EXPECT_EQ(rig.noted(Reason::kFlowEmbryonicFull), 0u);
    }
  }
  const std::uint64_t displaced = rig.noted(Reason::kFlowEmbryonicFull);
  EXPECT_EQ(displaced, 2'000u - 64u) << "so many found no free place, once every set was full";
  const abi::EventHeader record = said(rig);
  EXPECT_EQ(record.reason, Reason::kFlowEmbryonicFull);
  EXPECT_EQ(record.action, abi::Action::kPass);
  EXPECT_EQ(record.packet_count, displaced);
}

TEST(Noted, WhatMonitorWouldHaveDropped) {
  for (const abi::Mode mode : {abi::Mode::kBlock, abi::Mode::kMonitor}) {
    RigOptions options;
    options.mode = mode;
    EngineRig rig(options);
    const bool blocks = mode == abi::Mode::kBlock;
    PacketBuilder syn_with_rst, tiny;
    syn_with_rst.tcp(1, 0, net::kSyn | net::kRst).from("192.0.2.1", 40000);
    EXPECT_EQ(rig.push(engine::Side::kOutside, syn_with_rst.build()).fate,
              blocks ? Fate::kDrop : Fate::kForward);
    EXPECT_EQ(rig.noted(Reason::kTcpFlags), blocks ? 0u : 1u);
    EXPECT_EQ(rig.dropped(Reason::kTcpFlags), blocks ? 1u : 0u);
    tiny.tcp(1, 0, net::kSyn).from("192.0.2.1", 40000);
    tiny.options = {2, 4, 0, 1};
    EXPECT_EQ(rig.push(engine::Side::kOutside, tiny.build()).fate, Fate::kForward);
    EXPECT_EQ(rig.noted(Reason::kTcpMss), 1u);
    rig.advance_ms(kUntilSaidMs);
    const auto records = rig.records(abi::RecordType::kDrop);
    ASSERT_EQ(records.size(), 2u);
    for (const RigRecord& record : records) {
      const bool of_flags = record.header.reason == Reason::kTcpFlags;
      EXPECT_EQ(record.header.action, !blocks    ? abi::Action::kMonitor
                                      : of_flags ? abi::Action::kBlock
                                                 : abi::Action::kPass);
    }
  }
}

}  // namespace
}  // namespace sluice::test
