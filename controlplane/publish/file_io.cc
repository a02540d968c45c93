// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/publish/file_io.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace sluice::publish {
namespace {

base::Error system_error(const std::string& what, const std::string& path) {
  return base::Error{what + " " + path + ": " + std::strerror(errno)};
}

/// Closes on every way out.
struct Descriptor {
  int fd = -1;
  explicit Descriptor(int number) : fd(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

base::Result<std::string> read_file(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) return system_error("cannot open", path);
  std::string bytes;
  std::array<char, 65536> block;
  for (;;) {
    const ssize_t count = ::read(file.fd, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("cannot read", path);
    if (count == 0) return bytes;
    bytes.append(block.data(), static_cast<std::size_t>(count));
  }
}

base::Status write_file(const std::string& path, std::string_view bytes, mode_t mode) {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  {
    Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (file.fd < 0) return system_error("cannot create", beside);
    std::string_view left = bytes;
    while (!left.empty()) {
      const ssize_t count = ::write(file.fd, left.data(), left.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        const base::Error error = system_error("cannot write", beside);
        ::unlink(beside.c_str());
        return error;
      }
      left.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(file.fd) != 0 && errno != EINVAL) return system_error("cannot sync", beside);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return system_error("cannot rename to", path);
  return base::ok_status();
}

base::Status make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return base::Error{"cannot create folder " + path + ": " + error.message()};
  return base::ok_status();
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

base::Result<Mapping> Mapping::map(int fd, const std::string& path, bool writable) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_error("cannot stat", path);
  if (info.st_size <= 0) return base::Error{path + " is empty"};
  const auto size = static_cast<std::size_t>(info.st_size);
  void* memory =
      ::mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return system_error("cannot map", path);
  Mapping mapping;
  mapping.data_ = static_cast<std::uint8_t*>(memory);
  mapping.size_ = size;
  mapping.inode_ = info.st_ino;
  return mapping;
}

base::Result<Mapping> Mapping::open(const std::string& path, bool writable) {
  Descriptor file(::open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (file.fd < 0) return system_error("cannot open", path);
  return map(file.fd, path, writable);
}

base::Result<Mapping> Mapping::create(const std::string& path, std::size_t bytes, mode_t mode) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode));
  if (file.fd < 0) return system_error("cannot create", path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return system_error("cannot stat", path);
  if (static_cast<std::size_t>(info.st_size) < bytes &&
      ::ftruncate(file.fd, static_cast<off_t>(bytes)) != 0) {
    return system_error("cannot size", path);
  }
  return map(file.fd, path, true);
}

Mapping::Mapping(Mapping&& other) noexcept { *this = std::move(other); }

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(inode_, other.inode_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

bool Mapping::replaced_at(const std::string& path) const {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && info.st_ino != inode_;
}

}  // namespace sluice::publish
