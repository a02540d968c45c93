// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/merger.h"

#include <cstddef>
#include <cstring>

namespace sluice::telemetry {

void Merger::attach(const publish::DataplaneView& view) {
  detach();
  for (const auto& worker : view.workers()) {
    for (std::size_t ring = 0; ring < 2; ++ring) {
      Source source;
      source.reader =
          abi::RingReader(worker.rings[ring], worker.ring_data[ring], worker.ring_capacity[ring]);
      sources_.push_back(source);
    }
  }
}

void Merger::detach() {
  for (const Source& source : sources_) damaged_ += source.reader.damaged();
  sources_.clear();
}

bool Merger::fill(Source& source) {
  if (source.waiting) return true;
  while (source.reader.peek(source.record)) {
    if (source.record.payload.size() < sizeof(abi::EventHeader)) {
      ++damaged_;
      source.reader.pop();
      continue;
    }
    std::memcpy(&source.time_ns,
                source.record.payload.data() + offsetof(abi::EventHeader, monotonic_ns),
                sizeof source.time_ns);
    source.waiting = true;
    return true;
  }
  return false;
}

std::size_t Merger::drain(std::uint64_t now_ns, std::size_t max, bool all, const Sink& sink) {
  std::size_t count = 0;
  while (count < max) {
    Source* oldest = nullptr;
    bool complete = true;
    for (Source& source : sources_) {
      if (!fill(source)) {
        complete = false;
      } else if (oldest == nullptr || source.time_ns < oldest->time_ns) {
        oldest = &source;
      }
    }
    if (oldest == nullptr) break;
    // A time in the future is a lie of a damaged ring: it must not stop the others.
    const bool due = oldest->time_ns > now_ns || now_ns - oldest->time_ns >= wait_ns_;
    if (!complete && !all && !due) break;
    if (decode(oldest->record.type, oldest->record.payload, decoded_)) {
      sink(decoded_);
    } else {
      ++damaged_;
    }
    oldest->reader.pop();
    oldest->waiting = false;
    ++count;
  }
  return count;
}

void Merger::release() {
  for (Source& source : sources_) source.reader.release();
}

std::uint64_t Merger::damaged() const {
  std::uint64_t sum = damaged_;
  for (const Source& source : sources_) sum += source.reader.damaged();
  return sum;
}

}  // namespace sluice::telemetry
