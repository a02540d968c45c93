// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

/// sluice.yaml as the dataplane needs it. Read once at the start; a change wants a restart.
namespace sluice::config {

enum class Idle : std::uint8_t { kSpin, kPause, kSleep };
enum class OnFailure : std::uint8_t { kBlock, kBypass };
enum class HugePageUse : std::uint8_t { kAuto, kOn, kOff };
enum class HttpRecords : std::uint8_t { kNone, kSampled, kAll };

struct Link {
  std::string name;
  std::string outside, inside;  ///< DPDK devices: PCI address or vdev with its arguments
  std::uint32_t mtu = 1500;     ///< 576..9600
  OnFailure on_failure = OnFailure::kBlock;
};

struct Events {
  HttpRecords http_records = HttpRecords::kAll;
  std::uint32_t sample = 1;                  ///< one honest transaction in `sample`
  std::vector<std::string> request_headers;  ///< lower case
  bool body_digest = false;
  std::vector<std::string> mask = {"authorization", "cookie", "set-cookie", "x-api-key"};
};

struct Paths {
  std::string shm, state, run;
};

struct Settings {
  std::vector<unsigned> cores = {0};
  unsigned main_core = 0;
  Idle idle = Idle::kSpin;
  std::uint64_t pool_mb = 256;  ///< packet buffers of all ports
  std::uint64_t flows_max = 65536;
  HugePageUse huge_pages = HugePageUse::kAuto;
  std::vector<Link> links;
  Events events;
  Paths paths;
};

/// Reads and checks `file` for `instance`. The error holds every complaint, one a line:
/// file:line:column: message.
base::Result<Settings> load_settings(const std::string& file, const std::string& instance);

}  // namespace sluice::config
