// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include "dataplane/abi/operators.h"
#include "dataplane/base/bytes.h"
#include "dataplane/rules/operator/regex.h"

namespace sluice::rules {

using base::Bytes;

/// The checks of verifyCC, verifySSN, verifyCPF and verifySVNR on one piece of text that the rule's
/// pattern has found. Bytes that are no digits do not count.
bool is_credit_card(Bytes text);  ///< Luhn, ISO/IEC 7812-1; any number of digits above none
bool is_social_security(
    Bytes text);           ///< US, nine digits: no zero field, area below 740 and not 666
bool is_cpf(Bytes text);   ///< Brazil, the first eleven digits and their two check digits
bool is_svnr(Bytes text);  ///< Austria, the first ten digits and their check digit

/// verifyCC, verifySSN, verifyCPF, verifySVNR: true with `found` the piece of the value if any
/// match of the pattern, from any place on, passes the check. kLimit: the pattern hit its limits or
/// took all of `work`, or together its matches were longer than abi::kVerifyBytesMax.
RegexOutcome verify(abi::OperatorId id, const Regex& regex, Bytes value, RegexContext& context,
                    std::uint64_t& work, Bytes& found);

}  // namespace sluice::rules
