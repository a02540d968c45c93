// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <map>
#include <string>

namespace sluice::ctl {

/// Exit statuses of sluicectl (interface.md).
enum Exit : int {
  kDone = 0,
  kNo = 1,
  kUsage = 2,
  kInvalid = 3,
  kUnreachable = 4,
  kRefused = 5,
  kTimeout = 6,
};

struct Answer {
  int exit = kUnreachable;  ///< kDone when there is a body to read
  int status = 0;
  std::string body;
  std::string message;  ///< for people, when exit is not kDone
};

/// One request to sluiced. Waits at most `timeout_s`.
Answer get(const std::string& socket, const std::string& path,
           const std::map<std::string, std::string>& parameters = {}, int timeout_s = 30);
Answer post(const std::string& socket, const std::string& path, const std::string& body,
            int timeout_s = 300, const char* type = "application/json");

}  // namespace sluice::ctl
