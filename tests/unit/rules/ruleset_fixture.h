// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/compile/compile.h"
#include "dataplane/base/arena.h"
#include "dataplane/http/request_parser.h"
#include "dataplane/rules/transaction.h"

namespace sluice::rules::test {

/// Rules compiled and opened as the dataplane opens them.
struct LoadedRules {
  std::vector<std::string> errors, warnings;
  compile::CompileReport report;
  std::vector<std::uint8_t> memory;  ///< the image, somewhere in here
  base::Bytes image;                 ///< on a 64-byte boundary
  std::unique_ptr<Ruleset> ruleset;  ///< null if there were errors
};
LoadedRules load_text(const std::string& text, const compile::CompileOptions& options = {});
LoadedRules load_files(const std::vector<std::string>& files,
                       const compile::CompileOptions& options = {});

/// What the rules said of one transaction.
struct Judged {
  abi::Verdict verdict;
  std::vector<std::uint32_t> ids;  ///< of matches that are not nolog, in order
  std::vector<std::string> targets, values;
  std::int32_t inbound = 0, outbound = 0;
  std::vector<abi::Reason> limits;
  bool exact = true;
  bool refused = false;  ///< the parser found no request
  [[nodiscard]] bool has(std::uint32_t id) const;
};

/// One worker that judges raw requests (and responses) through the HTTP parser.
class Judge {
 public:
  explicit Judge(const Ruleset& ruleset);
  /// `response`: raw, may be empty: then phases 3 and 4 do not run.
  Judged run(std::string_view request, std::string_view response = {});
  [[nodiscard]] const WorkerState::Counts& counts() const { return worker_->counts(); }
  [[nodiscard]] std::size_t pool_bytes_used() const { return worker_->pool_bytes_used(); }
  std::string tx_name;  ///< if set, run() leaves its value in tx_value
  std::string tx_value;

 private:
  const Ruleset& ruleset_;
  std::unique_ptr<WorkerState> worker_;
  std::vector<std::uint8_t> memory_;
};

}  // namespace sluice::rules::test
