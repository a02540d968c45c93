// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::ctl {

/// The global options, and every command's own.
struct Context {
  std::string instance = "main";
  std::string config = "/etc/sluice/sluice.yaml";
  std::string socket;  ///< empty: of the instance
  bool json = false;
  std::string signatures;  ///< folder of our own rules

  std::vector<std::string> files;
  std::string policy, service, type, since, mode, client, response, request_file, key, output,
      event, verdict, reason, rule;
  std::vector<std::string> rules;
  std::uint64_t generation = 0, bundle_version = 0;
  std::size_t count = 10, limit = 0;  ///< limit 0: the command's own
  bool cycles = false, watch = false, follow = false, batch = false, once = false, force = false;
  double interval_s = 1;
};

// Each command prints its answer and returns the exit status.
int run_status(const Context& context);
int run_push(const Context& context);
int run_stage(const Context& context);
int run_unstage(const Context& context);
int run_promote(const Context& context);
int run_rollback(const Context& context);
int run_generations(const Context& context);
int run_mode(const Context& context);
int run_bypass(const Context& context);
int run_counters(const Context& context);
int run_events(const Context& context);
int run_top(const Context& context);
int run_explain(const Context& context);
int run_report(const Context& context);

int run_config_test(const Context& context);
int run_check(const Context& context);
int run_replay(const Context& context);
int run_rules_test(const Context& context);
int run_rules_cost(const Context& context);

int run_bundle_build(const Context& context);
int run_bundle_sign(const Context& context);
int run_bundle_verify(const Context& context);
int run_bundle_install(const Context& context);

/// The state folder of the instance; of a broken sluice.yaml the usual one.
std::string state_folder(const Context& context);
/// Where the instance's sluiced looks for public keys: beside its policy.
std::string keys_folder(const Context& context);

/// Prints a message for people, or {"error":...} with --json, and returns `exit`.
int complain(const Context& context, int exit, const std::string& message);

}  // namespace sluice::ctl
