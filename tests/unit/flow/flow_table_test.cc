// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/flow/flow_table.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <vector>

namespace sluice::flow {
namespace {

struct Value {
  std::uint64_t number = 0;
};

FlowKey key_of(std::uint32_t number) {
  FlowKey key;
  key.client = base::IpAddress::from_v4_number(0x0a000000 + number);
  key.server = base::IpAddress::from_v4_number(0xc0000201);
  key.client_port = static_cast<std::uint16_t>(1024 + number % 60000);
  key.server_port = 80;
  return key;
}

class FlowTableTest : public testing::Test {
 protected:
  explicit FlowTableTest(std::size_t flows_max = 4096)
      : memory_(FlowTable<Value>::memory_bytes(flows_max) + 64),
        table_(aligned(memory_), flows_max, seeded()) {}

  static std::span<std::uint8_t> aligned(std::vector<std::uint8_t>& memory) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return std::span(memory).subspan((64 - address % 64) % 64);
  }
  const base::HashKey& seeded() {
    base::seeded_hash_key(hash_key_, 7);
    return hash_key_;
  }
  Value* insert(std::uint32_t number) {
    const FlowKey key = key_of(number);
    Value* value = table_.insert(key, table_.hash(key));
    if (value != nullptr) value->number = number;
    return value;
  }
  Value* find(std::uint32_t number) {
    const FlowKey key = key_of(number);
    return table_.find(key, table_.hash(key));
  }

  base::HashKey hash_key_;
  std::vector<std::uint8_t> memory_;
  FlowTable<Value> table_;
};

TEST_F(FlowTableTest, FindsWhatWasInsertedAndNothingElse) {
  ASSERT_NE(insert(1), nullptr);
  ASSERT_NE(insert(2), nullptr);
  ASSERT_NE(find(1), nullptr);
  EXPECT_EQ(find(1)->number, 1U);
  EXPECT_EQ(find(2)->number, 2U);
  EXPECT_EQ(find(3), nullptr);
}

TEST_F(FlowTableTest, HoldsAllFlowsItWasSizedForThenRefuses) {
  for (std::uint32_t i = 0; i < 4096; ++i) ASSERT_NE(insert(i), nullptr) << i;
  EXPECT_EQ(insert(5000), nullptr);
  EXPECT_EQ(table_.size(), 4096U);
  for (std::uint32_t i = 0; i < 4096; ++i) ASSERT_EQ(find(i)->number, i);
  table_.erase(*find(17));
  EXPECT_EQ(find(17), nullptr);
  EXPECT_NE(insert(5000), nullptr);
}

TEST_F(FlowTableTest, BulkLookupEqualsLookupsOneByOne) {
  for (std::uint32_t i = 0; i < 1000; ++i) insert(i);
  std::vector<FlowKey> keys;
  std::vector<std::uint64_t> hashes;
  for (std::uint32_t i = 0; i < abi::kBurstMax; ++i) {
    keys.push_back(key_of(i * 31));
    hashes.push_back(table_.hash(keys.back()));
  }
  std::vector<Value*> found(keys.size());
  table_.find_bulk(keys, hashes, found);
  for (std::uint32_t i = 0; i < abi::kBurstMax; ++i) EXPECT_EQ(found[i], find(i * 31)) << i;
}

// Evasions LK1-LK4: tags and links are part of who a flow is.
TEST_F(FlowTableTest, LK4_TagsAndLinksMakeOtherFlows) {
  net::ParsedPacket packet;
  packet.source_port = 1;
  packet.destination_port = 2;
  const FlowKey plain = flow_key(packet, Direction::kToServer, 0);
  packet.vlan_key = 10;
  EXPECT_FALSE(plain == flow_key(packet, Direction::kToServer, 0));
  packet.vlan_key = 0;
  EXPECT_FALSE(plain == flow_key(packet, Direction::kToServer, 1));
  EXPECT_TRUE(plain == flow_key(packet, Direction::kToServer, 0));
}

// Evasion TS27: the direction is told, so equal ports do not merge two directions.
TEST_F(FlowTableTest, TS27_BothDirectionsMakeOneKeyAndSwappedEndsAnother) {
  net::ParsedPacket up, down;
  up.source = base::IpAddress::from_v4_number(1),
  up.destination = base::IpAddress::from_v4_number(2);
  up.source_port = up.destination_port = 80;
  down = up;
  std::swap(down.source, down.destination);
  const FlowKey key = flow_key(up, Direction::kToServer, 0);
  EXPECT_TRUE(key == flow_key(down, Direction::kToClient, 0));
  EXPECT_FALSE(key == flow_key(down, Direction::kToServer, 0));
}

// Evasion RX1: with another key the same tuples fall elsewhere.
TEST_F(FlowTableTest, RX1_HashDependsOnTheKey) {
  base::HashKey other;
  base::seeded_hash_key(other, 8);
  EXPECT_NE(flow_hash(hash_key_, key_of(1)), flow_hash(other, key_of(1)));
}

TEST_F(FlowTableTest, AgreesWithAMapOverRandomOperations) {
  const unsigned seed = 20260101;
  std::mt19937 random(seed);
  std::unordered_map<std::uint32_t, std::uint64_t> model;
  for (int step = 0; step < 200000; ++step) {
    const std::uint32_t number = random() % 8192;
    const auto known = model.find(number);
    Value* found = find(number);
    ASSERT_EQ(found != nullptr, known != model.end()) << "seed " << seed << " step " << step;
    if (found != nullptr) {
      ASSERT_EQ(found->number, known->second);
      ASSERT_EQ(table_.at(table_.index_of(*found)), found);
      if (random() % 2 == 0) {
        table_.erase(*found);
        model.erase(known);
      }
    } else if (Value* added = insert(number)) {
      model[number] = added->number;
    } else {
      ASSERT_EQ(model.size(), 4096U);
    }
  }
}

}  // namespace
}  // namespace sluice::flow
