// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/compile.h"

#include "controlplane/compile/backtracking.h"
#include "controlplane/compile/fold.h"
#include "controlplane/compile/lower.h"
#include "controlplane/compile/plan.h"
#include "controlplane/compile/program.h"
#include "controlplane/compile/regex_gates.h"
#include "dataplane/base/clock.h"

namespace sluice::compile {

ProgramPtr compile(const seclang::LinkedRules& rules, const CompileOptions& options,
                   StringsBuilder& strings, config::Diagnostics& diagnostics,
                   CompileReport& report) {
  const base::Nanos start = base::monotonic_now();
  ProgramPtr program(new Program);
  report.rules = rules.rules.size();
  DatabaseMaker maker(options.cache_folder);
  const Folded folded = options.fold ? fold(rules) : fold_nothing(rules);
  report.folded = folded.count;
  const std::vector<LoweredCheck> checks = lower(folded, strings, diagnostics, *program);
  check_backtracking(folded.rules, diagnostics);
  if (!diagnostics.ok()) return nullptr;
  if (options.scan) {
    plan_scans(checks, strings, maker, *program, report);
    make_regex_needs(strings, *program);
  }
  make_phrase_databases(strings, maker, diagnostics, *program);
  if (!diagnostics.ok()) return nullptr;
  maker.forget_unused();
  report.databases = program->databases.size();
  report.databases_cached = maker.cached();
  for (const std::string& database : program->databases) report.database_bytes += database.size();
  report.elapsed_ms = (base::monotonic_now() - start) / base::kNanosPerMilli;
  return program;
}

}  // namespace sluice::compile
