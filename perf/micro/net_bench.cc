// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "dataplane/net/checksum.h"
#include "dataplane/net/craft.h"
#include "dataplane/net/fragments.h"
#include "dataplane/net/packet.h"
#include "tests/support/packet_builder.h"

namespace sluice::net {
namespace {

using test::Frame;
using test::PacketBuilder;

PacketBuilder segment(bool v4, std::size_t payload_bytes) {
  PacketBuilder builder;
  if (!v4) builder.from("2001:db8::1", 40000).to("2001:db8::2", 80);
  builder.timestamps(1, 2);
  builder.payload = Frame(payload_bytes, 'x');
  return builder;
}

void run_parse(benchmark::State& state, const PacketBuilder& builder) {
  const Frame frame = builder.build();
  ParsedPacket packet;
  for (auto _ : state) {
    parse(frame, {}, packet);
    benchmark::DoNotOptimize(packet);
  }
  state.SetItemsProcessed(state.iterations());
}

void BM_Packet_parse_ipv4(benchmark::State& state) { run_parse(state, segment(true, 512)); }
BENCHMARK(BM_Packet_parse_ipv4);
void BM_Packet_parse_ipv6(benchmark::State& state) { run_parse(state, segment(false, 512)); }
BENCHMARK(BM_Packet_parse_ipv6);
void BM_Packet_parse_two_tags(benchmark::State& state) {
  PacketBuilder builder = segment(true, 512);
  builder.tags = {{0x88a8, 5}, {0x8100, 6}};
  run_parse(state, builder);
}
BENCHMARK(BM_Packet_parse_two_tags);
void BM_Packet_parse_syn(benchmark::State& state) {
  PacketBuilder builder = segment(true, 0);
  builder.flags = kSyn;
  builder.options = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 1, 3, 3, 7};
  run_parse(state, builder);
}
BENCHMARK(BM_Packet_parse_syn);
void BM_Packet_parse_eight_extensions(benchmark::State& state) {
  PacketBuilder builder = segment(false, 0);
  builder.next_header = 60;
  for (int i = 0; i < 8; ++i) {
    test::append(builder.extension,
                 {static_cast<std::uint8_t>(i < 7 ? 60 : 6), 0, 1, 4, 0, 0, 0, 0});
  }
  run_parse(state, builder);
}
BENCHMARK(BM_Packet_parse_eight_extensions);

void BM_Packet_classify(benchmark::State& state) {
  const Frame frame = segment(true, static_cast<std::size_t>(state.range(0))).build();
  ParsedPacket packet;
  parse(frame, {}, packet);
  for (auto _ : state) benchmark::DoNotOptimize(classify(packet, {.to_service = true}));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Packet_classify)->Arg(64)->Arg(512)->Arg(1448);

void BM_Checksum_add(benchmark::State& state) {
  const Frame data(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(checksum_of(data));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Checksum_add)->Arg(20)->Arg(64)->Arg(1500)->Arg(9000);

void BM_Segment_craft(benchmark::State& state) {
  const Frame frame = segment(true, 1).build();
  ParsedPacket packet;
  parse(frame, {}, packet);
  const SegmentTemplate direction = reversed(template_of(packet));
  SegmentFields fields;
  const Frame payload(static_cast<std::size_t>(state.range(0)), 'x');
  fields.payload = payload;
  fields.timestamp = true;
  std::vector<std::uint8_t> buffer(2048);
  for (auto _ : state) benchmark::DoNotOptimize(craft_segment(buffer, direction, fields));
}
BENCHMARK(BM_Segment_craft)->Arg(0)->Arg(400);

void BM_FragmentTable_two_pieces(benchmark::State& state) {
  const FragmentLimits limits;
  const std::size_t bytes = FragmentTable::memory_bytes(limits);
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> memory(
      static_cast<std::uint8_t*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), &std::free);
  base::HashKey key;
  base::seeded_hash_key(key, 1);
  FragmentTable table({memory.get(), bytes}, key, limits);
  const PacketBuilder whole = segment(true, 1400);
  const Frame transport = whole.transport_bytes();
  PacketBuilder part = whole;
  part.fragment_field = 0x2000;
  part.raw(Frame(transport.begin(), transport.begin() + 800), 6);
  const Frame first_frame = part.build();
  part.fragment_field = 100;
  part.raw(Frame(transport.begin() + 800, transport.end()), 6);
  const Frame second_frame = part.build();
  ParsedPacket first, second;
  parse(first_frame, {}, first);
  parse(second_frame, {}, second);
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.add(first, PacketRef{1}, 0));
    benchmark::DoNotOptimize(table.add(second, PacketRef{2}, 0));
  }
}
BENCHMARK(BM_FragmentTable_two_pieces);

}  // namespace
}  // namespace sluice::net

BENCHMARK_MAIN();
