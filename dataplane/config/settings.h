// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

/// sluice.yaml, for both processes. Read once at their start; a change wants a restart.
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
  // eve.json: kept while it is younger and all of it smaller; a file is closed at `rotate`.
  std::uint64_t keep_bytes = 1ULL << 30, rotate_bytes = 64ULL << 20;
  std::uint64_t keep_age_ns = 30 * 86'400'000'000'000ULL, rotate_age_ns = 86'400'000'000'000ULL;
};

/// Folders of an instance: the default instance is `main`, others add `/<instance>` to each.
struct Paths {
  std::string shm = "/dev/shm/sluice";
  std::string state = "/var/lib/sluice";
  std::string run = "/run/sluice";
  std::string log = "/var/log/sluice";
  std::string policy = "/etc/sluice/policy.yaml";

  [[nodiscard]] std::string socket() const { return run + "/control.sock"; }
  [[nodiscard]] std::string eve() const { return log + "/eve.json"; }
};

struct Settings {
  std::vector<unsigned> cores = {0};
  unsigned main_core = 0;
  Idle idle = Idle::kSpin;
  std::uint64_t pool_mb = 256;  ///< packet buffers of all ports
  std::uint64_t flows_max = 65536;
  std::uint64_t collections_mb = 16;  ///< persistent collections of the rules, shared memory
  HugePageUse huge_pages = HugePageUse::kAuto;
  std::vector<Link> links;
  Events events;
  std::string metrics_listen = "127.0.0.1:9464";  ///< address:port, or off
  Paths paths;
};

/// Who reads the file: the control plane does without links.
enum class Reader : std::uint8_t { kDataplane, kControlPlane };

/// Reads and checks `file` for `instance`. The error holds every complaint, one a line:
/// file:line:column: message.
base::Result<Settings> load_settings(const std::string& file, const std::string& instance,
                                     Reader reader = Reader::kDataplane);

/// The folders where no file says otherwise.
Paths default_paths(const std::string& instance);

}  // namespace sluice::config
