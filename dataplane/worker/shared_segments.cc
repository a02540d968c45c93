// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/shared_segments.h"

#include <unistd.h>

#include <cstdio>
#include <new>

#include "dataplane/abi/store.h"
#include "dataplane/base/clock.h"

namespace sluice::worker {
namespace {

constexpr std::size_t align(std::size_t at) {
  return (at + abi::kCacheLineBytes - 1) & ~(abi::kCacheLineBytes - 1);
}
constexpr std::size_t ring_bytes(std::size_t capacity) {
  return align(sizeof(abi::RingHeader)) + capacity;
}
constexpr std::size_t kWorkerBytes = align(sizeof(abi::WorkerCounters)) +
                                     ring_bytes(abi::kVerdictRingBytes) +
                                     ring_bytes(abi::kHttpRingBytes);

std::size_t segment_bytes(std::size_t workers) {
  return align(sizeof(abi::DataplaneSegment)) + workers * kWorkerBytes;
}

abi::RingWriter make_ring(std::uint8_t* memory, std::size_t& at, std::size_t capacity,
                          std::uint64_t& offset) {
  offset = at;
  auto* header = new (memory + at) abi::RingHeader();
  header->capacity = capacity;
  header->data_offset = at + align(sizeof(abi::RingHeader));
  at += ring_bytes(capacity);
  return {header, memory + header->data_offset};
}

}  // namespace

base::Result<SharedSegments> SharedSegments::create(const config::Settings& settings) {
  SharedSegments segments;
  segments.shm_ = settings.paths.shm;
  if (auto made = make_folders(segments.shm_); !made.ok()) return made.error();
  if (auto attached = segments.attach_control(); !attached.ok()) return attached.error();
  auto region = Region::new_shared_file(segments.shm_ + "/" + abi::kDataplaneFile,
                                        segment_bytes(settings.cores.size()));
  if (!region.ok()) return region.error();
  segments.dataplane_region_ = std::move(region).value();
  segments.lay_out(settings);
  return segments;
}

base::Status SharedSegments::attach_control() {
  const std::string path = shm_ + "/" + abi::kControlFile;
  auto region = Region::shared_file(path, abi::kControlBytes);
  if (!region.ok()) return region.error();
  control_region_ = std::move(region).value();
  control_ = reinterpret_cast<abi::ControlSegment*>(control_region_.bytes().data());
  std::uint64_t magic = 0;
  std::uint32_t version = 0;
  control_->magic.compare_exchange_strong(magic, abi::kControlMagic);
  control_->abi_version.compare_exchange_strong(version, abi::kAbiVersion);
  if ((magic != 0 && magic != abi::kControlMagic) ||
      (version != 0 && version != abi::kAbiVersion)) {
    return base::Error{path + " is of another version: stop both processes and remove it"};
  }
  return base::ok_status();
}

void SharedSegments::lay_out(const config::Settings& settings) {
  std::uint8_t* memory = dataplane_region_.bytes().data();
  dataplane_ = new (memory) abi::DataplaneSegment();
  dataplane_->abi_version = abi::kAbiVersion;
  dataplane_->worker_count = static_cast<std::uint32_t>(settings.cores.size());
  dataplane_->link_count = static_cast<std::uint32_t>(settings.links.size());
  dataplane_->segment_bytes = dataplane_region_.bytes().size();
  dataplane_->pid = static_cast<std::uint64_t>(::getpid());
  dataplane_->start_wall_ns = base::wall_now();
  std::snprintf(dataplane_->version, sizeof dataplane_->version, "%s", SLUICE_VERSION);
  std::snprintf(dataplane_->commit, sizeof dataplane_->commit, "%s", SLUICE_COMMIT);
  for (std::size_t i = 0; i < settings.links.size(); ++i) {
    abi::LinkStatus& link = dataplane_->links[i];
    const config::Link& from = settings.links[i];
    std::snprintf(link.name, sizeof link.name, "%s", from.name.c_str());
    std::snprintf(link.device[0], sizeof link.device[0], "%s", from.outside.c_str());
    std::snprintf(link.device[1], sizeof link.device[1], "%s", from.inside.c_str());
  }
  std::size_t at = align(sizeof(abi::DataplaneSegment));
  for (std::size_t i = 0; i < settings.cores.size(); ++i) {
    abi::WorkerStatus& status = dataplane_->workers[i];
    status.lcore = settings.cores[i];
    status.counters_offset = at;
    counters_.push_back(new (memory + at) abi::WorkerCounters());
    at += align(sizeof(abi::WorkerCounters));
    verdict_.push_back(make_ring(memory, at, abi::kVerdictRingBytes, status.verdict_ring_offset));
    http_.push_back(make_ring(memory, at, abi::kHttpRingBytes, status.http_ring_offset));
  }
}

base::Status SharedSegments::announce_running() {
  dataplane_->heartbeat_ns.store(base::monotonic_now(), std::memory_order_relaxed);
  dataplane_->state.store(static_cast<std::uint32_t>(abi::DataplaneState::kRunning),
                          std::memory_order_relaxed);
  dataplane_->magic.store(abi::kDataplaneMagic, std::memory_order_release);
  return Region::rename_into_place(shm_ + "/" + abi::kDataplaneFile);
}

void SharedSegments::mark_stopping() {
  dataplane_->state.store(static_cast<std::uint32_t>(abi::DataplaneState::kStopping),
                          std::memory_order_release);
}

}  // namespace sluice::worker
