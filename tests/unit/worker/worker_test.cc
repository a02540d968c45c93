// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/worker.h"

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_thash.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/io/eal.h"
#include "dataplane/io/port.h"
#include "tests/support/packet_builder.h"
#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/messages.h"
#include "tests/unit/engine/rig_image.h"

/// Two real workers with their rings between two ports of two queues each, polled in turn. The
/// ports are DPDK's over rings, so that a test chooses the queue of each frame: no device at hand
/// has symmetric RSS, and none can be made to send a frame to a wrong queue.
namespace sluice::worker {
namespace {

using engine::Side;
using test::Frame;
using test::PacketBuilder;

constexpr std::uint16_t kWorkers = 2;
constexpr unsigned kRingFrames = 256;
constexpr std::uint16_t kRetaSize = 128;  // of the card that the ports pretend to be
constexpr std::uint32_t kClientIsn = 1000, kServerIsn = 7000;

/// What there can be one of in a process.
class Machine {
 public:
  static Machine& get() {
    static Machine machine;
    return machine;
  }
  rte_mempool* pool = nullptr;
  std::array<std::uint16_t, 2> ports{};
  std::array<std::array<rte_ring*, kWorkers>, 2> rx{}, tx{};
  Steering steering;

 private:
  Machine() {
    io::EalSettings settings;
    settings.program = "worker_test";
    settings.file_prefix = "worker-test-" + std::to_string(::getpid());
    settings.runtime_folder = ::testing::TempDir();
    settings.cores = {0};
    settings.huge_pages = io::HugePages::kOff;
    auto started = io::start_eal(settings);
    SLUICE_CHECK(started.ok());
    auto made = io::make_pool("frames", 4095, 1500, SOCKET_ID_ANY);  // more than a ring holds
    SLUICE_CHECK(made.ok());
    pool = made.value();
    for (std::size_t side = 0; side < 2; ++side) open_port(side);
    auto rings = Steering::create(kWorkers);
    SLUICE_CHECK(rings.ok());
    steering = std::move(rings).value();
  }
  void open_port(std::size_t side) {
    const std::string name = side == 0 ? "outside" : "inside";
    for (std::size_t queue = 0; queue < kWorkers; ++queue) {
      const std::string suffix = name + std::to_string(queue);
      rx[side][queue] = rte_ring_create(("rx" + suffix).c_str(), kRingFrames, SOCKET_ID_ANY, 0);
      tx[side][queue] = rte_ring_create(("tx" + suffix).c_str(), kRingFrames, SOCKET_ID_ANY, 0);
    }
    const int id =
        rte_eth_from_rings(name.c_str(), rx[side].data(), kWorkers, tx[side].data(), kWorkers, 0);
    SLUICE_CHECK(id >= 0);
    ports[side] = static_cast<std::uint16_t>(id);
    const rte_eth_conf configuration{};
    SLUICE_CHECK(rte_eth_dev_configure(ports[side], kWorkers, kWorkers, &configuration) == 0);
    for (std::uint16_t queue = 0; queue < kWorkers; ++queue) {
      SLUICE_CHECK(rte_eth_rx_queue_setup(ports[side], queue, 64, 0, nullptr, pool) == 0);
      SLUICE_CHECK(rte_eth_tx_queue_setup(ports[side], queue, 64, 0, nullptr) == 0);
    }
    SLUICE_CHECK(rte_eth_dev_start(ports[side]) == 0);
  }
};

class TwoWorkers : public ::testing::Test {
 protected:
  /// reta_size: of ports with symmetric RSS; 0: they have none.
  void start(std::uint16_t reta_size, bool bypass_on_failure = false) {
    link_[0].sides = {WorkerPort{machine_.ports[0], true}, WorkerPort{machine_.ports[1], true}};
    link_[0].reta_size = reta_size;
    link_[0].bypass_on_failure = bypass_on_failure;
    const auto bytes = test::rig_image({}, "", 7);
    image_.resize(bytes.size() + 64);
    const auto aligned =
        (reinterpret_cast<std::uintptr_t>(image_.data()) + 63) & ~std::uintptr_t{63};
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(aligned));
    auto opened = engine::Generation::open(
        {reinterpret_cast<const std::uint8_t*>(aligned), bytes.size()}, kWorkers);
    ASSERT_NE(opened.generation, nullptr) << opened.message;
    generation_ = std::move(opened.generation);
    snapshot_.sequence = 1;
    snapshot_.live = generation_.get();
    shared_->current = &snapshot_;
    for (std::uint16_t i = 0; i < kWorkers; ++i) start_worker(i);
  }
  void TearDown() override {
    for (auto& worker : workers_) worker.reset();
    for (std::size_t side = 0; side < 2; ++side) (void)left(static_cast<Side>(side));
  }
  void start_worker(std::uint16_t index) {
    counters_[index] = std::make_unique<abi::WorkerCounters>();
    WorkerSetup setup;
    setup.index = index;
    setup.worker_count = kWorkers;
    setup.links = link_;
    setup.shared = shared_.get();
    setup.steering = &machine_.steering;
    setup.crafted_pool = machine_.pool;
    setup.counters = counters_[index].get();
    workers_[index] = std::make_unique<Worker>(setup);
    engine::EngineConfig config;
    config.worker = index;
    config.flows_max = config.embryonic_max = 1024;
    config.streams_max = config.transactions_max = config.reply_slots = 64;
    config.retained_bytes = 4u << 20;
    config.held_packets_max = 128;
    config.joined_max = 4;
    config.rules_bytes = 8u << 20;
    engine::EngineEnvironment environment;
    environment.hash_key = &key_;
    environment.counters = counters_[index].get();
    environment.start_time = base::monotonic_now();
    ASSERT_TRUE(workers_[index]->open_engine(config, environment).ok());
  }

