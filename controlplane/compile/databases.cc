// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/databases.h"

#include <hs/hs.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::compile {

namespace {

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return file ? content.str() : std::string();
}

/// By rename, so that a reader never sees half a file. A cache that cannot be written is no error.
void write_whole(const std::string& path, const std::string& content) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const std::string temporary = path + "." + std::to_string(getpid());
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file << content;
    if (!file) return;
  }
  std::filesystem::rename(temporary, path, ignored);
}

/// The age of a file says when it was last asked for, to the day.
void note_use(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  const auto last = fs::last_write_time(path, error);
  if (!error && now - last > std::chrono::days(1)) fs::last_write_time(path, now, error);
}

std::string platform_name() {
  hs_platform_info_t platform{};
  hs_populate_platform(&platform);
  return std::string(hs_version()) + "/" + std::to_string(platform.tune) + "/" +
         std::to_string(platform.cpu_features);
}

bool is_whole(const std::string& serialised) {
  std::size_t size = 0;
  return !serialised.empty() &&
         hs_serialized_database_size(serialised.data(), serialised.size(), &size) == HS_SUCCESS;
}

}  // namespace

std::string content_digest(const std::string& content) {
  std::uint8_t digest[32];
  unsigned bytes = 0;
  EVP_Digest(content.data(), content.size(), digest, &bytes, EVP_sha256(), nullptr);
  std::string text;
  for (const std::uint8_t byte : digest) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

std::string DatabaseMaker::cache_path(const std::string& content) const {
  return cache_folder_ + "/" + content_digest(content) + ".hsdb";
}

base::Result<std::string> DatabaseMaker::make(const std::vector<Expression>& expressions,
                                              int& bad) {
  std::string content = platform_name();
  for (const Expression& each : expressions) {
    content += '\0' + std::to_string(each.id) + '/' + std::to_string(each.flags) +
               (each.literal ? "l" : "r") + std::to_string(each.pattern.size()) + ':' +
               each.pattern;
  }
  const std::string path = cache_folder_.empty() ? std::string() : cache_path(content);
  if (!path.empty()) {
    if (std::string known = read_whole(path); is_whole(known)) {
      ++cached_;
      note_use(path);
      return known;
    }
    if (std::string known = read_whole(path + ".bad"); !known.empty()) {
      note_use(path + ".bad");
      bad = std::atoi(known.c_str());
      return base::Error{"Hyperscan: " + known.substr(std::min(known.size(), known.find(' ') + 1))};
    }
  }
  std::vector<const char*> patterns;
  std::vector<unsigned> flags, ids;
  std::vector<std::size_t> sizes;
  bool literals = true;
  for (const Expression& each : expressions) {
    patterns.push_back(each.pattern.c_str());
    flags.push_back(each.flags);
    ids.push_back(each.id);
    sizes.push_back(each.pattern.size());
    literals = literals && each.literal;
  }
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  const auto count = static_cast<unsigned>(expressions.size());
  const hs_error_t result =
      literals ? hs_compile_lit_multi(patterns.data(), flags.data(), ids.data(), sizes.data(),
                                      count, HS_MODE_BLOCK, nullptr, &database, &error)
               : hs_compile_multi(patterns.data(), flags.data(), ids.data(), count, HS_MODE_BLOCK,
                                  nullptr, &database, &error);
  if (result != HS_SUCCESS) {
    std::string message = error != nullptr ? error->message : "out of memory";
    bad = error != nullptr ? error->expression : -1;
    hs_free_compile_error(error);
    // Remembered as well: finding out takes as long as a success.
    if (!path.empty()) write_whole(path + ".bad", std::to_string(bad) + " " + message);
    return base::Error{"Hyperscan: " + message};
  }
  char* bytes = nullptr;
  std::size_t size = 0;
  const hs_error_t serialised = hs_serialize_database(database, &bytes, &size);
  hs_free_database(database);
  if (serialised != HS_SUCCESS) return base::Error{"Hyperscan: out of memory"};
  std::string text(bytes, size);
  std::free(bytes);
  ++made_;
  if (!path.empty()) write_whole(path, text);
  return text;
}

void DatabaseMaker::forget_unused() const {
  namespace fs = std::filesystem;
  if (cache_folder_.empty()) return;
  const auto oldest = fs::file_time_type::clock::now() - std::chrono::days(kCacheDays);
  std::error_code error;
  for (fs::directory_iterator each(cache_folder_, error), end; !error && each != end;
       each.increment(error)) {
    if (each->path().filename().string().find(".hsdb") == std::string::npos) continue;
    std::error_code gone;  // by another process
    const auto last = each->last_write_time(gone);
    if (!gone && last < oldest) fs::remove(each->path(), gone);
  }
}

bool DatabaseMaker::reads(const std::string& pattern, unsigned flags) {
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  const bool good = hs_expression_info(pattern.c_str(), flags, &info, &error) == HS_SUCCESS;
  hs_free_compile_error(error);
  std::free(info);
  return good;
}

}  // namespace sluice::compile
