// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/steering.h"

#include <gtest/gtest.h>
#include <rte_thash.h>

#include <random>

#include "dataplane/io/port.h"

namespace sluice::worker {
namespace {

constexpr std::uint8_t kKey[40] = {0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
                                   0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
                                   0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a,
                                   0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a};

/// What a card computes: DPDK's own software Toeplitz over the tuple.
TEST(SymmetricRss, FoldedHashIsWhatACardComputes) {
  std::mt19937 random(7);
  for (int i = 0; i < 1000; ++i) {
    net::ParsedPacket packet;
    const std::uint32_t source = static_cast<std::uint32_t>(random());
    const std::uint32_t destination = static_cast<std::uint32_t>(random());
    packet.source = base::IpAddress::from_v4_number(source);
    packet.destination = base::IpAddress::from_v4_number(destination);
    packet.source_port = static_cast<std::uint16_t>(random());
    packet.destination_port = static_cast<std::uint16_t>(random());
    std::uint32_t tuple[3] = {
        source, destination,
        static_cast<std::uint32_t>(packet.source_port) << 16 | packet.destination_port};
    const std::uint32_t hash = io::symmetric_hash(fold_flow(packet));
    EXPECT_EQ(hash, rte_softrss(tuple, 3, kKey));
    std::swap(packet.source, packet.destination);
    std::swap(packet.source_port, packet.destination_port);
    EXPECT_EQ(hash, io::symmetric_hash(fold_flow(packet)));
  }
}

}  // namespace
}  // namespace sluice::worker
