// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/steering.h"

#include <gtest/gtest.h>
#include <rte_thash.h>

#include <cmath>
#include <random>
#include <vector>

#include "dataplane/flow/flow_key.h"
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

/// Flows that differ in one part alone, as scanners, gateways and floods have them.
std::vector<flow::FlowKey> family(int which) {
  std::vector<flow::FlowKey> keys;
  for (std::uint32_t i = 0; i < 16384; ++i) {
    flow::FlowKey& key = keys.emplace_back();
    key.client = base::IpAddress::from_v4_number(0x0a000001 + (which == 1 ? i : 0));
    key.server = base::IpAddress::from_v4_number(0xc0000201 + (which == 2 ? i << 8 : 0));
    key.client_port = static_cast<std::uint16_t>(which == 0 ? 1024 + i : which == 3 ? i * 4 : 4096);
    key.server_port = 80;
  }
  return keys;
}

TEST(Steering, RX2_FamiliesOfFlowsSpreadOverWorkersAndOverTheTablesOfEach) {
  base::HashKey hash_key;
  base::seeded_hash_key(hash_key, 7);
  constexpr std::size_t kBuckets = 16;  // of a table: low bits of the hash
  for (const std::size_t workers : {2U, 3U, 4U, 8U, 16U}) {
    for (const int which : {0, 1, 2, 3}) {
      std::vector<std::size_t> flows(workers * kBuckets);
      for (const flow::FlowKey& key : family(which)) {
        const std::uint64_t hash = flow::flow_hash(hash_key, key);
        ++flows[steered_to(hash, workers) * kBuckets + hash % kBuckets];
      }
      const double mean = 16384.0 / static_cast<double>(flows.size());
      for (const std::size_t count : flows) {  // six deviations of a fair draw
        EXPECT_NEAR(static_cast<double>(count), mean, 6 * std::sqrt(mean))
            << workers << " workers, family " << which;
      }
    }
  }
}

}  // namespace
}  // namespace sluice::worker
