// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::telemetry {

struct EveOptions {
  std::string path = "/var/log/sluice/eve.json";
  std::uint64_t rotate_bytes = 64ULL << 20;
  std::uint64_t rotate_age_s = 86'400;
  std::uint64_t keep_bytes = 1ULL << 30;      ///< all files together; events.keep
  std::uint64_t keep_age_s = 30ULL * 86'400;  ///< older rotated files go; events.keep
};

/// eve.json and the files rotated away from it. Only whole lines: what a full disk cuts short is
/// taken back. Losing records is counted and has no other effect. One thread.
class EveFile {
 public:
  explicit EveFile(EveOptions options);
  ~EveFile();
  EveFile(const EveFile&) = delete;
  EveFile& operator=(const EveFile&) = delete;

  /// `lines`: whole lines, `records` of them. Buffered until flush(), or until 4 MiB are.
  void append(std::string_view lines, std::uint64_t records = 1);
  /// Writes what is buffered; rotates and removes old files when due.
  void flush(std::uint64_t wall_ns);
  /// Opens the path anew (SIGHUP: somebody else moved the file).
  void reopen();

  [[nodiscard]] std::uint64_t written() const { return written_; }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  bool open_file();
  void close_file();
  void rotate(std::uint64_t wall_ns);
  void remove_old(std::uint64_t wall_ns);

  EveOptions options_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t opened_wall_ns_ = 0, checked_wall_ns_ = 0;
  std::string buffer_;
  std::uint64_t buffered_records_ = 0;
  std::uint64_t written_ = 0, lost_ = 0;
  std::uint32_t sequence_ = 0;
};

/// eve.json and its rotated files that exist, newest first.
std::vector<std::string> eve_files(const std::string& path);

struct EventQuery {
  std::uint64_t since_ns = 0;                          ///< CLOCK_REALTIME
  std::size_t limit = 1000;                            ///< the newest of those found
  std::function<bool(const std::string& line)> wants;  ///< which lines
};

/// Lines that the files still hold, oldest first. Reads files back to `since_ns`.
std::vector<std::string> find_events(const std::string& path, const EventQuery& query);

/// Visits every kept line since `since_ns`, oldest file first, with its time.
void each_event(const std::string& path, std::uint64_t since_ns,
                const std::function<void(std::uint64_t time_ns, const std::string& line)>& visit);

/// All records of one event id, oldest first: files whose time cannot hold the id are skipped.
std::vector<std::string> find_event(const std::string& path, std::string_view event_id);

}  // namespace sluice::telemetry
