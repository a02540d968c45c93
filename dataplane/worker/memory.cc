// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace sluice::worker {
namespace {

constexpr std::size_t kHugePageBytes = 2u << 20;

base::Error system_error(const std::string& what) {
  return base::Error{what + ": " + std::strerror(errno)};
}

std::string beside(const std::string& path) { return path + ".new"; }

}  // namespace

Region::Region(Region&& other) noexcept { *this = std::move(other); }

Region& Region::operator=(Region&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(in_huge_pages_, other.in_huge_pages_);
  return *this;
}

Region::~Region() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

base::Result<Region> Region::anonymous(std::size_t bytes, bool huge) {
  Region region;
  region.size_ = (bytes + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  void* memory = MAP_FAILED;
  if (huge) {
    memory = ::mmap(nullptr, region.size_, kProtection,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    region.in_huge_pages_ = memory != MAP_FAILED;
  }
  if (memory == MAP_FAILED) {
    memory = ::mmap(nullptr, region.size_, kProtection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      region.size_ = 0;
      return system_error("no memory for " + std::to_string(bytes >> 20) + " MiB");
    }
    (void)::madvise(memory, region.size_, MADV_HUGEPAGE);
    // Touched now, so that no worker takes a page fault later.
    if (::madvise(memory, region.size_, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM) {
      ::munmap(memory, region.size_);
      region.size_ = 0;
      return base::Error{"no memory for " + std::to_string(bytes >> 20) + " MiB"};
    }
  }
  region.data_ = static_cast<std::uint8_t*>(memory);
  return region;
}

base::Result<Region> Region::map_file(int fd, const std::string& path, std::size_t bytes) {
  Region region;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  const int mapping_error = errno;
  ::close(fd);
  errno = mapping_error;
  if (memory == MAP_FAILED) return system_error("cannot map " + path);
  region.data_ = static_cast<std::uint8_t*>(memory);
  region.size_ = bytes;
  return region;
}

base::Result<Region> Region::shared_file(const std::string& path, std::size_t bytes) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660);
  if (fd < 0) return system_error("cannot open " + path);
  struct stat now {};
  if (::fstat(fd, &now) != 0 ||
      (now.st_size == 0 && ::ftruncate(fd, static_cast<off_t>(bytes)) != 0)) {
    const base::Error error = system_error("cannot size " + path);
    ::close(fd);
    return error;
  }
  if (now.st_size != 0 && static_cast<std::size_t>(now.st_size) != bytes) {
    ::close(fd);
    return base::Error{path + " has another size: stop both processes and remove it"};
  }
  return map_file(fd, path, bytes);
}

base::Result<Region> Region::new_shared_file(const std::string& path, std::size_t bytes) {
  ::unlink(beside(path).c_str());
  const int fd = ::open(beside(path).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
  if (fd < 0) return system_error("cannot create " + beside(path));
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    const base::Error error = system_error("cannot size " + beside(path));
    ::close(fd);
    return error;
  }
  return map_file(fd, path, bytes);
}

base::Status Region::rename_into_place(const std::string& path) {
  if (::rename(beside(path).c_str(), path.c_str()) != 0) return system_error("cannot name " + path);
  return base::ok_status();
}

void Region::make_read_only() const { (void)::mprotect(data_, size_, PROT_READ); }

base::Status make_folders(const std::string& path) {
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    if (::mkdir(path.substr(0, at).c_str(), 0750) != 0 && errno != EEXIST) {
      return system_error("cannot make " + path);
    }
  }
  return base::ok_status();
}

std::string read_small_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return "";
  std::string text(1 << 16, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

}  // namespace sluice::worker
