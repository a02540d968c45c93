// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/sim/linux_queue.h"

#include <algorithm>
#include <utility>

namespace sluice::sim {

void LinuxQueue::add(Segment segment) {
  const auto behind = std::upper_bound(
      segments_.begin(), segments_.end(), segment.begin,
      [](std::int64_t begin, const Segment& other) { return begin < other.begin; });
  auto place = behind;
  if (behind != segments_.begin()) {
    Segment& before = *(behind - 1);
    for (auto other = segments_.begin(); other != behind - 1; ++other) {
      unsure_ = unsure_ || other->end() == segment.begin;
    }
    if (before.end() == segment.begin) return join(before, segment);
    if (segment.end() <= before.end()) return;
    if (before.begin == segment.begin) place = segments_.erase(behind - 1);
  }
  place = segments_.insert(place, std::move(segment));
  const std::int64_t end = place->end();
  const auto covered = place + 1;
  segments_.erase(covered, std::find_if(covered, segments_.end(),
                                        [&](const Segment& other) { return other.end() > end; }));
}

void LinuxQueue::join(Segment& before, Segment& segment) {
  constexpr unsigned kPartsMax = 16;  // a buffer has 17 fragments
  unsure_ = unsure_ || before.fin;    // the place of the FIN is lost
  before.bytes += segment.bytes;
  before.fin = before.fin || segment.fin;
  before.parts += segment.parts;
  unsure_ = unsure_ || before.parts > kPartsMax;
}

bool LinuxQueue::pull(std::int64_t next, Segment& segment) {
  if (segments_.empty() || segments_.front().begin > next) return false;
  segment = std::move(segments_.front());
  segments_.erase(segments_.begin());
  return true;
}

}  // namespace sluice::sim
