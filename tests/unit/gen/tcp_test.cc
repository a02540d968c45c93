// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_mempool.h>

#include <deque>
#include <random>

#include "perf/gen/client.h"
#include "perf/gen/server.h"

namespace sluice::gen {
namespace {

using Frame = std::vector<std::uint8_t>;

rte_mempool* pool() {
  static rte_mempool* const kPool = [] {
    std::vector<std::string> words{
        "gen_test", "--no-huge", "--no-shconf", "--no-pci",       "-m",
        "256",      "--lcores",  "0@0",         "--no-telemetry", "--log-level=lib.eal:4"};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) return (rte_mempool*)nullptr;
    return rte_pktmbuf_pool_create("test", 40'000, 256, 0, 2048 + RTE_PKTMBUF_HEADROOM, -1);
  }();
  return kPool;
}

Script make_script(const char* objects, double attack_share, std::uint32_t mss) {
  auto honest = parse_requests(
      "GET /{{number}} HTTP/1.1\nHost: a\n\n### large\nPOST / HTTP/1.1\n"
      "Content-Length: {{length}}\n\n{{number}}" +
          std::string(4000, 'y'),
      "honest");
  auto attacks = parse_requests("GET /attack?{{number}} HTTP/1.1\n\n", "attacks");
  return Script(std::move(honest).value(), std::move(attacks).value(), attack_share,
                std::move(make_objects(objects, mss)).value());
}

/// Client, server and a link between them that may lose, repeat or swap frames.
struct Bench {
  explicit Bench(const char* objects, std::uint32_t connections = 64, double attack_share = 0,
                 std::uint32_t keepalive = 5)
      : script(make_script(objects, attack_share, segment_payload(1500))),
        to_server(kNoPort, pool()),
        to_client(kNoPort, pool()) {
    plan.connections = connections;
    plan.clients = 16;
    EXPECT_TRUE(plan.settle());
    Client::Options options;
    options.keepalive = keepalive;
    options.closed_loop = true;
    client.emplace(script, plan, options, to_server);
    server.emplace(script, plan, Server::Options{}, to_client);
  }

  /// Moves everything sent by one side into the other. `tamper` may change or drop a frame.
  template <typename Tamper>
  bool carry(Transmitter& from, bool to_the_server, Tamper tamper) {
    std::deque<Frame> frames;
    while (rte_mbuf* mbuf = from.take()) {
      const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
      Frame frame(data, data + mbuf->data_len);
      rte_pktmbuf_free(mbuf);
      if (!tamper(frame, to_the_server)) continue;
      frames.push_back(std::move(frame));
      const auto draw = random() % 1000;
      if (draw < repeat_per_mille) frames.push_back(frames.back());
      if (draw >= 1000 - swap_per_mille && frames.size() > 1) {
        std::swap(frames[frames.size() - 1], frames[frames.size() - 2]);
      }
    }
    for (const Frame& frame : frames) {
      const base::Bytes bytes(frame);
      to_the_server ? server->receive({&bytes, 1}, now) : client->receive({&bytes, 1}, now);
    }
    return !frames.empty();
  }
  template <typename Tamper>
  void run(base::Nanos duration, Tamper tamper) {
    const base::Nanos end = now + duration;
    client->set_measuring(true);
    while (now < end) {
      client->keep_busy(plan.connections, now);
      step(tamper);
    }
    const base::Nanos limit = now + 30 * base::kNanosPerSecond;
    while (!client->drain(now) && now < limit) step(tamper);
  }
  template <typename Tamper>
  void step(Tamper tamper) {
    now += 200'000;
    carry(to_server, true, tamper);
    carry(to_client, false, tamper);
    client->tick(now);
    server->tick(now);
  }
  bool lose() { return random() % 1000 < lose_per_mille; }

  Script script;
  AddressPlan plan;
  Transmitter to_server, to_client;
  std::optional<Client> client;
  std::optional<Server> server;
  base::Nanos now = base::kNanosPerMilli;
  std::mt19937 random{1};
  unsigned lose_per_mille = 0, repeat_per_mille = 0, swap_per_mille = 0;
};

std::uint64_t all(const ClientStats::Outcomes& outcomes) {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : outcomes) sum += count;
  return sum;
}

class GeneratorTcp : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(pool(), nullptr); }
};

constexpr auto kUntouched = [](Frame&, bool) { return true; };

TEST_F(GeneratorTcp, AQuietLinkServesEverythingOnce) {
  Bench bench("1k:3,64k:1");
  bench.run(base::kNanosPerSecond / 10, kUntouched);
  const ClientStats& client = bench.client->stats();
  const ServerStats& server = bench.server->stats();
  EXPECT_GT(client.honest[0], 1000U);
  EXPECT_EQ(all(client.honest), client.honest[0]);
  EXPECT_EQ(client.honest[0], server.requests);
  EXPECT_EQ(client.requests, server.requests);
  EXPECT_EQ(client.body_bytes, server.body_bytes);
  EXPECT_EQ(client.retransmitted + server.retransmitted, 0U);
  EXPECT_EQ(client.out_of_order + client.duplicates + client.bad_checksums + client.strays, 0U);
  EXPECT_EQ(client.connections_made, client.connections_closed);
  EXPECT_EQ(client.connections_made, server.connections);
  EXPECT_EQ(client.established, 0U);
  EXPECT_EQ(bench.client->latency().last_byte.count(), client.honest[0]);
}

