// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/generations.h"

#include <cstdlib>
#include <sstream>
#include <utility>

#include "dataplane/abi/store.h"
#include "dataplane/worker/memory.h"

namespace sluice::worker {
namespace {

std::uint32_t mode_of(const std::string& text) {
  for (const abi::Mode mode : {abi::Mode::kOff, abi::Mode::kMonitor, abi::Mode::kBlock}) {
    if (text == abi::mode_name(mode)) return static_cast<std::uint32_t>(mode);
  }
  return abi::kModeUnset;
}

}  // namespace

Generations::Generations(SharedState& shared, abi::ControlSegment& control,
                         abi::DataplaneSegment& dataplane, std::string state_folder,
                         std::size_t workers)
    : shared_(shared),
      control_(control),
      dataplane_(dataplane),
      state_(std::move(state_folder)),
      workers_(workers) {}

void Generations::read_switches(engine::Switches& switches) const {
  switches.version = control_.switches_version.load(std::memory_order_acquire);
  switches.mode = abi::wanted_mode(control_);
  switches.bypass = abi::wanted_bypass(control_);
  for (std::size_t i = 0; i < switches.services.size(); ++i) {
    const auto& from = control_.service_modes[i];
    switches.services[i] = {from.service_name_hash.load(std::memory_order_relaxed),
                            from.mode.load(std::memory_order_relaxed)};
  }
}

/// abi/store.h: lines `mode MODE`, `bypass on|off`, `service HASH16 MODE`.
void Generations::read_stored_switches(engine::Switches& switches) const {
  std::istringstream lines(read_small_file(state_ + "/" + abi::kSwitchesFile));
  std::string line;
  std::size_t services = 0;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string key, value, more;
    words >> key >> value >> more;
    if (key == "mode") switches.mode = mode_of(value);
    if (key == "bypass") switches.bypass = value == "on";
    if (key == "service" && services < switches.services.size()) {
      switches.services[services++] = {std::strtoull(value.c_str(), nullptr, 16), mode_of(more)};
    }
  }
}

void Generations::open() {
  auto first = std::make_unique<Snapshot>();
  read_switches(first->switches);
  // Nobody has written the segment since the machine started: the disk knows.
  if (first->switches.version == 0) read_stored_switches(first->switches);
  publish(std::move(first));
}

void Generations::tick() {
  const Snapshot& current = *snapshots_.back();
  if (control_.switches_version.load(std::memory_order_acquire) != current.switches.version) {
    auto next = std::make_unique<Snapshot>(current);
    read_switches(next->switches);
    publish(std::move(next));
  }
  reclaim();
}

void Generations::publish(std::unique_ptr<Snapshot> snapshot) {
  snapshot->sequence = snapshots_.empty() ? 1 : snapshots_.back()->sequence + 1;
  shared_.current.store(snapshot.get(), std::memory_order_release);
  snapshots_.push_back(std::move(snapshot));
}

bool Generations::all_observed() const {
  for (std::size_t i = 0; i < workers_; ++i) {
    if (shared_.workers[i].observed.load(std::memory_order_acquire) < snapshots_.back()->sequence) {
      return false;
    }
  }
  return true;
}

void Generations::reclaim() {
  if (snapshots_.size() > 1 && all_observed()) {
    snapshots_.erase(snapshots_.begin(), snapshots_.end() - 1);
  }
}

}  // namespace sluice::worker
