// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/generations.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include "dataplane/abi/store.h"
#include "dataplane/base/clock.h"
#include "dataplane/worker/memory.h"

namespace sluice::worker {
namespace {

/// Stored generations tried at the start: what refuses three refuses all (another CPU, say).
constexpr std::size_t kStoredTries = 3;

std::uint32_t mode_of(const std::string& text) {
  for (const abi::Mode mode : {abi::Mode::kOff, abi::Mode::kMonitor, abi::Mode::kBlock}) {
    if (text == abi::mode_name(mode)) return static_cast<std::uint32_t>(mode);
  }
  return abi::kModeUnset;
}

}  // namespace

Generations::Generations(SharedState& shared, abi::ControlSegment& control,
                         abi::DataplaneSegment& dataplane, const config::Settings& settings)
    : shared_(shared),
      control_(control),
      dataplane_(dataplane),
      shm_(settings.paths.shm),
      state_(settings.paths.state),
      workers_(settings.cores.size()) {}

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

/// What abi/store.h says a start takes: what `live` names, else the newest accepted ones.
std::vector<std::uint64_t> Generations::stored_candidates() const {
  const std::string folder = state_ + "/" + abi::kGenerationsFolder;
  std::vector<std::uint64_t> accepted;
  if (DIR* entries = ::opendir(folder.c_str()); entries != nullptr) {
    while (const dirent* entry = ::readdir(entries)) {
      const std::uint64_t number = std::strtoull(entry->d_name, nullptr, 10);
      const std::string mark = folder + "/" + entry->d_name + "/" + abi::kAcceptedFile;
      if (number != 0 && ::access(mark.c_str(), F_OK) == 0) accepted.push_back(number);
    }
    ::closedir(entries);
  }
  std::sort(accepted.rbegin(), accepted.rend());
  const std::uint64_t live =
      std::strtoull(read_small_file(folder + "/" + abi::kLiveFile).c_str(), nullptr, 10);
  if (live != 0) {
    accepted.erase(std::remove(accepted.begin(), accepted.end(), live), accepted.end());
    accepted.insert(accepted.begin(), live);
  }
  if (accepted.size() > kStoredTries) accepted.resize(kStoredTries);
  return accepted;
}

std::string Generations::open() {
  auto first = std::make_unique<Snapshot>();
  read_switches(first->switches);
  // Nobody has written the segment since the machine started: the disk knows.
  if (first->switches.version == 0) read_stored_switches(first->switches);
  std::string notes;
  for (const std::uint64_t number : stored_candidates()) {
    const Load loaded = load(state_ + "/" + abi::kGenerationsFolder + "/" + std::to_string(number) +
                                 "/" + abi::kImageFile,
                             number);
    if (loaded.generation != nullptr) {
      first->live = loaded.generation;
      announced_live_.seen = number;
      break;
    }
    notes += "generation " + std::to_string(number) + " on disk: " + loaded.message + "\n";
  }
  if (first->live == nullptr) {
    notes += "no generation yet: every link does what its on_failure says until sluiced pushes one";
  }
  publish(std::move(first));
  return notes;
}

std::uint64_t Generations::live() const {
  const Snapshot& current = *snapshots_.back();
  return current.live == nullptr ? 0 : current.live->number();
}

Generations::Load Generations::load(const std::string& path, std::uint64_t number) {
  Load result;
  const auto refuse = [&](abi::ImageError error, const std::string& detail) {
    result.error = error;
    result.message = std::string(abi::image_error_text(error)) + detail;
    return result;
  };
  reclaim();
  if (loaded_.size() == abi::kGenerationSlots) {
    return refuse(abi::ImageError::kNoSlot,
                  ", or workers that do not poll; none was given back in time: push again");
  }
  auto fresh = std::make_unique<Loaded>();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0) {
    const std::string why = std::string(": ") + std::strerror(errno) + ": " + path;
    if (fd >= 0) ::close(fd);
    return refuse(abi::ImageError::kUnreadable, why);
  }
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  const bool sized = bytes >= sizeof(abi::ImageHeader) && bytes <= abi::kImageBytesMax;
  auto region = sized ? Region::anonymous(bytes, true) : base::Result<Region>(base::Error{""});
  std::uint64_t copied = 0;
  if (region.ok()) {
    fresh->image = std::move(region).value();
    while (copied < bytes) {
      const ssize_t got = ::read(fd, fresh->image.bytes().data() + copied, bytes - copied);
      if (got <= 0) break;
      copied += static_cast<std::uint64_t>(got);
    }
  }
  ::close(fd);
  if (bytes < sizeof(abi::ImageHeader)) return refuse(abi::ImageError::kTooShort, "");
  if (bytes > abi::kImageBytesMax) return refuse(abi::ImageError::kTooLarge, "");
  if (fresh->image.bytes().empty()) return refuse(abi::ImageError::kMemory, "");
  if (copied != bytes) return refuse(abi::ImageError::kUnreadable, ": cut while reading");
  // From here on nobody writes it: what is verified is what workers read.
  fresh->image.make_read_only();
  auto opened = engine::Generation::open(fresh->image.bytes().first(bytes), workers_);
  if (opened.generation == nullptr) return refuse(opened.error, "");
  if (opened.generation->number() != number) {
    return refuse(abi::ImageError::kMagic, ": it holds another generation's number");
  }
  fresh->generation = std::move(opened.generation);
  result.generation = fresh->generation.get();
  loaded_.push_back(std::move(fresh));
  return result;
}

