// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>

#include "controlplane/api/settings.h"
#include "controlplane/ctl/client.h"
#include "controlplane/ctl/context.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/ip_address.h"
#include "dataplane/config/instance_name.h"

namespace sluice::ctl {
namespace {

using Command = int (*)(const Context&);

/// In a build tree the signatures of the sources, else the installed ones.
std::string signatures_folder() {
  std::error_code failed;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", failed).string();
  return self.starts_with(SLUICE_BUILD_ROOT "/") ? SLUICE_SIGNATURES_SOURCE
                                                 : SLUICE_SIGNATURES_INSTALLED;
}

/// What is wrong with the name of a reason, or with an address or prefix; empty: nothing.
std::string unknown_reason(const std::string& name) {
  const auto is = [&](const abi::ReasonText& reason) { return reason.name == name; };
  return std::any_of(abi::kReasonTexts.begin(), abi::kReasonTexts.end(), is)
             ? ""
             : "there is no reason " + name;
}
std::string no_prefix(const std::string& text) {
  return base::IpPrefix::parse(text) ? "" : text + " is no address and no prefix";
}

std::string no_instance(const std::string& name) {
  return config::is_instance_name(name) ? "" : config::kInstanceNameWanted;
}

/// Declares the commands that ask the daemon.
void declare_online(CLI::App& app, Context& context, Command& chosen) {
  const auto command = [&](const char* name, const char* help, Command run) {
    CLI::App* sub = app.add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([&chosen, run] { chosen = run; });
    return sub;
  };
  command("status", "daemon, dataplane, links, workers, generations, mode", run_status);
  command("push", "compile and publish a generation", run_push)
      ->add_option("POLICY", context.policy,
                   "policy.yaml or a bundle; default: the configured one");
  command("stage", "shadow a policy beside the live one", run_stage)
      ->add_option("POLICY", context.policy, "policy.yaml; default: the configured one");
  command("unstage", "drop the staged generation", run_unstage);
  command("promote", "make the staged generation live", run_promote);
  command("rollback", "go back to an accepted generation", run_rollback)
      ->add_option("GENERATION", context.generation, "default: the accepted one before")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{9'000'000'000'000'000}));
  command("generations", "list them, with the verdicts that differ", run_generations);
  CLI::App* mode =
      command("mode", "a switch in the place of the policy's mode; policy: none", run_mode);
  mode->add_option("MODE", context.mode, "monitor: records what it would block")
      ->required()
      ->check(CLI::IsMember({"off", "monitor", "block", "policy"}));
  mode->add_option("--service", context.service, "for one service only");
  command("bypass", "on: forward everything uninspected", run_bypass)
      ->add_option("SWITCH", context.mode, "until it is off again, over restarts too")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  CLI::App* counters = command("counters", "counters by worker and reason", run_counters);
  counters->add_flag("--cycles", context.cycles, "cycles by stage");
  counters->add_flag("--watch", context.watch, "refresh");
  counters->add_option("--interval", context.interval_s, "seconds between refreshes (default 1)")
      ->check(CLI::Range(0.1, 86'400.0));
  CLI::App* events = command("events", "records", run_events);
  events->add_flag("--follow", context.follow, "wait for more");
  events->add_option("--type", context.type, "one type only")
      ->check(CLI::IsMember({"alert", "http", "drop", "stats", "audit"}));
  events->add_option("--verdict", context.verdict, "pass, monitor or block only")
      ->check(CLI::IsMember({"pass", "monitor", "block"}));
  events->add_option("--reason", context.reason, "of one reason only, as limit")
      ->check(CLI::Validator(unknown_reason, "REASON"));
  events->add_option("--service", context.service, "of one service only");
  events->add_option("--client", context.client, "from one address or prefix only, as 10.0.0.0/8")
      ->check(CLI::Validator(no_prefix, "ADDRESS"));
  events->add_option("--rule", context.rule, "that one rule matched, by its id")
      ->check(CLI::Range(1, 2'147'483'647));
  events->add_option("--since", context.since, "15min, 24h, 7d ago, or 2026-01-31T12:00 (UTC)");
  events->add_option("--limit", context.limit, "the newest N (default 100; with --since 100000)")
      ->check(CLI::Range(1, 1'000'000));
  CLI::App* top = command("top", "busiest clients, routes, rules, reasons", run_top);
  top->add_option("--count", context.count, "rows of each table (default 10)")
      ->check(CLI::Range(1, 1000));
  top->add_flag("--once", context.once, "show once");
  top->add_option("--interval", context.interval_s, "seconds between refreshes (default 1)")
      ->check(CLI::Range(0.1, 86'400.0));
  CLI::App* report = command("report", "one self-contained HTML page with plots", run_report);
  report->add_option("--since", context.since, "24h, 7d ago, or 2026-01-31T12:00 (UTC)")
      ->default_str("24h");
  report->add_option("--service", context.service, "of one service only");
  report->add_option("--output,-o", context.output, "file (default sluice-report.html; -: stdout)");
  command("explain", "everything known about one verdict", run_explain)
      ->add_option("EVENT-ID", context.event, "of a record, a reply or its X-Sluice-Event")
      ->required();
}

void declare_bundle(CLI::App& app, Context& context, Command& chosen) {
  CLI::App* bundle = app.add_subcommand("bundle", "signed signature and policy updates");
  bundle->require_subcommand(1)->fallthrough();
  const auto command = [&](const char* name, const char* help, Command run) {
    CLI::App* sub = bundle->add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([&chosen, run] { chosen = run; });
    return sub;
  };
  CLI::App* build = command("build", "compile and pack rules and policy", run_bundle_build);
  build->add_option("--name", context.service, "[a-z0-9._-]")->required();
  build->add_option("--version", context.bundle_version, "a number that grows")
      ->required()
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{9'000'000'000'000'000}));
  build->add_option("--policy", context.policy, "policy.yaml; without one: rules only");
  build->add_option("--output,-o", context.output, "the bundle")->required();
  build->add_option("FILES", context.files, "*.conf, or folders");
  CLI::App* sign = command("sign", "sign with an Ed25519 key", run_bundle_sign);
  sign->add_option("--key", context.key, "private key, PEM")->required();
  sign->add_option("--output,-o", context.output, "default: in place");
  sign->add_option("BUNDLE", context.files)->required()->expected(1);
  CLI::App* verify = command("verify", "check the signature", run_bundle_verify);
  verify->add_option("--key", context.key,
                     "public key, PEM, or a folder of them (default: keys/ beside the policy, "
                     "/etc/sluice/keys)");
  verify->add_option("BUNDLE", context.files)->required()->expected(1);
  CLI::App* install = command("install", "verify, unpack and push", run_bundle_install);
  install->add_option("BUNDLE", context.policy)->required();
  install->add_flag("--force", context.force, "an older version too");
}

/// Declares the commands that need no daemon.
void declare_offline(CLI::App& app, Context& context, Command& chosen) {
  CLI::App* config = app.add_subcommand("config", "configuration");
  config->require_subcommand(1)->fallthrough();
  CLI::App* test = config->add_subcommand("test", "check sluice.yaml, policies and all rules");
  test->fallthrough();
  test->add_option("FILES", context.files, "policies; default: the configured one");
  test->callback([&chosen] { chosen = run_config_test; });

  const auto engine_options = [&context](CLI::App* sub) {
    sub->fallthrough();
    sub->add_option("--policy", context.policy, "policy.yaml, with its services and rules");
    return sub;
  };
  const auto rules_option = [&context](CLI::App* sub) {
    // One file for each --rules, so that a file may follow it.
    sub->add_option("--rules", context.rules, "a rule file; may be repeated")
        ->allow_extra_args(false);
  };
  CLI::App* check =
      engine_options(app.add_subcommand("check", "raw HTTP/1 through the engine, offline"));
  rules_option(check);
  check->add_option("--client", context.client, "address that the request comes from");
  check->add_option("--response", context.response, "raw response, for phases 3 and 4");
  check->add_flag("--batch", context.batch,
                  "NDJSON {\"id\",\"request_b64\",\"response_b64\"?,\"client\"?} in and out");
  check->add_option("FILE", context.files, "- for standard input")->expected(0, 1);
  check->callback([&chosen] { chosen = run_check; });
  CLI::App* replay =
      engine_options(app.add_subcommand("replay", "a pcap or pcapng through the engine, offline"));
  rules_option(replay);
  replay->add_option("CAPTURE", context.files)->required()->expected(1);
  replay->callback([&chosen] { chosen = run_replay; });

  CLI::App* rules = app.add_subcommand("rules", "rule files, offline");
  rules->require_subcommand(1)->fallthrough();
  CLI::App* rules_test =
      engine_options(rules->add_subcommand("test", "compile; which rules fire, and on what"));
  rules_test->add_option("FILES", context.files, "rule files")->required();
  rules_test->add_option("--request", context.request_file, "raw HTTP/1 request");
  rules_test->add_option("--response", context.response, "raw response, for phases 3 and 4");
  rules_test->add_option("--client", context.client, "address that the request comes from");
  rules_test->callback([&chosen] { chosen = run_rules_test; });
  CLI::App* rules_cost =
      engine_options(rules->add_subcommand("cost", "what each rule costs over recorded traffic"));
  rules_option(rules_cost);
  rules_cost->add_option("FILE", context.files, "a pcap or pcapng, or NDJSON as of check --batch")
      ->required()
      ->expected(1);
  rules_cost->callback([&chosen] { chosen = run_rules_cost; });
}

int run(int argc, char** argv) {
  Context context;
  context.signatures = signatures_folder();
  Command chosen = nullptr;
  CLI::App app("sluicectl: the command line of Sluice");
  app.set_version_flag("--version", SLUICE_VERSION " (" SLUICE_COMMIT ")");
  app.require_subcommand(1);
  app.add_option("--instance", context.instance, "name of the instance (default main)")
      ->check(CLI::Validator(no_instance, ""));
  const CLI::Option* config = app.add_option(
      "--config", context.config,
      "sluice.yaml, for the paths (default /etc/sluice/sluice.yaml; of another instance the file "
      "of its units, /etc/sluice/INSTANCE.yaml, where there is one)");
  app.add_option("--socket", context.socket, "control socket (default: of the instance)");
  app.add_flag("--json", context.json, "JSON, for programs");
  app.footer(
      "Exit status: 0 done or allowed; 1 the answer is no; 2 wrong usage; 3 invalid configuration\n"
      "or rules; 4 daemon not reachable; 5 refused by the dataplane; 6 timeout.");
  declare_online(app, context, chosen);
  declare_bundle(app, context, chosen);
  declare_offline(app, context, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    return app.exit(done);
  } catch (const CLI::ParseError& wrong) {
    app.exit(wrong);
    return kUsage;
  }
  // A script's variable that is not set: `mode off --service "$S"` means no switch for everything.
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word.empty() || (word.starts_with("--") && word.ends_with("="))) {
      return complain(context, kUsage, "an argument is empty: " + std::string(word) + "\"\"");
    }
  }
  if (const std::string own = "/etc/sluice/" + context.instance + ".yaml";
      config->count() == 0 && context.instance != "main" && ::access(own.c_str(), F_OK) == 0) {
    context.config = own;
  }
  const bool offline = chosen == run_config_test || chosen == run_check || chosen == run_replay ||
                       chosen == run_rules_test || chosen == run_rules_cost ||
                       chosen == run_bundle_build || chosen == run_bundle_sign ||
                       chosen == run_bundle_verify;
  if (context.socket.empty() && !offline) {
    const auto settings = api::load_settings(context.config, context.instance);
    if (!settings.ok()) return complain(context, kInvalid, settings.error().message);
    context.socket = settings.value().paths.socket();
  }
  return chosen(context);
}

}  // namespace
}  // namespace sluice::ctl

int main(int argc, char** argv) { return sluice::ctl::run(argc, argv); }