  /// Puts a frame into a receive queue and lets both workers come to rest. pieces: buffers.
  void arrive(Side side, std::size_t queue, const Frame& frame, std::size_t pieces = 1) {
    rte_mbuf* first = nullptr;
    for (std::size_t i = 0, at = 0; i < pieces; ++i) {
      const std::size_t bytes = i + 1 == pieces ? frame.size() - at : frame.size() / pieces;
      rte_mbuf* part = rte_pktmbuf_alloc(machine_.pool);
      ASSERT_NE(part, nullptr);
      std::copy_n(frame.data() + at, bytes,
                  rte_pktmbuf_append(part, static_cast<std::uint16_t>(bytes)));
      at += bytes;
      if (first == nullptr) {
        first = part;
      } else {
        ASSERT_EQ(rte_pktmbuf_chain(first, part), 0);
      }
    }
    ASSERT_EQ(rte_ring_enqueue(machine_.rx[static_cast<std::size_t>(side)][queue], first), 0);
    settle();
  }
  void settle() {
    for (int round = 0; round < 4; ++round) {
      for (std::size_t i = 0; i < kWorkers; ++i) {
        if (i != held_) (void)workers_[i]->poll_once();
      }
    }
  }
  /// Frames that have left by one side, of all queues.
  std::vector<Frame> left(Side side) {
    std::vector<Frame> frames;
    for (rte_ring* ring : machine_.tx[static_cast<std::size_t>(side)]) {
      void* taken = nullptr;
      while (rte_ring_dequeue(ring, &taken) == 0) {
        auto* frame = static_cast<rte_mbuf*>(taken);
        const auto* data = rte_pktmbuf_mtod(frame, const std::uint8_t*);
        frames.emplace_back(data, data + frame->pkt_len);
        rte_pktmbuf_free(frame);
      }
    }
    return frames;
  }
  [[nodiscard]] std::uint64_t count(std::size_t worker, abi::CounterId id) const {
    return counters_[worker]->values[static_cast<std::size_t>(id)].get();
  }
  [[nodiscard]] std::uint64_t dropped(std::size_t worker, abi::Reason reason) const {
    return counters_[worker]->drops[static_cast<std::size_t>(reason)].get();
  }

