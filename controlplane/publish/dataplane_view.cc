// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/dataplane_view.h"

#include <signal.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "dataplane/abi/store.h"
#include "dataplane/base/clock.h"

namespace sluice::publish {

base::Result<std::unique_ptr<DataplaneView>> DataplaneView::attach(const std::string& shm) {
  auto view = std::make_unique<DataplaneView>();
  view->path_ = shm + "/" + abi::kDataplaneFile;
  auto mapping = Mapping::open(view->path_, true);
  if (!mapping.ok()) return mapping.error();
  view->mapping_ = std::move(mapping).value();
  if (view->mapping_.size() < sizeof(abi::DataplaneSegment)) {
    return base::Error{view->path_ + " is too short"};
  }
  view->segment_ = reinterpret_cast<const abi::DataplaneSegment*>(view->mapping_.data());
  const std::uint64_t magic = view->segment_->magic.load(std::memory_order_acquire);
  if (magic == 0) return base::Error{"the dataplane is starting"};
  if (magic != abi::kDataplaneMagic) return base::Error{view->path_ + " is not ours"};
  if (view->segment_->abi_version != abi::kAbiVersion) {
    return base::Error{"the dataplane is of another version: restart it"};
  }
  if (!view->check()) return base::Error{view->path_ + " contradicts itself"};
  return view;
}

bool DataplaneView::check() {
  const std::uint64_t size = mapping_.size();
  const auto fits = [size](std::uint64_t offset, std::uint64_t bytes) {
    return offset % 8 == 0 && offset <= size && size - offset >= bytes;
  };
  if (segment_->worker_count > abi::kWorkersMax || segment_->link_count > abi::kLinksMax) {
    return false;
  }
  for (std::uint32_t i = 0; i < segment_->worker_count; ++i) {
    const abi::WorkerStatus& status = segment_->workers[i];
    if (!fits(status.counters_offset, sizeof(abi::WorkerCounters))) return false;
    Worker worker{};
    worker.status = &status;
    worker.counters =
        reinterpret_cast<const abi::WorkerCounters*>(mapping_.data() + status.counters_offset);
    const std::uint64_t offsets[2] = {status.verdict_ring_offset, status.http_ring_offset};
    for (std::size_t ring = 0; ring < 2; ++ring) {
      if (!fits(offsets[ring], sizeof(abi::RingHeader))) return false;
      auto* header = reinterpret_cast<abi::RingHeader*>(mapping_.data() + offsets[ring]);
      const std::uint64_t capacity = header->capacity;
      const std::uint64_t data_offset = header->data_offset;
      if (!std::has_single_bit(capacity) || !fits(data_offset, capacity)) return false;
      worker.rings[ring] = header;
      worker.ring_data[ring] = mapping_.data() + data_offset;
      worker.ring_capacity[ring] = capacity;
    }
    workers_.push_back(worker);
  }
  return true;
}

bool DataplaneView::replaced() const { return mapping_.replaced_at(path_); }

DataplaneView::Health DataplaneView::health(std::uint64_t stale_ms) const {
  const auto state = static_cast<abi::DataplaneState>(segment_->state.load());
  if (state == abi::DataplaneState::kStopping) return Health::kStopped;
  const auto pid = static_cast<pid_t>(segment_->pid);
  if (pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) return Health::kStopped;
  const std::uint64_t beat = segment_->heartbeat_ns.load(std::memory_order_relaxed);
  const std::uint64_t now = base::monotonic_now();
  if (now > beat && now - beat > stale_ms * base::kNanosPerMilli) return Health::kStalled;
  return std::any_of(workers_.begin(), workers_.end(), stalled) ? Health::kStalled
                                                                : Health::kRunning;
}

bool DataplaneView::stalled(const Worker& worker) {
  const std::uint64_t beat = worker.counters->heartbeat_ns.get();
  const std::uint64_t now = base::monotonic_now();
  return beat != 0 && now > beat && now - beat > abi::kWorkerStalledNs;
}

std::uint64_t DataplaneView::live() const { return segment_->live.load(std::memory_order_acquire); }
std::uint64_t DataplaneView::staged() const {
  return segment_->staged.load(std::memory_order_acquire);
}

const char* health_name(DataplaneView::Health health) {
  switch (health) {
    case DataplaneView::Health::kRunning:
      return "running";
    case DataplaneView::Health::kStopped:
      return "stopped";
    case DataplaneView::Health::kStalled:
      return "stalled";
  }
  return "stopped";
}

}  // namespace sluice::publish
