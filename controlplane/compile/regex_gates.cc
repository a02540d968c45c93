// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/regex_gates.h"

#include <algorithm>
#include <string_view>

#include "controlplane/compile/honest_sample.h"
#include "controlplane/compile/needs.h"

namespace sluice::compile {
namespace {

constexpr std::size_t kGateNeedsMax = 32;
/// Where more of the honest values than this pass, PCRE2 is asked at once.
constexpr double kPassingShareMax = 0.5;

void add_needs(std::string_view pattern, abi::RegexSpec& regex, Program& program) {
  Needs needs = regex_needs(pattern);
  reduce(needs, kGateNeedsMax);
  const bool any =
      std::any_of(needs.begin(), needs.end(), [](const Need& each) { return each.nothing(); });
  if (any || share_in_sample(needs) > kPassingShareMax) return;
  regex.first_need = static_cast<std::uint32_t>(program.regex_needs.size());
  regex.need_count = static_cast<std::uint32_t>(needs.size());
  for (const Need& each : needs) {
    abi::RegexNeed need{
        each.classes, each.forbidden, each.by_line ? std::uint16_t{1} : std::uint16_t{0}, {}};
    std::fill(std::begin(need.grams), std::end(need.grams), rules::kAnyGram);
    const auto grams = rarest_grams(each, std::size(need.grams));
    std::copy(grams.begin(), grams.end(), need.grams);
    program.regex_needs.push_back(need);
  }
}

}  // namespace

void make_regex_needs(const StringsBuilder& strings, Program& program) {
  for (const abi::Rule& rule : program.rules) {
    const auto id = static_cast<abi::OperatorId>(rule.operator_id);
    const bool asks = (id == abi::OperatorId::kRx || id == abi::OperatorId::kRxGlobal) &&
                      rule.argument_index != abi::kNone32;
    if (!asks || (rule.flags & abi::kRuleScanned) != 0) continue;
    abi::RegexSpec& regex = program.regexes[rule.argument_index];
    if (regex.need_count > 0) continue;
    add_needs(std::string_view(strings.bytes()).substr(regex.pattern.offset, regex.pattern.bytes),
              regex, program);
  }
}

}  // namespace sluice::compile
