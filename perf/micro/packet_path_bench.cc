// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/engine/engine.h"
#include "dataplane/engine/generation.h"
#include "tests/support/packet_builder.h"
#include "tests/unit/engine/engine_rig.h"
#include "tests/unit/engine/rig_image.h"

/// The whole engine on frames from memory, without ports: parse, flow look-up, stream, HTTP and one
/// cheap rule. What it costs less the rules is what every request pays.
namespace sluice {
namespace {

using engine::Packet;
using engine::Side;
using test::Frame;
using test::PacketBuilder;

constexpr std::size_t kFrameRoom = 2048;
constexpr std::uint32_t kClientIsn = 1000, kServerIsn = 5000;

const std::string kRequest =
    "GET /index.html HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\n"
    "Accept: */*\r\n\r\n";

std::string response_of(std::size_t body) {
  return "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/octet-stream\r\n"
         "Content-Length: " +
         std::to_string(body) + "\r\n\r\n" + std::string(body, 'x');
}

/// An engine with a generation, fed with bursts of frames made from templates.
class Path {
 public:
  explicit Path(std::size_t flows) {
    base::seeded_hash_key(hash_key_, 1);
    test::RigOptions options;
    options.rules = "SecRule REQUEST_METHOD \"@streq TRACE\" \"id:1,phase:1,deny\"";
    const std::vector<std::uint8_t> image = test::rig_image(options, options.rules, 1);
    image_ = static_cast<std::uint8_t*>(std::aligned_alloc(64, (image.size() + 63) / 64 * 64));
    std::memcpy(image_, image.data(), image.size());
    generation_ = engine::Generation::open({image_, image.size()}, 1).generation;
    engine::EngineConfig config;
    config.flows_max = flows * 2;
    config.retained_bytes = flows * 8192;  // a response for each until the next request
    config.events.http_records = false;
    engine::EngineEnvironment environment;
    environment.port.frame = [](void*, net::PacketRef) { return base::MutableBytes(); };
    environment.port.transmit = [](void*, net::PacketRef, std::size_t, std::uint16_t, Side) {};
    environment.port.free = [](void*, net::PacketRef) {};
    environment.port.allocate = [](void*, std::size_t, base::MutableBytes&) {
      return net::PacketRef{};
    };
    environment.hash_key = &hash_key_;
    environment.counters = &counters_;
    environment.event_id_seed = 1;
    environment.rules_hash_seed = 1;
    environment.start_time = now_;
    engine_ = std::move(engine::Engine::create(config, environment)).value();
    switches_.version = 1;
    engine_->observe(generation_.get(), nullptr, switches_);
    for (std::size_t i = 0; i < frames_.size(); ++i) frames_[i].resize(kFrameRoom);
  }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;
  ~Path() {
    engine_.reset();
    generation_.reset();
    std::free(image_);
  }

  /// A copy of `like` in the next place of the burst, as connection `number` would send it.
  void add(Side side, const Frame& like, std::uint32_t number, std::uint32_t sequence,
           std::uint32_t acknowledgment) {
    Frame& frame = frames_[count_];
    std::memcpy(frame.data(), like.data(), like.size());
    const bool to_server = side == Side::kOutside;
    store(&frame[to_server ? 26 : 30], 0x0a000000 + number);
    frame[to_server ? 34 : 36] = static_cast<std::uint8_t>(0x40 | (number >> 8 & 63));
    frame[to_server ? 35 : 37] = static_cast<std::uint8_t>(number);
    store(&frame[38], sequence);
    store(&frame[42], acknowledgment);
    Packet& packet = burst_[count_++];
    packet.ref = {count_};
    packet.frame = {frame.data(), like.size()};
    packet.checks = {true, true};
    packet.side = side;
    if (count_ == abi::kBurstMax) run();
  }

  /// What the poll loop does with a burst. Its time is added up.
  void run() {
    const auto begun = std::chrono::steady_clock::now();
    engine_->observe(generation_.get(), nullptr, switches_);
    for (std::size_t i = 0; i < count_; ++i) engine_->parse(burst_[i]);
    engine_->process({burst_.data(), count_}, now_, now_);
    engine_->poll(now_, now_);
    taken_ += std::chrono::steady_clock::now() - begun;
    for (std::size_t i = 0; i < count_; ++i) {
      forwarded_ += burst_[i].fate == engine::Fate::kForward ? 1U : 0U;
    }
    now_ += 10'000;
    count_ = 0;
  }

  /// Seconds since the last call.
  double take_seconds() {
    const double seconds = std::chrono::duration<double>(taken_).count();
    taken_ = {};
    return seconds;
  }
  [[nodiscard]] std::uint64_t forwarded() const { return forwarded_; }
  [[nodiscard]] std::uint64_t requests() const {
    return counters_.values[static_cast<std::size_t>(abi::CounterId::kRequests)].get();
  }

 private:
  static void store(std::uint8_t* at, std::uint32_t number) {
    const std::uint32_t network = __builtin_bswap32(number);
    std::memcpy(at, &network, sizeof network);
  }