  static PacketBuilder of_client(unsigned port, std::uint32_t offset, unsigned flags) {
    PacketBuilder packet;
    packet.from("192.0.2.1", port).to("198.51.100.2", 80);
    return packet.tcp(kClientIsn + offset, (flags & net::kAck) != 0 ? kServerIsn + 1 : 0, flags);
  }
  static PacketBuilder of_server(unsigned port, std::uint32_t acknowledged, unsigned flags) {
    PacketBuilder packet;
    packet.from("198.51.100.2", 80).to("192.0.2.1", port);
    return packet.tcp(kServerIsn + ((flags & net::kSyn) != 0 ? 0 : 1), kClientIsn + acknowledged,
                      flags);
  }
  /// A handshake and a request; directions come by the queues given. Frames that arrived: 4.
  void converse(unsigned port, const std::string& request, std::size_t client_queue,
                std::size_t server_queue) {
    arrive(Side::kOutside, client_queue, of_client(port, 0, net::kSyn).build());
    arrive(Side::kInside, server_queue, of_server(port, 1, net::kSyn | net::kAck).build());
    arrive(Side::kOutside, client_queue, of_client(port, 1, net::kAck).build());
    arrive(Side::kOutside, client_queue,
           of_client(port, 1, net::kPsh | net::kAck).data(request).build());
  }

  Machine& machine_ = Machine::get();
  std::unique_ptr<SharedState> shared_ = std::make_unique<SharedState>();
  std::array<WorkerLink, 1> link_{};
  base::HashKey key_{};
  std::vector<std::uint8_t> image_;
  std::unique_ptr<engine::Generation> generation_;
  Snapshot snapshot_;
  std::array<std::unique_ptr<abi::WorkerCounters>, kWorkers> counters_;
  std::array<std::unique_ptr<Worker>, kWorkers> workers_;
  std::size_t held_ = kWorkers;  ///< this worker does not poll
};

TEST_F(TwoWorkers, BothDirectionsMeetWhicheverQueuesTheyComeBy) {
  for (const std::uint16_t reta_size : {kRetaSize, std::uint16_t{0}}) {
    start(reta_size);
    std::uint64_t flows = 0;
    for (unsigned port = 40000; port < 40016; ++port, ++flows) {
      converse(port, test::kGood, port & 1, port >> 1 & 1);
    }
    EXPECT_EQ(left(Side::kInside).size(), 3 * flows);
    EXPECT_EQ(left(Side::kOutside).size(), flows);
    EXPECT_EQ(count(0, abi::CounterId::kFlowsCreated) + count(1, abi::CounterId::kFlowsCreated),
              flows);
    EXPECT_GT(count(0, abi::CounterId::kFlowsCreated), 0U);
    EXPECT_GT(count(1, abi::CounterId::kFlowsCreated), 0U);
    converse(41000, test::kBad, 0, 1);
    for (const Frame& sent : left(Side::kInside)) {
      EXPECT_EQ(std::string(sent.begin(), sent.end()).find("attack"), std::string::npos);
    }
    EXPECT_EQ(count(0, abi::CounterId::kReplies) + count(1, abi::CounterId::kReplies), 1U);
    TearDown();
  }
}

TEST_F(TwoWorkers, WhatRssGaveToTheWrongWorkerIsCountedAsMisdirected) {
  start(kRetaSize);
  std::array<std::uint8_t, 40> card_key;
  for (std::size_t i = 0; i < card_key.size(); ++i) card_key[i] = i % 2 == 0 ? 0x6d : 0x5a;
  for (unsigned port = 40000; port < 40016; ++port) {
    // The queue that a card names: DPDK's own Toeplitz, and the table that open_port() writes.
    std::uint32_t tuple[3] = {0xc0000201, 0xc6336402, port << 16 | 80};
    const std::size_t owner = rte_softrss(tuple, 3, card_key.data()) % kRetaSize % kWorkers;
    const std::uint64_t before[] = {count(0, abi::CounterId::kMisdirected),
                                    count(1, abi::CounterId::kMisdirected)};
    converse(port, test::kGood, owner, 1 - owner);  // of 4 frames the server's one
    EXPECT_EQ(count(owner, abi::CounterId::kMisdirected), before[owner]);
    EXPECT_EQ(count(1 - owner, abi::CounterId::kMisdirected), before[1 - owner] + 1);
  }
  EXPECT_EQ(count(0, abi::CounterId::kSteeredOut), count(0, abi::CounterId::kMisdirected));
  EXPECT_EQ(count(0, abi::CounterId::kSteeredIn), count(1, abi::CounterId::kMisdirected));
}

TEST_F(TwoWorkers, WithoutRssSteeringIsNoMisdirection) {
  start(0);
  for (unsigned port = 40000; port < 40016; ++port) converse(port, test::kGood, 0, 1);
  EXPECT_GT(count(0, abi::CounterId::kSteeredOut), 0U);
  EXPECT_GT(count(1, abi::CounterId::kSteeredOut), 0U);
  EXPECT_EQ(count(0, abi::CounterId::kMisdirected) + count(1, abi::CounterId::kMisdirected), 0U);
}

TEST_F(TwoWorkers, AFrameOfSeveralBuffersIsJudgedWholeAndLeavesAsItCame) {
  start(0);
  const Frame frame = of_client(40000, 1, net::kPsh | net::kAck).data(test::kGood).build();
  arrive(Side::kOutside, 0, of_client(40000, 0, net::kSyn).build());
  arrive(Side::kInside, 0, of_server(40000, 1, net::kSyn | net::kAck).build());
  arrive(Side::kOutside, 0, of_client(40000, 1, net::kAck).build());
  (void)left(Side::kInside);
  arrive(Side::kOutside, 0, frame, 3);
  const auto frames = left(Side::kInside);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0], frame);
  // The attack lies across two buffers.
  const auto bad =
      of_client(40000, 1 + static_cast<std::uint32_t>(test::kGood.size()), net::kPsh | net::kAck)
          .data(test::kBad);
  arrive(Side::kOutside, 0, bad.build(), 5);
  for (const Frame& sent : left(Side::kInside)) {
    EXPECT_EQ(std::string(sent.begin(), sent.end()).find("attack"), std::string::npos);
  }
}