TEST_F(GeneratorTcp, KeepaliveCountsTransactionsPerConnection) {
  Bench bench("1k", 8, 0, 3);
  bench.run(base::kNanosPerSecond / 10, kUntouched);
  const ClientStats& client = bench.client->stats();
  // The last connections are closed by drain() before their third transaction.
  EXPECT_LE(client.honest[0], 3 * client.connections_made);
  EXPECT_GE(client.honest[0] + 3 * 8, 3 * client.connections_made);
}

TEST_F(GeneratorTcp, LossRepetitionAndReorderingAreRepaired) {
  Bench bench("1k:3,64k:1");
  bench.lose_per_mille = 10;
  bench.repeat_per_mille = 10;
  bench.swap_per_mille = 20;
  bench.run(5 * base::kNanosPerSecond, [&](Frame&, bool) { return !bench.lose(); });
  const ClientStats& client = bench.client->stats();
  EXPECT_GT(client.honest[0], 1000U);
  EXPECT_EQ(all(client.honest), client.honest[0]);
  EXPECT_EQ(client.honest[0], bench.server->stats().requests);
  EXPECT_EQ(bench.server->stats().requests_corrupt, 0U);
  EXPECT_GT(client.retransmitted, 0U);
  EXPECT_GT(bench.server->stats().fast_retransmits, 0U);
  EXPECT_GT(client.out_of_order, 0U);
}

TEST_F(GeneratorTcp, DamagedFramesAreNotTakenAndSentAgain) {
  Bench bench("4k");
  bench.run(base::kNanosPerSecond, [&](Frame& frame, bool) {
    if (bench.random() % 100 == 0) frame.back() ^= 1;
    return true;
  });
  EXPECT_EQ(all(bench.client->stats().honest), bench.client->stats().honest[0]);
  EXPECT_GT(bench.client->stats().bad_checksums, 0U);
  EXPECT_GT(bench.server->stats().bad_checksums, 0U);
}

/// Changes a byte of the payload and puts the checksum right, as a middlebox does.
void rewrite(Frame& frame, std::size_t from_end, std::uint8_t value) {
  std::uint8_t* tcp = frame.data() + kEthernetBytes + kIpBytes;
  frame[frame.size() - from_end] = value;
  base::store_be16(tcp + 16, 0);
  net::ChecksumSum sum =
      pseudo_header(base::load_be32(frame.data() + 26), base::load_be32(frame.data() + 30),
                    frame.size() - kEthernetBytes - kIpBytes);
  net::add_bytes(sum, {tcp, frame.size() - kEthernetBytes - kIpBytes});
  base::store_be16(tcp + 16, sum.checksum());
}

TEST_F(GeneratorTcp, ChangedResponsesAreCorrupt) {
  Bench bench("1k");
  bench.run(base::kNanosPerSecond / 10, [](Frame& frame, bool to_server) {
    if (!to_server && frame.size() > 500) rewrite(frame, 1, 'Z');
    return true;
  });
  EXPECT_EQ(bench.client->stats().honest[0], 0U);
  EXPECT_GT(bench.client->stats().honest[static_cast<int>(Outcome::kCorrupt)], 0U);
}

TEST_F(GeneratorTcp, ChangedRequestsAreCountedAtTheServer) {
  Bench bench("1k");
  bench.run(base::kNanosPerSecond / 10, [](Frame& frame, bool to_server) {
    if (to_server && frame.size() > kHeaderBytes + 10) rewrite(frame, 1, 'Z');
    return true;
  });
  EXPECT_EQ(bench.server->stats().requests, 0U);
  EXPECT_GT(bench.server->stats().requests_corrupt, 0U);
  EXPECT_GT(bench.client->stats().honest[static_cast<int>(Outcome::kReset)], 0U);
}

TEST_F(GeneratorTcp, AttacksThatPassAreSeenOnBothSides) {
  Bench bench("1k", 16, 0.3);
  bench.run(base::kNanosPerSecond / 10, kUntouched);
  const ClientStats& client = bench.client->stats();
  EXPECT_GT(client.attacks[0], 100U);
  EXPECT_EQ(client.attacks[0], bench.server->stats().attacks);
}

