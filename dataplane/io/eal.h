// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace sluice::io {

enum class HugePages { kAuto, kOn, kOff };

struct EalSettings {
  std::string program;           ///< argv[0]
  std::string file_prefix;       ///< one per instance
  std::string runtime_folder;    ///< the EAL makes dpdk/<file_prefix> there
  unsigned main_core = 0;        ///< CPU of the main thread
  std::vector<unsigned> cores;   ///< CPU of each worker; worker i runs on lcore i + 1
  std::vector<std::string> pci;  ///< PCI devices that may be taken, with their devargs
  HugePages huge_pages = HugePages::kAuto;
  std::size_t memory_mb = 64;  ///< what pools and drivers will need
};

struct EalInfo {
  bool huge_pages = false;
  std::string note;  ///< for the operator, where `auto` fell back; else empty
};

/// Free bytes in huge pages of 2 MiB and 1 GiB.
std::size_t free_huge_page_bytes();

/// Starts the EAL `--in-memory` under its own file prefix, without the ports: those come with
/// open_port(). Once per process. Errors say what to do: missing huge pages, cores that are
/// offline or not allowed to this process.
base::Result<EalInfo> start_eal(const EalSettings& settings);

/// Gives everything back; no port may be in use.
void stop_eal();

}  // namespace sluice::io
