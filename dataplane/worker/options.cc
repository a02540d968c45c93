// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/options.h"

#include <getopt.h>

#include <cstdio>

#include "dataplane/config/instance_name.h"

namespace sluice::worker {
namespace {

void usage(std::FILE* to) {
  std::fputs(
      "usage: sluice-dataplane [--config FILE] [--instance NAME] [--supervise]\n"
      "  Stands between the two ports of each link, judges HTTP requests to protected services\n"
      "  and stops the bad ones.\n"
      "  --config FILE    default /etc/sluice/sluice.yaml\n"
      "  --instance NAME  default main; names shared memory, folders and the EAL prefix\n"
      "  --supervise      keep a parent that starts it again when it dies\n"
      "  --version        version and commit\n"
      "Signals: TERM, INT stop. Exit status: 0 stopped, 1 the machine lacks something,\n"
      "2 wrong usage, 3 invalid configuration.\n",
      to);
}

}  // namespace

int parse_options(int argc, char** argv, Options& options) {
  static constexpr option kLong[] = {
      {"config", required_argument, nullptr, 'c'}, {"instance", required_argument, nullptr, 'i'},
      {"supervise", no_argument, nullptr, 's'},    {"help", no_argument, nullptr, 'h'},
      {"version", no_argument, nullptr, 'V'},      {nullptr, 0, nullptr, 0}};
  for (int letter; (letter = ::getopt_long(argc, argv, "c:i:shV", kLong, nullptr)) != -1;) {
    switch (letter) {
      case 'c':
        options.config = optarg;
        break;
      case 'i':
        options.instance = optarg;
        break;
      case 's':
        options.supervise = true;
        break;
      case 'h':
        usage(stdout);
        return kExitDone;
      case 'V':
        std::printf("sluice-dataplane %s (%s)\n", SLUICE_VERSION, SLUICE_COMMIT);
        return kExitDone;
      default:
        usage(stderr);
        return kExitUsage;
    }
  }
  if (optind == argc && config::is_instance_name(options.instance)) return -1;
  if (optind == argc) return fail(config::kInstanceNameWanted, kExitUsage);
  usage(stderr);
  return kExitUsage;
}

int fail(const std::string& message, int status) {
  std::size_t at = 0;
  while (at < message.size()) {
    const std::size_t end = message.find('\n', at);
    std::fprintf(stderr, "sluice-dataplane: %s\n", message.substr(at, end - at).c_str());
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return status;
}

}  // namespace sluice::worker
