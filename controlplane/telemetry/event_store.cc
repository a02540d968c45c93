// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <fstream>

#include "controlplane/telemetry/eve_file.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/ulid.h"

namespace sluice::telemetry {
namespace {

/// Wall time of a line that this program wrote: its timestamp is the first key.
std::uint64_t line_time_ns(const std::string& line) {
  static constexpr std::string_view kStart = R"({"timestamp":")";
  if (!line.starts_with(kStart)) return 0;
  std::tm parts{};
  const char* rest = ::strptime(line.c_str() + kStart.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || *rest != '.') return 0;
  const auto micros = std::strtoul(rest + 1, nullptr, 10);
  return static_cast<std::uint64_t>(::timegm(&parts)) * base::kNanosPerSecond +
         micros * base::kNanosPerMicro;
}

std::uint64_t changed_ns(const std::string& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.st_mtim.tv_sec) * base::kNanosPerSecond +
         static_cast<std::uint64_t>(info.st_mtim.tv_nsec);
}

}  // namespace

std::vector<std::string> find_events(const std::string& path, const EventQuery& query) {
  std::deque<std::string> found;
  for (const std::string& file : eve_files(path)) {
    if (found.size() >= query.limit) break;
    if (query.since_ns != 0 && changed_ns(file) < query.since_ns) break;
    std::deque<std::string> here;
    const std::size_t room = query.limit - found.size();
    std::ifstream lines(file);
    std::string line;
    while (std::getline(lines, line)) {
      if (query.since_ns != 0 && line_time_ns(line) < query.since_ns) continue;
      if (!query.wants(line)) continue;
      here.push_back(line);
      if (here.size() > room) here.pop_front();
    }
    found.insert(found.begin(), here.begin(), here.end());
  }
  return {found.begin(), found.end()};
}

void each_event(const std::string& path, std::uint64_t since_ns,
                const std::function<void(std::uint64_t time_ns, const std::string& line)>& visit) {
  std::vector<std::string> files = eve_files(path);
  std::reverse(files.begin(), files.end());
  for (const std::string& file : files) {
    if (changed_ns(file) < since_ns) continue;
    std::ifstream lines(file);
    std::string line;
    while (std::getline(lines, line)) {
      const std::uint64_t time_ns = line_time_ns(line);
      if (time_ns != 0 && time_ns >= since_ns) visit(time_ns, line);
    }
  }
}

std::vector<std::string> find_event(const std::string& path, std::string_view event_id) {
  base::Ulid ulid;
  if (!base::parse_ulid(event_id, ulid)) return {};
  // The id's own time: no record of it is older. An hour of slack for clocks that were set.
  const std::uint64_t born_ns = (ulid.high >> 16) * base::kNanosPerMilli;
  const std::uint64_t slack_ns = 3600 * base::kNanosPerSecond;
  const std::string text = R"("event_id":")" + std::string(event_id) + '"';
  std::vector<std::string> found;
  for (const std::string& file : eve_files(path)) {
    if (changed_ns(file) + slack_ns < born_ns) break;
    std::vector<std::string> here;
    std::ifstream lines(file);
    std::string line;
    while (std::getline(lines, line)) {
      if (line.find(text) != std::string::npos) here.push_back(line);
    }
    found.insert(found.begin(), here.begin(), here.end());
  }
  return found;
}

}  // namespace sluice::telemetry
