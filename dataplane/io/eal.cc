// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/io/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sluice::io {
namespace {

std::size_t read_number(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return 0;
  unsigned long long number = 0;
  if (std::fscanf(file, "%llu", &number) != 1) number = 0;
  std::fclose(file);
  return number;
}

base::Status check_core(unsigned core, const char* what, const cpu_set_t& allowed) {
  const long online = ::sysconf(_SC_NPROCESSORS_CONF);
  const std::string name = std::string(what) + " " + std::to_string(core);
  if (online > 0 && core >= static_cast<unsigned long>(online)) {
    return base::Error{name + ": this machine has cores 0 to " + std::to_string(online - 1) +
                       "; change workers: in sluice.yaml"};
  }
  if (!CPU_ISSET(core, &allowed)) {
    return base::Error{name +
                       " is offline or not allowed to this process (taskset, cgroup cpuset): "
                       "change workers: in sluice.yaml or give the core to this service"};
  }
  return base::ok_status();
}

base::Status check_cores(const EalSettings& settings) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  if (auto main = check_core(settings.main_core, "main_core", allowed); !main.ok()) return main;
  for (const unsigned core : settings.cores) {
    if (auto worker = check_core(core, "worker core", allowed); !worker.ok()) return worker;
  }
  return base::ok_status();
}

std::string huge_page_advice(std::size_t wanted_mb, std::size_t free_mb) {
  return "huge pages: " + std::to_string(wanted_mb) + " MiB wanted, " + std::to_string(free_mb) +
         " MiB free; reserve them with `sysctl vm.nr_hugepages=" +
         std::to_string((wanted_mb + 1) / 2) + "` (or hugepages= on the kernel's command line)";
}

/// Lcore 0 is the main thread, lcore i + 1 worker i; several may share a CPU.
std::string lcore_map(const EalSettings& settings) {
  std::string map = "0@" + std::to_string(settings.main_core);
  for (std::size_t i = 0; i < settings.cores.size(); ++i) {
    map += "," + std::to_string(i + 1) + "@" + std::to_string(settings.cores[i]);
  }
  return map;
}

}  // namespace

std::size_t free_huge_page_bytes() {
  const std::string folder = "/sys/kernel/mm/hugepages/hugepages-";
  return (read_number(folder + "2048kB/free_hugepages") << 21) +
         (read_number(folder + "1048576kB/free_hugepages") << 30);
}

base::Result<EalInfo> start_eal(const EalSettings& settings) {
  if (auto cores = check_cores(settings); !cores.ok()) return cores.error();
  EalInfo info;
  const std::size_t free_mb = free_huge_page_bytes() >> 20;
  info.huge_pages = settings.huge_pages != HugePages::kOff && free_mb >= settings.memory_mb;
  if (settings.huge_pages == HugePages::kOn && !info.huge_pages) {
    return base::Error{huge_page_advice(settings.memory_mb, free_mb) +
                       ", or set memory.huge_pages: auto"};
  }
  if (settings.huge_pages == HugePages::kAuto && !info.huge_pages) {
    info.note = huge_page_advice(settings.memory_mb, free_mb) + "; going on with ordinary pages";
  }
  if (!info.huge_pages && !settings.pci.empty()) {
    info.note += ". PCI devices usually need huge pages for DMA";
  }

  std::vector<std::string> words = {settings.program,
                                    "--no-telemetry",
                                    "--file-prefix=" + settings.file_prefix,
                                    "--lcores=" + lcore_map(settings),
                                    "--main-lcore=0",
                                    "--log-level=warning"};
  words.insert(words.end(), {"-m", std::to_string(settings.memory_mb)});
  if (info.huge_pages) {
    words.push_back("--in-memory");
  } else {
    // --no-huge implies legacy memory, which --in-memory refuses; no file is shared either way.
    words.insert(words.end(), {"--no-huge", "--no-shconf", "--iova-mode=va"});
  }
  ::setenv("RUNTIME_DIRECTORY", settings.runtime_folder.c_str(), 1);
  if (settings.pci.empty()) words.push_back("--no-pci");
  for (const std::string& device : settings.pci) words.insert(words.end(), {"-a", device});

  std::vector<char*> arguments;
  arguments.reserve(words.size());
  for (std::string& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
    return base::Error{std::string("the EAL of DPDK does not start: ") + rte_strerror(rte_errno) +
                       "; its own message stands above"};
  }
  return info;
}

void stop_eal() { rte_eal_cleanup(); }

}  // namespace sluice::io
