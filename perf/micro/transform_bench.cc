// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// Nanoseconds of one transformation over one value: honest values that pass through, honest values
// that change a little, and values made of nothing but what the transformation looks for.

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <vector>

#include "dataplane/rules/byte_class.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {
namespace {

using abi::TransformId;

std::string repeat(std::string_view unit, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  text.resize(bytes);
  return text;
}

void run(benchmark::State& state, TransformId id, const std::string& text) {
  std::vector<std::uint8_t> memory(1 << 20);
  base::Arena arena{memory};
  const base::Bytes value = base::as_bytes(text);
  for (auto _ : state) {
    arena.reset();
    benchmark::DoNotOptimize(apply_transform(id, value, nullptr, arena));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}

struct Case {
  const char* name;
  std::string_view unit;
};
constexpr Case kCases[] = {
    {"plain", "the_quick-brown-fox=jumps:over"},
    {"text", "Honest text, with some Words; and a few signs (as people write). "},
    {"escapes", "%3cscript%3E&lt;\\x41\\61 /*c*/ "},
};

void BM_class_bitmap(benchmark::State& state) {
  const std::string text = repeat(kCases[1].unit, static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(class_bitmap(base::as_bytes(text)));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(BM_class_bitmap)->Arg(8)->Arg(16)->Arg(24)->Arg(32)->Arg(64)->Arg(256)->Arg(4096);

void register_all() {
  for (std::size_t i = 1; i < abi::kTransformCount; ++i) {
    const auto id = static_cast<TransformId>(i);
    for (const Case& one : kCases) {
      for (const std::size_t bytes : {32u, 1024u}) {
        const std::string name = "BM_" + std::string(abi::transform_name(id)) + "_" + one.name +
                                 "/" + std::to_string(bytes);
        const std::string text = repeat(one.unit, bytes);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [id, text](benchmark::State& state) { run(state, id, text); });
      }
    }
  }
}

}  // namespace
}  // namespace sluice::rules

int main(int argc, char** argv) {
  sluice::rules::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
