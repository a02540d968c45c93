// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace sluice::publish {

/// The whole file. Errors name the path and what the system said.
base::Result<std::string> read_file(const std::string& path);

/// Writes beside `path`, syncs and renames over it: readers see the old file or the whole new one.
base::Status write_file(const std::string& path, std::string_view bytes, mode_t mode = 0640);

/// Makes `path` and its parents (0750).
base::Status make_folders(const std::string& path);

std::string sha256_hex(std::string_view bytes);

/// A shared mapping of a whole file; unmapped at the end of its life.
class Mapping {
 public:
  /// Opens what is there. `writable`: PROT_WRITE too.
  static base::Result<Mapping> open(const std::string& path, bool writable);
  /// Opens or creates with `bytes` zero bytes; an existing shorter file is grown.
  static base::Result<Mapping> create(const std::string& path, std::size_t bytes, mode_t mode);

  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  [[nodiscard]] std::uint8_t* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// `path` names another file by now. One that is gone has been replaced by nothing: whoever has
  /// it mapped still shares it.
  [[nodiscard]] bool replaced_at(const std::string& path) const;

 private:
  static base::Result<Mapping> map(int fd, const std::string& path, bool writable);
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  ino_t inode_ = 0;
};

}  // namespace sluice::publish
