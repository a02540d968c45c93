// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/engine_settings.h"

#include <algorithm>

#include "dataplane/worker/links.h"

namespace sluice::worker {
namespace {

engine::EventOptions event_options(const config::Events& events) {
  engine::EventOptions options;
  options.http_records = events.http_records != config::HttpRecords::kNone;
  options.sample = events.http_records == config::HttpRecords::kSampled ? events.sample : 1;
  options.body_digest = events.body_digest;
  // config has checked their number and lengths.
  for (const std::string& name : events.request_headers) (void)options.request_headers.add(name);
  for (const std::string& name : events.mask) (void)options.mask.add(name);
  return options;
}

}  // namespace

engine::EngineConfig engine_config(const config::Settings& settings, std::uint16_t worker) {
  const std::size_t workers = settings.cores.size();
  const std::size_t flows = workers == 1
                                ? settings.flows_max
                                : settings.flows_max / workers + settings.flows_max / workers / 4;
  engine::EngineConfig config;
  config.worker = worker;
  config.flows_max = flows;
  config.embryonic_max = std::clamp<std::size_t>(flows / 4, 4096, 262'144);
  config.streams_max = std::clamp<std::size_t>(flows / 4, 4096, 262'144);
  config.transactions_max = std::clamp<std::size_t>(flows / 16, 1024, 65'536);
  config.reply_slots = std::clamp<std::size_t>(flows / 64, 256, 8192);
  config.retained_bytes = std::clamp<std::size_t>(flows * 1024, 16u << 20, 1u << 30);
  config.held_packets_max = std::min<std::size_t>(held_frames_max(settings), 65'536);
  config.events = event_options(settings.events);
  config.slice_ns = abi::kSliceNs;
  for (std::size_t i = 0; i < settings.links.size(); ++i) {
    config.block_on_failure[i] = settings.links[i].on_failure == config::OnFailure::kBlock;
  }
  return config;
}

}  // namespace sluice::worker