engine::Generation* Generations::find(std::uint64_t number) const {
  for (const auto& entry : loaded_) {
    if (entry->generation->number() == number) return entry->generation.get();
  }
  return nullptr;
}

void Generations::tick() {
  const Snapshot& current = *snapshots_.back();
  if (control_.switches_version.load(std::memory_order_acquire) != current.switches.version) {
    auto next = next_snapshot();
    read_switches(next->switches);
    publish(std::move(next));
  }
  take_announced();
  take_staged();
  reclaim();
}

Generations::Load Generations::find_or_load(Announced& announced, std::uint64_t number) {
  if (announced.waiting != number) {
    announced.waiting = number;
    announced.since = base::monotonic_now();
  }
  Load found;
  found.generation = find(number);
  if (found.generation != nullptr) return found;
  return load(shm_ + "/" + abi::kImagesFolder + "/" + std::to_string(number) + ".img", number);
}

/// True: nothing is answered yet. Slow requests, each begun under another generation, must not keep
/// new rules out for pin_max_s.
bool Generations::waits_for_slot(Announced& announced, std::uint64_t number, const Load& load) {
  const base::Nanos waited = base::monotonic_now() - announced.since;
  if (load.error == abi::ImageError::kNoSlot && waited < kSlotWaitNs) {
    if (waited >= kSlotGraceNs) end_oldest();
    return true;
  }
  announced.waiting = 0;
  announced.seen = number;
  return false;
}

/// Has workers end the transactions of the generation that was in force longest ago.
void Generations::end_oldest() {
  const Loaded* oldest = nullptr;
  for (const auto& entry : loaded_) {
    if (entry->last_snapshot == UINT64_MAX) continue;
    if (oldest == nullptr || entry->last_snapshot < oldest->last_snapshot) oldest = entry.get();
  }
  if (oldest == nullptr || oldest->generation->number() == snapshots_.back()->ending) return;
  auto next = next_snapshot();
  next->ending = oldest->generation->number();
  std::fprintf(stderr,
               "sluice-dataplane: no free slot for another generation: what is still under way "
               "under generation %llu ends as http_slow\n",
               static_cast<unsigned long long>(next->ending));
  publish(std::move(next));
}

void Generations::take_announced() {
  const std::uint64_t number = control_.announced.load(std::memory_order_acquire);
  if (number == 0 || number == announced_live_.seen) return;
  const Load loaded = find_or_load(announced_live_, number);
  if (waits_for_slot(announced_live_, number, loaded)) return;
  if (loaded.generation != nullptr) {
    auto next = next_snapshot();
    next->live = loaded.generation;
    publish(std::move(next));
    wait_observed();
  }
  answer(dataplane_.answer_live, number, loaded, announced_live_.since);
}

