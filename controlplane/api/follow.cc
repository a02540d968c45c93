// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/api/follow.h"

#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <vector>

#include "controlplane/telemetry/eve_file.h"

namespace sluice::api {
namespace {

constexpr std::size_t kBytesMax = 1u << 20;

std::string cursor_text(unsigned long long inode, unsigned long long offset) {
  return std::to_string(inode) + ":" + std::to_string(offset);
}

unsigned long long inode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

std::string end_cursor(const std::string& eve_path) {
  struct stat info {};
  if (::stat(eve_path.c_str(), &info) != 0) return "0:0";
  return cursor_text(info.st_ino, static_cast<unsigned long long>(info.st_size));
}

std::string follow_json(const std::string& eve_path, const std::string& cursor,
                        const EventFilter& filter) {
  unsigned long long inode = 0, offset = 0;
  std::sscanf(cursor.c_str(), "%llu:%llu", &inode, &offset);
  // Oldest first, from the cursor's file on.
  std::vector<std::string> files = telemetry::eve_files(eve_path);
  std::vector<std::string> ahead;
  bool known = false;
  for (const std::string& file : files) {
    ahead.insert(ahead.begin(), file);
    if (inode_of(file) == inode) {
      known = true;
      break;
    }
  }
  if (!known) {
    offset = 0;
    if (!files.empty() && inode != 0) ahead = {files.front()};
  }
  std::string body, next = cursor;
  std::size_t bytes = 0;
  for (const std::string& file : ahead) {
    std::ifstream lines(file);
    lines.seekg(static_cast<std::streamoff>(offset));
    std::string line;
    while (bytes < kBytesMax && std::getline(lines, line)) {
      if (lines.eof()) break;  // half a line: its rest comes later
      offset += line.size() + 1;
      bytes += line.size();
      if (!filter.wants(line)) continue;
      if (!body.empty()) body += ",\n";
      body += line;
    }
    next = cursor_text(inode_of(file), offset);
    if (bytes >= kBytesMax) break;
    offset = 0;
  }
  return "{\"cursor\":\"" + next + "\",\"events\":[" + body + "]}";
}

}  // namespace sluice::api
