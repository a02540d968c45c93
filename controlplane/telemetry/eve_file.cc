// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/telemetry/eve_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "dataplane/base/clock.h"

namespace sluice::telemetry {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kBufferBytesMax = 4u << 20;  // then it is written out

std::string rotated_name(const std::string& path, std::uint64_t wall_ns, std::uint32_t sequence) {
  const auto seconds = static_cast<std::time_t>(wall_ns / base::kNanosPerSecond);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[48], name[80];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%S", &parts);
  std::snprintf(name, sizeof name, ".%s.%03u.%04u", text,
                static_cast<unsigned>(wall_ns / base::kNanosPerMilli % 1000), sequence % 10'000);
  return path + name;
}

std::uint64_t file_age_s(const std::string& path, std::uint64_t wall_ns) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  const std::uint64_t now_s = wall_ns / base::kNanosPerSecond;
  const auto changed = static_cast<std::uint64_t>(info.st_mtim.tv_sec);
  return now_s > changed ? now_s - changed : 0;
}

}  // namespace

EveFile::EveFile(EveOptions options) : options_(std::move(options)) {}

EveFile::~EveFile() {
  flush(base::wall_now());
  close_file();
}

void EveFile::close_file() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool EveFile::open_file() {
  if (fd_ >= 0) return true;
  std::error_code ignored;
  fs::create_directories(fs::path(options_.path).parent_path(), ignored);
  fd_ = ::open(options_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd_ < 0) return false;
  struct stat info {};
  size_ = ::fstat(fd_, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
  opened_wall_ns_ = base::wall_now();
  // A crash may have left half a line: end it, so that it spoils itself only.
  char last = '\n';
  if (size_ > 0 && ::pread(fd_, &last, 1, static_cast<off_t>(size_ - 1)) == 1 && last != '\n') {
    if (::write(fd_, "\n", 1) == 1) ++size_;
  }
  return true;
}

void EveFile::append(std::string_view lines, std::uint64_t records) {
  if (buffer_.size() + lines.size() > kBufferBytesMax) flush(base::wall_now());
  buffer_ += lines;
  buffered_records_ += records;
}

void EveFile::flush(std::uint64_t wall_ns) {
  if (!buffer_.empty()) {
    bool complete = open_file();
    std::size_t done = 0;
    while (complete && done < buffer_.size()) {
      const ssize_t count = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        complete = false;
      } else {
        done += static_cast<std::size_t>(count);
      }
    }
    if (complete) {
      size_ += buffer_.size();
      written_ += buffered_records_;
    } else {
      // Whole lines that fitted stay; the cut one is taken back.
      const std::size_t end = done == 0 ? std::string::npos : buffer_.rfind('\n', done - 1);
      const std::size_t keep = end == std::string::npos ? 0 : end + 1;
      const auto kept = static_cast<std::uint64_t>(
          std::count(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(keep), '\n'));
      if (fd_ >= 0 && ::ftruncate(fd_, static_cast<off_t>(size_ + keep)) == 0) size_ += keep;
      written_ += std::min(kept, buffered_records_);
      lost_ += buffered_records_ - std::min(kept, buffered_records_);
      close_file();
      remove_old(wall_ns);
    }
    buffer_.clear();
    buffered_records_ = 0;
  }
  const bool old = fd_ >= 0 && size_ > 0 && wall_ns > opened_wall_ns_ &&
                   wall_ns - opened_wall_ns_ > options_.rotate_age_s * base::kNanosPerSecond;
  if (fd_ >= 0 && (size_ >= options_.rotate_bytes || old)) rotate(wall_ns);
  if (wall_ns - checked_wall_ns_ > 10 * base::kNanosPerSecond) remove_old(wall_ns);
}

void EveFile::rotate(std::uint64_t wall_ns) {
  close_file();
  const std::string to = rotated_name(options_.path, wall_ns, ++sequence_);
  if (::rename(options_.path.c_str(), to.c_str()) == 0) size_ = 0;
  remove_old(wall_ns);
}

void EveFile::remove_old(std::uint64_t wall_ns) {
  checked_wall_ns_ = wall_ns;
  std::uint64_t total = 0;
  std::error_code error;
  for (const std::string& file : eve_files(options_.path)) {
    const auto size = fs::file_size(file, error);
    if (!error) total += size;
    if (file == options_.path) continue;
    if (total > options_.keep_bytes || file_age_s(file, wall_ns) > options_.keep_age_s) {
      fs::remove(file, error);
      if (!error) total -= size;
    }
  }
}

void EveFile::reopen() {
  flush(base::wall_now());
  close_file();
  open_file();
}

std::vector<std::string> eve_files(const std::string& path) {
  std::vector<std::string> files;
  const std::string prefix = fs::path(path).filename().string() + ".";
  std::error_code error;
  for (fs::directory_iterator at(fs::path(path).parent_path(), error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().filename().string().starts_with(prefix)) files.push_back(at->path().string());
  }
  std::sort(files.rbegin(), files.rend());
  if (fs::exists(path, error)) files.insert(files.begin(), path);
  return files;
}

}  // namespace sluice::telemetry
