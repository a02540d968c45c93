// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/verify.h"

namespace sluice::rules {

namespace {

bool passes(abi::OperatorId id, Bytes text) {
  if (id == abi::OperatorId::kVerifyCc) return is_credit_card(text);
  if (id == abi::OperatorId::kVerifySsn) return is_social_security(text);
  if (id == abi::OperatorId::kVerifyCpf) return is_cpf(text);
  return is_svnr(text);
}

}  // namespace

RegexOutcome verify(abi::OperatorId id, const Regex& regex, Bytes value, RegexContext& context,
                    std::uint64_t& work, Bytes& found) {
  std::size_t budget = abi::kVerifyBytesMax;
  for (std::size_t offset = 0; offset < value.size();) {
    const RegexOutcome outcome = context.match_metered(regex, value, offset, work);
    if (outcome != RegexOutcome::kMatch) return outcome;
    found = context.group(0).value_or(Bytes());
    if (!found.empty() && passes(id, found)) return RegexOutcome::kMatch;
    // A shorter number may begin inside this one; so the search goes on one byte further only.
    const std::size_t start =
        found.empty() ? offset : static_cast<std::size_t>(found.data() - value.data());
    if (found.size() >= budget) return RegexOutcome::kLimit;
    budget -= found.size() + 1;
    offset = (start > offset ? start : offset) + 1;
  }
  return RegexOutcome::kNoMatch;
}

}  // namespace sluice::rules
