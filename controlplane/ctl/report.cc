// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/client.h"
#include "controlplane/ctl/online.h"
#include "controlplane/ctl/render.h"
#include "controlplane/ctl/report_page.h"
#include "controlplane/publish/file_io.h"
#include "dataplane/base/clock.h"

namespace sluice::ctl {

int run_report(const Context& context) {
  std::uint64_t since_ns = 0;
  const std::string since = context.since.empty() ? "24h" : context.since;
  if (!parse_since(since, base::wall_now(), since_ns)) {
    return complain(context, kUsage, "--since wants 15min, 24h, 7d or 2026-01-31T12:00");
  }
  nlohmann::json report;
  std::map<std::string, std::string> query{{"since_ns", std::to_string(since_ns)}};
  if (!context.service.empty()) query["service"] = context.service;
  const int exit = ask(context, "/v1/report", query, report);
  if (exit != kDone) return exit;
  if (!context.service.empty() && report.value("requests", 0ull) == 0) {
    std::fprintf(stderr, "sluicectl: no request of a service %s in that time\n",
                 context.service.c_str());
  }
  if (context.json) {
    print_json(report);
    return kDone;
  }
  const std::string page = report_page(report, context.instance);
  if (context.output == "-") {
    std::fwrite(page.data(), 1, page.size(), stdout);
    return kDone;
  }
  const std::string path = context.output.empty() ? "sluice-report.html" : context.output;
  if (auto wrote = publish::write_file(path, page, 0644); !wrote.ok()) {
    return complain(context, kNo, wrote.error().message);
  }
  std::printf("%s\n", path.c_str());
  return kDone;
}

}  // namespace sluice::ctl
