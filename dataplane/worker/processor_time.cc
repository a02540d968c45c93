// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/processor_time.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <utility>

#include "dataplane/worker/memory.h"

namespace sluice::worker {
namespace {

constexpr int kFirst = -20;
constexpr const char* kAdvice =
    ": give the core to this service alone (isolcpus=, a cpuset, taskset for the others), or "
    "change workers: in sluice.yaml";

/// Of /proc/stat: what ran on the core, by whom- and whatever, and what its host took.
std::vector<std::uint64_t> busy_ticks(const std::vector<unsigned>& cores) {
  std::istringstream lines(read_small_file("/proc/stat"));
  std::vector<std::uint64_t> ticks(cores.size());
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t user = 0, nice = 0, system = 0, idle = 0, disk = 0, irq = 0, soft = 0, stolen = 0;
    words >> name >> user >> nice >> system >> idle >> disk >> irq >> soft >> stolen;
    for (std::size_t i = 0; i < cores.size(); ++i) {
      if (name == "cpu" + std::to_string(cores[i])) {
        ticks[i] = user + nice + system + irq + soft + stolen;
      }
    }
  }
  return ticks;
}

std::uint64_t own_ticks() {
  tms used{};
  ::times(&used);
  return static_cast<std::uint64_t>(used.tms_utime + used.tms_stime);
}

/// Nanoseconds that a thread of ours was ready to run and did not: /proc/.../schedstat, its second
/// word. 0 where the kernel does not count it.
std::uint64_t nanos_in_line(pid_t thread) {
  std::istringstream words(
      read_small_file("/proc/self/task/" + std::to_string(thread) + "/schedstat"));
  std::uint64_t ran = 0, waited = 0;
  words >> ran >> waited;
  return waited;
}

void add_line(std::string& text, const std::string& line) {
  text += (text.empty() ? "" : "\n") + line;
}

}  // namespace

StartPriority::StartPriority() : before_(::getpriority(PRIO_PROCESS, 0)) {
  (void)::setpriority(PRIO_PROCESS, 0, kFirst);
}

void StartPriority::end() const {
  DIR* threads = ::opendir("/proc/self/task");
  if (threads == nullptr) return;
  while (const dirent* entry = ::readdir(threads)) {
    const auto thread = static_cast<id_t>(std::strtoul(entry->d_name, nullptr, 10));
    if (thread != 0) (void)::setpriority(PRIO_PROCESS, thread, before_);
  }
  ::closedir(threads);
}

CoreWatch::CoreWatch(std::vector<unsigned> cores, unsigned main_core)
    : cores_(std::move(cores)),
      main_core_(main_core),
      busy_ticks_(busy_ticks(cores_)),
      own_ticks_(own_ticks()),
      began_(base::monotonic_now()),
      waited_(cores_.size()) {}

std::string CoreWatch::busy_cores() const {
  const std::uint64_t ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const std::uint64_t elapsed =
      (base::monotonic_now() - began_) * ticks_per_second / base::kNanosPerSecond;
  const std::uint64_t own = own_ticks() - own_ticks_;
  const std::vector<std::uint64_t> now = busy_ticks(cores_);
  std::string text;
  for (std::size_t i = 0; i < cores_.size() && elapsed != 0; ++i) {
    const std::uint64_t busy = now[i] - busy_ticks_[i];
    const std::uint64_t ours = cores_[i] == main_core_ ? own : 0;
    const std::uint64_t percent = busy > ours ? (busy - ours) * 100 / elapsed : 0;
    if (percent < kBusyPercent) continue;
    add_line(text, "core " + std::to_string(cores_[i]) + " of worker " + std::to_string(i) +
                       " is busy: others took " + std::to_string(percent > 100 ? 100 : percent) +
                       " % of it during this start" + kAdvice);
  }
  return text;
}

std::string CoreWatch::waiting_workers(base::Nanos now, const SharedState& shared) {
  if (now - looked_ < kWaitSpan) return "";
  const base::Nanos span = now - looked_;
  const bool first = looked_ == 0;
  looked_ = now;
  std::string text;
  for (std::size_t i = 0; i < waited_.size(); ++i) {
    Waited& worker = waited_[i];
    const pid_t thread = shared.workers[i].thread.load(std::memory_order_relaxed);
    const std::uint64_t nanos = thread == 0 ? 0 : nanos_in_line(thread);
    const std::uint64_t percent = first ? 0 : (nanos - worker.nanos) * 100 / span;
    worker.nanos = nanos;
    if (percent < kWaitPercent) continue;
    if (worker.said != 0 && now - worker.said < kSaidAgainAfter) continue;
    worker.said = now;
    add_line(text, "core " + std::to_string(cores_[i]) + " of worker " + std::to_string(i) +
                       " is busy: the worker waited for it " + std::to_string(percent) +
                       " % of the last " + std::to_string(span / base::kNanosPerSecond) + " s" +
                       kAdvice);
  }
  return text;
}

}  // namespace sluice::worker