/// Whoever holds a buffer too (a mirror, a port that lends its memory) may change it between the
/// verdict and the transmission.
TEST_F(TwoWorkers, TD16_BytesThatSomebodyElseHoldsTooAreJudgedAndLeaveAsACopy) {
  const Frame frame = of_client(40000, 1, net::kPsh | net::kAck).data(test::kGood).build();
  for (const bool attached : {false, true}) {
    SCOPED_TRACE(attached);
    start(0);
    arrive(Side::kOutside, 0, of_client(40000, 0, net::kSyn).build());
    arrive(Side::kInside, 0, of_server(40000, 1, net::kSyn | net::kAck).build());
    arrive(Side::kOutside, 0, of_client(40000, 1, net::kAck).build());
    (void)left(Side::kInside);
    rte_mbuf* theirs = rte_pktmbuf_alloc(machine_.pool);
    ASSERT_NE(theirs, nullptr);
    std::copy(frame.begin(), frame.end(),
              rte_pktmbuf_append(theirs, static_cast<std::uint16_t>(frame.size())));
    rte_mbuf* arriving = theirs;
    if (attached) {
      arriving = rte_pktmbuf_clone(theirs, machine_.pool);
      ASSERT_NE(arriving, nullptr);
    } else {
      rte_mbuf_refcnt_update(theirs, 1);
    }
    ASSERT_EQ(rte_ring_enqueue(machine_.rx[0][0], arriving), 0);
    settle();
    const std::string bad = "/evil";
    std::copy(bad.begin(), bad.end(),
              rte_pktmbuf_mtod_offset(theirs, char*, frame.size() - test::kGood.size() + 4));
    const auto frames = left(Side::kInside);
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0], frame);
    EXPECT_EQ(rte_mbuf_refcnt_read(theirs), 1) << "the worker has given its reference back";
    rte_pktmbuf_free(theirs);
    TearDown();
  }
}