  base::HashKey hash_key_{};
  std::uint8_t* image_ = nullptr;
  std::unique_ptr<engine::Generation> generation_;
  abi::WorkerCounters counters_{};
  std::unique_ptr<engine::Engine> engine_;
  engine::Switches switches_;
  base::Nanos now_ = 1'000'000'000'000;
  std::array<Frame, abi::kBurstMax> frames_;
  std::array<Packet, abi::kBurstMax> burst_;
  std::size_t count_ = 0;
  std::chrono::steady_clock::duration taken_{};
  std::uint64_t forwarded_ = 0;
};

Frame segment(Side side, unsigned flags, const std::string& data, bool syn = false) {
  PacketBuilder builder;
  if (side == Side::kInside) builder.from("198.51.100.2", 80).to("192.0.2.1", 40000);
  if (syn) builder.options = {2, 4, 5, 180};
  return builder.tcp(0, 0, flags).data(data).build();
}

/// The frames of a connection, whatever its numbers.
struct Script {
  Frame syn = segment(Side::kOutside, 0x02, "", true);
  Frame syn_ack = segment(Side::kInside, 0x12, "", true);
  Frame client_ack = segment(Side::kOutside, 0x10, "");
  Frame request = segment(Side::kOutside, 0x18, kRequest);
  Frame response;
  Frame client_fin = segment(Side::kOutside, 0x11, "");
  Frame server_fin = segment(Side::kInside, 0x11, "");
  std::uint32_t response_bytes;

  explicit Script(std::size_t body) {
    const std::string text = response_of(body);
    response = segment(Side::kInside, 0x18, text);
    response_bytes = static_cast<std::uint32_t>(text.size());
  }
};

/// A burst of handshakes at a time: more half-open ones share buckets, and the oldest goes.
void open_connections(Path& path, const Script& script, std::uint32_t first, std::uint32_t count) {
  constexpr auto kTogether = static_cast<std::uint32_t>(abi::kBurstMax);
  for (std::uint32_t start = first; start < first + count; start += kTogether) {
    const std::uint32_t end = std::min(start + kTogether, first + count);
    for (std::uint32_t i = start; i < end; ++i) {
      path.add(Side::kOutside, script.syn, i, kClientIsn, 0);
    }
    for (std::uint32_t i = start; i < end; ++i) {
      path.add(Side::kInside, script.syn_ack, i, kServerIsn, kClientIsn + 1);
    }
    for (std::uint32_t i = start; i < end; ++i) {
      path.add(Side::kOutside, script.client_ack, i, kClientIsn + 1, kServerIsn + 1);
    }
  }
}

/// A request and its response on each of `count` connections, from these numbers on.
void exchange(Path& path, const Script& script, std::uint32_t first, std::uint32_t count,
              std::uint32_t client, std::uint32_t server) {
  for (std::uint32_t i = first; i < first + count; ++i) {
    path.add(Side::kOutside, script.request, i, client, server);
  }
  client += static_cast<std::uint32_t>(kRequest.size());
  for (std::uint32_t i = first; i < first + count; ++i) {
    path.add(Side::kInside, script.response, i, server, client);
  }
}

/// Seconds for each of `count`.
benchmark::Counter per(std::uint64_t count) {
  return {static_cast<double>(count), benchmark::Counter::kIsRate | benchmark::Counter::kInvert};
}

/// One GET with a response of 1 kB on each of range(0) open connections in turn, a burst of
/// requests and a burst of responses; the next request acknowledges it. Two packets a request.
void BM_Path_request(benchmark::State& state) {
  const auto connections = static_cast<std::uint32_t>(state.range(0));
  Path path(connections);
  const Script script(1024);
  open_connections(path, script, 0, connections);
  (void)path.take_seconds();
  std::uint32_t client = kClientIsn + 1, server = kServerIsn + 1;
  const std::uint64_t before = path.forwarded();
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < connections; i += abi::kBurstMax) {
      exchange(path, script, i, abi::kBurstMax, client, server);
    }
    client += static_cast<std::uint32_t>(kRequest.size());
    server += script.response_bytes;
    state.SetIterationTime(path.take_seconds());
  }
  const auto requests = static_cast<std::uint64_t>(state.iterations()) * connections;
  state.counters["request"] = per(requests);
  if (path.forwarded() - before != 2 * requests) state.SkipWithError("packets were lost");
}
BENCHMARK(BM_Path_request)->Arg(64)->Arg(1024)->Arg(16384)->UseManualTime();

/// A connection with range(0) requests: handshake, requests, FIN of both ends; a burst of them at a
/// time, each from an address of its own.
void BM_Path_connection(benchmark::State& state) {
  constexpr auto kTogether = static_cast<std::uint32_t>(abi::kBurstMax);
  const auto requests = static_cast<std::uint32_t>(state.range(0));
  Path path(4096);
  const Script script(1024);
  std::uint32_t first = 0;
  for (auto _ : state) {
    open_connections(path, script, first, kTogether);
    std::uint32_t client = kClientIsn + 1, server = kServerIsn + 1;
    for (std::uint32_t round = 0; round < requests; ++round) {
      exchange(path, script, first, kTogether, client, server);
      client += static_cast<std::uint32_t>(kRequest.size());
      server += script.response_bytes;
    }
    for (std::uint32_t i = 0; i < kTogether; ++i) {
      path.add(Side::kOutside, script.client_fin, first + i, client, server);
    }
    for (std::uint32_t i = 0; i < kTogether; ++i) {
      path.add(Side::kInside, script.server_fin, first + i, server, client + 1);
    }
    for (std::uint32_t i = 0; i < kTogether; ++i) {
      path.add(Side::kOutside, script.client_ack, first + i, client + 1, server + 1);
    }
    first += kTogether;
    state.SetIterationTime(path.take_seconds());
  }
  state.counters["connection"] = per(first);
  if (path.requests() != std::uint64_t{first} * requests) {
    state.SkipWithError("requests were lost");
  }
}
BENCHMARK(BM_Path_connection)->Arg(1)->Arg(10)->UseManualTime();

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
