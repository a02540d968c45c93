// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/seclang/linker.h"

namespace sluice::seclang {
namespace {

/// Always matches, whatever the request.
bool always_matches(const Rule& rule) {
  if (!rule.complete) return false;
  for (const Link& link : rule.links) {
    if (link.unconditional) continue;
    const bool constant =
        (link.op.id == abi::OperatorId::kUnconditionalMatch && !link.op.negated) ||
        (link.op.id == abi::OperatorId::kNoMatch && link.op.negated);
    // A collection may be empty, and then nothing matches.
    const bool has_value =
        !link.targets.empty() &&
        abi::variable_info(link.targets[0].variable).kind == abi::VariableKind::kScalar;
    if (!constant || !has_value) return false;
  }
  return true;
}

bool ends_phase(Disruptive disruptive) {
  return disruptive != Disruptive::kNone && disruptive != Disruptive::kPass;
}

}  // namespace

void report_unreachable(const LinkedRules& rules, Reporter& reporter) {
  for (std::uint8_t phase = 1; phase <= 5; ++phase) {
    const Rule* cause = nullptr;
    std::size_t until = 0;
    bool reported = false;
    for (std::size_t i = 0; i < rules.rules.size(); ++i) {
      const Rule& rule = rules.rules[i];
      if (rule.phase != phase) continue;
      if (i < until && cause != nullptr) {
        if (!reported) {
          reporter.warning(rule.head().place,
                           "rule " + std::to_string(rule.id) + " can never run: rule " +
                               std::to_string(cause->id) + " at " +
                               reporter.text(cause->head().place) +
                               " always ends or skips this part of the phase (remove one of them)");
        }
        reported = true;
        continue;
      }
      if (!always_matches(rule)) continue;
      const bool ends = ends_phase(rule.disruptive);
      if (!ends && !rule.head().jump) continue;
      cause = &rule;
      until = ends ? rules.rules.size() : rule.head().jump->to;
      reported = false;
    }
  }
}

}  // namespace sluice::seclang
