// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/api/handlers.h"
#include "dataplane/base/check.h"
#include "tests/unit/publish/dataplane_side.h"

/// Requests of the control API, as the HTTP server hands them to it, over a daemon that has records
/// but no dataplane: every answer is JSON with a status of its own. Input: lines of method, path,
/// one parameter a line as name=value, an empty line, the body.

namespace {

using namespace sluice;

/// Publisher, collector and records, in a folder that goes at the end.
class Daemon {
 public:
  Daemon() {
    paths_.shm = folder_.path() + "/shm";
    paths_.state = folder_.path() + "/state";
    paths_.run = folder_.path() + "/run";
    paths_.policy = folder_.path() + "/policy.yaml";
    std::filesystem::create_directories(paths_.run);
    publisher_ = std::make_unique<publish::Publisher>(
        paths_,
        [](const publish::BuildRequest& request) {
          // Nothing gets to the disk: it would grow with every input.
          publish::BuildResult result;
          result.errors.push_back({request.policy, 1, 1, "no: " + request.policy});
          return result;
        },
        publish::PublishOptions{});
    SLUICE_CHECK(publisher_->open().ok());
    telemetry::CollectorOptions options;
    options.shm = paths_.shm;
    options.state = paths_.state;
    options.eve.path = folder_.path() + "/eve.json";
    options.eve.rotate_bytes = 1 << 20;
    options.eve.keep_bytes = 2 << 20;
    std::ofstream(options.eve.path)
        << R"({"timestamp":"2026-01-01T00:00:00.000000+0000","event_type":"alert"})"
        << "\n"
        << R"({"timestamp":"2026-01-01T00:00:01.000000+0000","event_type":"http"})"
        << "\n{cut";
    collector_ = std::make_unique<telemetry::Collector>(options);
    services_.emplace(
        api::Services{*publisher_, *collector_, "1", "abc", "main", options.eve.path, nullptr});
  }
  api::Services& services() { return *services_; }

 private:
  test::TempFolder folder_;
  publish::Paths paths_;
  std::unique_ptr<publish::Publisher> publisher_;
  std::unique_ptr<telemetry::Collector> collector_;
  std::optional<api::Services> services_;
};

std::string line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string taken(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Daemon daemon;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  api::Request request;
  request.method = line(text);
  request.path = line(text);
  request.actor = "uid 0 (root) pid 1";
  while (!text.empty()) {
    const std::string parameter = line(text);
    if (parameter.empty()) break;
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    request.parameters[parameter.substr(0, equals)] =
        equals == parameter.size() ? "" : parameter.substr(equals + 1);
  }
  request.body = std::string(text);
  const api::Response response = api::handle(daemon.services(), request);
  SLUICE_CHECK(response.status == 200 || (response.status >= 400 && response.status < 600));
  SLUICE_CHECK(nlohmann::json::accept(response.body));
  (void)api::handle_metrics(daemon.services(), request);
  return 0;
}
