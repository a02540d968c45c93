// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controlplane/ctl/context.h"
#include "controlplane/ctl/offline_engine.h"
#include "controlplane/ctl/offline_record.h"
#include "controlplane/publish/publisher.h"

namespace sluice::ctl {

class CaptureReader;

struct ReplayTotals {
  std::uint64_t frames = 0, transactions = 0, blocked = 0, cut = 0;
  std::map<abi::Reason, std::uint64_t> drops;
};

/// Rules and policy of an offline command, compiled: --rules, --policy, or else our signatures.
/// Databases are kept in the user's cache folder.
publish::BuildResult compile_offline(const Context& context);
/// "file:line:column: message" a line each, or {"errors":[...]} with --json. kInvalid; none: kDone.
int say_errors(const Context& context, const std::vector<publish::Diagnostic>& errors);
/// Both. kDone, or kInvalid with all errors said.
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
  [[nodiscard]] OfflineEngine& engine() { return *engine_; }

 private:
  RequestJudge(std::unique_ptr<OfflineEngine> engine, const std::string& rules_json)
      : engine_(std::move(engine)), texts_(rules_json) {}

  std::unique_ptr<OfflineEngine> engine_;
  RuleTexts texts_;
  base::Nanos now_ = base::kNanosPerSecond;
  std::uint16_t client_port_ = 1023;
};

/// Base64 of RFC 4648 section 4 with its padding. False: it is not.
bool decode_base64(const std::string& text, std::string& bytes);

/// Pushes a whole capture through an engine, from outside and inside as the command line says.
/// Error: where the capture is damaged.
base::Status replay_capture(CaptureReader& capture, OfflineEngine& engine, bool with_policy,
                            ReplayTotals& totals);

/// The whole of a file, or of standard input for "-".
base::Result<std::string> read_input(const std::string& path);

}  // namespace sluice::ctl