TEST_F(TwoWorkers, AFlowOfAStalledWorkerGetsWhatOnFailureSaysAndItsOwnQueueWaits) {
  for (const bool bypass : {false, true}) {
    start(0, bypass);
    for (std::size_t i = 0; i < kWorkers; ++i) (void)workers_[i]->poll_once();
    held_ = 1;
    shared_->workers[1].stalled = true;
    const Frame frames[] = {
        of_client(40000, 1, net::kAck).build(), of_client(40001, 1, net::kAck).build(),
        of_client(40002, 1, net::kAck).build(), of_client(40003, 1, net::kAck).build()};
    for (const Frame& frame : frames) arrive(Side::kOutside, 0, frame);
    const std::uint64_t of_stalled =
        bypass ? count(0, abi::CounterId::kUninspected) : dropped(0, abi::Reason::kWorkerStalled);
    EXPECT_EQ(of_stalled + dropped(0, abi::Reason::kTcpNoFlow), 4U);
    EXPECT_GT(of_stalled, 0U);
    EXPECT_EQ(count(0, abi::CounterId::kSteeredOut), 0U);
    std::size_t passed = 0;
    for (const Frame& frame : left(Side::kInside)) {
      for (const Frame& sent : frames) passed += frame == sent ? 1U : 0U;
    }
    EXPECT_EQ(passed, bypass ? of_stalled : 0U);
    // What the device gave to the stalled worker waits, and is judged once that goes on.
    for (const Frame& frame : frames) arrive(Side::kOutside, 1, frame);
    EXPECT_TRUE(left(Side::kInside).empty());
    held_ = kWorkers;
    shared_->workers[1].stalled = false;
    settle();
    EXPECT_EQ(count(1, abi::CounterId::kRxPackets), 4U);
    EXPECT_EQ(dropped(0, abi::Reason::kTcpNoFlow) + dropped(1, abi::Reason::kTcpNoFlow),
              8U - of_stalled);
    TearDown();
  }
}

/// Never forwarded for want of room, whatever on_failure says: the worker is slow, not gone.
TEST_F(TwoWorkers, OP10_WhatIsTooMuchForAWorkerIsDroppedAndNothingPasses) {
  for (const bool bypass : {false, true}) {
    start(0, bypass);
    held_ = 1;
    unsigned port = 40000;
    while (count(0, abi::CounterId::kSteeredOut) == 0) {
      arrive(Side::kOutside, 0, of_client(++port, 1, net::kAck).build());
    }
    for (std::size_t i = 0; i < 2; ++i) (void)left(static_cast<Side>(i));
    const Frame frame = of_client(port, 1, net::kAck).build();
    constexpr std::size_t kTooMany = kSteerRingFrames + 100;
    for (std::size_t i = 0; i < kTooMany; ++i) arrive(Side::kOutside, 0, frame);
    const std::uint64_t waiting = count(0, abi::CounterId::kSteeredOut);
    EXPECT_GE(dropped(0, abi::Reason::kSteerFull), 100U);
    EXPECT_EQ(dropped(0, abi::Reason::kSteerFull) + waiting, kTooMany + 1);
    EXPECT_EQ(count(0, abi::CounterId::kUninspected), 0U);
    EXPECT_TRUE(left(Side::kInside).empty());
    held_ = kWorkers;
    for (std::size_t i = 0; i < kTooMany && dropped(1, abi::Reason::kTcpNoFlow) < waiting; ++i) {
      settle();
    }
    EXPECT_EQ(dropped(1, abi::Reason::kTcpNoFlow), waiting);
    TearDown();
  }
}

}  // namespace
}  // namespace sluice::worker