void Generations::take_staged() {
  const std::uint64_t number = control_.announced_staged.load(std::memory_order_acquire);
  if (number == announced_staged_.seen) return;
  const Load loaded = number == 0 ? Load{} : find_or_load(announced_staged_, number);
  if (waits_for_slot(announced_staged_, number, loaded)) return;
  if (number == 0 || loaded.generation != nullptr) {
    auto next = next_snapshot();
    next->staged = loaded.generation;
    publish(std::move(next));
    wait_observed();
  }
  if (number != 0) answer(dataplane_.answer_staged, number, loaded, announced_staged_.since);
}

void Generations::answer(abi::GenerationAnswer& answer, std::uint64_t number, const Load& load,
                         base::Nanos since) {
  answer.error.store(static_cast<std::uint32_t>(load.error), std::memory_order_relaxed);
  answer.publish_ns.store(base::monotonic_now() - since, std::memory_order_relaxed);
  std::snprintf(answer.message, sizeof answer.message, "%s", load.message.c_str());
  answer.generation.store(number, std::memory_order_release);
  if (load.generation == nullptr) {
    std::fprintf(stderr, "sluice-dataplane: generation %llu refused: %s\n",
                 static_cast<unsigned long long>(number), load.message.c_str());
  }
}

std::unique_ptr<Snapshot> Generations::next_snapshot() const {
  return std::make_unique<Snapshot>(*snapshots_.back());
}

void Generations::publish(std::unique_ptr<Snapshot> snapshot) {
  const auto is_number = [&](const engine::Generation* generation) {
    return generation != nullptr && generation->number() == snapshot->ending;
  };
  if (is_number(snapshot->live) || is_number(snapshot->staged)) snapshot->ending = 0;
  snapshot->sequence = snapshots_.empty() ? 1 : snapshots_.back()->sequence + 1;
  for (const auto& entry : loaded_) {
    const engine::Generation* generation = entry->generation.get();
    if (generation == snapshot->live || generation == snapshot->staged) {
      entry->last_snapshot = UINT64_MAX;
    } else if (entry->last_snapshot == UINT64_MAX) {
      entry->last_snapshot = snapshot->sequence - 1;
    }
  }
  shared_.current.store(snapshot.get(), std::memory_order_release);
  dataplane_.live.store(snapshot->live == nullptr ? 0 : snapshot->live->number(),
                        std::memory_order_release);
  dataplane_.staged.store(snapshot->staged == nullptr ? 0 : snapshot->staged->number(),
                          std::memory_order_release);
  snapshots_.push_back(std::move(snapshot));
}

std::uint64_t Generations::observed_by_all() const {
  std::uint64_t oldest = UINT64_MAX;
  for (std::size_t i = 0; i < workers_; ++i) {
    oldest = std::min(oldest, shared_.workers[i].observed.load(std::memory_order_acquire));
  }
  return oldest;
}

/// A worker that does not poll does not keep the answer back for long.
void Generations::wait_observed() const {
  const base::Nanos end = base::monotonic_now() + base::kNanosPerSecond;
  while (observed_by_all() < snapshots_.back()->sequence && base::monotonic_now() < end) {
    const timespec wait{0, 20'000};
    ::nanosleep(&wait, nullptr);
  }
}

void Generations::reclaim() {
  const std::uint64_t observed = observed_by_all();
  while (snapshots_.size() > 1 && snapshots_.front()->sequence < observed) snapshots_.pop_front();
  const auto unused = [&](const std::unique_ptr<Loaded>& entry) {
    if (entry->last_snapshot >= observed) return false;
    for (std::size_t i = 0; i < workers_; ++i) {
      if (entry->generation->pins(i) != 0) return false;
    }
    entry->generation.reset();  // before the image under it
    dataplane_.reclaimed.fetch_add(1, std::memory_order_relaxed);
    return true;
  };
  loaded_.erase(std::remove_if(loaded_.begin(), loaded_.end(), unused), loaded_.end());
}

}  // namespace sluice::worker
