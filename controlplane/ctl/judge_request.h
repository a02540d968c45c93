// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controlplane/ctl/context.h"
#include "controlplane/ctl/offline_engine.h"
#include "controlplane/ctl/offline_record.h"
#include "controlplane/publish/publisher.h"

namespace sluice::ctl {

/// Rules and policy of an offline command, compiled: --rules, --policy, or else our signatures.
/// Databases are kept in the user's cache folder. kDone, or kInvalid with all errors said.
int build_offline(const Context& context, publish::BuildResult& result);

/// Judges raw requests, each as a connection of its own.
class RequestJudge {
 public:
  /// Error: the image was refused, or an address is none.
  static base::Result<std::unique_ptr<RequestJudge>> create(const publish::BuildResult& built,
                                                            bool with_limits);

  /// request, response: raw HTTP/1 bytes; no response: phases 3 and 4 do not run. client: text;
  /// empty: an address of documentation. Error: `client` is no address, or of a family that the
  /// service has not. Several requests in one: the worst verdict, all rules that matched.
  base::Result<nlohmann::json> judge(const std::string& request, const std::string& response,
                                     const std::string& client);

 private:
  RequestJudge(std::unique_ptr<OfflineEngine> engine, const std::string& rules_json)
      : engine_(std::move(engine)), texts_(rules_json) {}

  std::unique_ptr<OfflineEngine> engine_;
  RuleTexts texts_;
  base::Nanos now_ = base::kNanosPerSecond;
  std::uint16_t client_port_ = 1023;
};

/// The whole of a file, or of standard input for "-".
base::Result<std::string> read_input(const std::string& path);

}  // namespace sluice::ctl