/// Stands in for an appliance: swallows attacks and answers 403 in the server's place.
TEST_F(GeneratorTcp, RefusedAttacksAreCountedByStatus) {
  Bench bench("1k", 16, 0.3);
  std::vector<Frame> replies;
  bench.client->set_measuring(true);
  for (int i = 0; i < 400; ++i) {
    bench.client->keep_busy(16, bench.now);
    bench.step([&](Frame& frame, bool to_server) {
      InSegment in;
      if (!to_server || !read_segment(frame, in)) return true;
      const std::string_view text = base::as_text({in.payload, in.payload_bytes});
      if (!text.starts_with("GET /attack")) return true;
      const std::string reply =
          "HTTP/1.1 403 Forbidden\r\nX-Sluice-Event: 1\r\nConnection: close\r\n\r\n";
      const OutSegment out{.source = in.destination,
                           .destination = in.source,
                           .source_port = in.destination_port,
                           .destination_port = in.source_port,
                           .sequence = in.acknowledgment,
                           .acknowledgment = in.sequence + in.payload_bytes,
                           .timestamp = 1,
                           .echo = 1,
                           .window = 100,
                           .mss = 0,
                           .flags = net::kAck | net::kFin};
      net::ChecksumSum sum;
      net::add_bytes(sum, base::as_bytes(reply));
      Frame answer(frame_bytes(false, reply.size()));
      write_segment(answer.data(), kToClient, out, base::as_bytes(reply), sum);
      replies.push_back(answer);
      return false;
    });
    for (const Frame& reply : replies) {
      const base::Bytes bytes(reply);
      bench.client->receive({&bytes, 1}, bench.now);
    }
    replies.clear();
  }
  const ClientStats& client = bench.client->stats();
  const auto refused = client.attacks[static_cast<int>(Outcome::kRefused)];
  EXPECT_GT(refused, 10U);
  EXPECT_EQ(all(client.attacks), refused);
  EXPECT_EQ(client.statuses[403], refused);
  EXPECT_EQ(client.refusals_with_event, refused);
  EXPECT_EQ(bench.server->stats().attacks, 0U);
  EXPECT_EQ(all(client.honest), client.honest[0]);
}

TEST_F(GeneratorTcp, AnUnreachableServerIsATimeout) {
  Bench bench("1k", 4);
  bench.run(8 * base::kNanosPerSecond, [](Frame&, bool to_server) { return !to_server; });
  EXPECT_EQ(bench.client->stats().honest[0], 0U);
  EXPECT_GT(bench.client->stats().honest[static_cast<int>(Outcome::kTimeout)], 0U);
  EXPECT_GT(bench.client->stats().connections_failed, 0U);
}

TEST_F(GeneratorTcp, OpenLoopCountsWaitingFromTheDueTime) {
  Bench bench("1k", 1);
  Client::Options options;
  options.keepalive = 0;
  bench.client.emplace(bench.script, bench.plan, options, bench.to_server);
  bench.client->set_measuring(true);
  // Ten transactions are due at once, and there is one connection: each waits for those before it.
  const base::Nanos due = bench.now;
  int begun = 0;
  while (begun < 10 || bench.client->stats().honest[0] < 10) {
    if (begun < 10 && bench.client->start(due, bench.now)) ++begun;
    bench.step(kUntouched);
    ASSERT_LT(bench.now, base::kNanosPerSecond);
  }
  const Histogram& latency = bench.client->latency().last_byte;
  EXPECT_GE(latency.max(), 10 * 200'000U);
  EXPECT_GE(latency.quantile(0.5), 5 * 200'000U);
}

TEST_F(GeneratorTcp, NoiseIsToldFromTheLoadAtTheServer) {
  Bench bench("1k", 4);
  Noise noise(bench.plan, {.syns_per_second = 10'000, .malformed_per_second = 12'000},
              bench.to_server);
  for (int i = 0; i < 1000; ++i) {
    noise.poll(bench.now);
    bench.step(kUntouched);
  }
  EXPECT_NEAR(static_cast<double>(noise.syns()), 2000, 10);
  EXPECT_EQ(bench.server->stats().flood_syns, noise.syns());
  EXPECT_EQ(bench.server->stats().malformed, noise.malformed());
  EXPECT_GT(noise.malformed()[kMalformations - 1], 0U);
}

/// What the kinds are to the appliance's parser: flags and ports are for the stream to judge, all
/// else is not even a segment. (6 to 9 of kMalformationNames.)
TEST_F(GeneratorTcp, MalformedFramesAreMalformed) {
  Bench bench("1k", 4);
  Noise noise(bench.plan, {.malformed_per_second = 12'000}, bench.to_server);
  noise.poll(base::kNanosPerMilli);
  noise.poll(2 * base::kNanosPerMilli);
  int seen = 0;
  while (rte_mbuf* mbuf = bench.to_server.take()) {
    const base::Bytes frame(rte_pktmbuf_mtod(mbuf, const std::uint8_t*), mbuf->data_len);
    net::ParsedPacket packet;
    net::parse(frame, {}, packet);
    const auto action = net::classify(packet, {.to_service = true});
    EXPECT_NE(action.action, net::Action::kForward) << malformation_of(frame);
    const int kind = malformation_of(frame);
    EXPECT_EQ(action.action == net::Action::kInspect, kind >= 6 && kind <= 9) << kind;
    rte_pktmbuf_free(mbuf);
    ++seen;
  }
  EXPECT_EQ(seen, 12);
}

}  // namespace
}  // namespace sluice::gen
