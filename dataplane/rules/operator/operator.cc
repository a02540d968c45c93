// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include "dataplane/base/check.h"

namespace sluice::rules {

bool match_leaf(abi::OperatorId id, Bytes argument, Bytes value) {
  using abi::OperatorId;
  switch (id) {
    case OperatorId::kStreq:
      return streq(argument, value);
    case OperatorId::kContains:
      return contains(argument, value);
    case OperatorId::kContainsWord:
      return contains_word(argument, value);
    case OperatorId::kBeginsWith:
      return begins_with(argument, value);
    case OperatorId::kEndsWith:
      return ends_with(argument, value);
    case OperatorId::kWithin:
      return within(argument, value);
    case OperatorId::kStrmatch:
      return strmatch(argument, value);
    case OperatorId::kEq:
      return eq(argument, value);
    case OperatorId::kGe:
      return ge(argument, value);
    case OperatorId::kGt:
      return gt(argument, value);
    case OperatorId::kLe:
      return le(argument, value);
    case OperatorId::kLt:
      return lt(argument, value);
    case OperatorId::kValidateUrlEncoding:
      return has_bad_url_encoding(value);
    case OperatorId::kValidateUtf8Encoding:
      return has_bad_utf8(value);
    case OperatorId::kUnconditionalMatch:
      return true;
    case OperatorId::kNoMatch:
    case OperatorId::kRbl:
    case OperatorId::kFuzzyHash:
      return false;
    case OperatorId::kRx:
    case OperatorId::kRxGlobal:
    case OperatorId::kPm:
    case OperatorId::kPmFromFile:
    case OperatorId::kIpMatch:
    case OperatorId::kIpMatchFromFile:
    case OperatorId::kValidateByteRange:
    case OperatorId::kDetectSqli:
    case OperatorId::kDetectXss:
    case OperatorId::kVerifyCc:
    case OperatorId::kVerifySsn:
    case OperatorId::kVerifyCpf:
    case OperatorId::kVerifySvnr:
    case OperatorId::kGeoLookup:
    case OperatorId::kInspectFile:
    case OperatorId::kValidateSchema:
    case OperatorId::kValidateDtd:
    case OperatorId::kRsub:
    case OperatorId::kGsbLookup:
    case OperatorId::kValidateHash:
    case OperatorId::kCount:
      break;
  }
  SLUICE_CHECK(false);  // an operator that has a prepared form, or that no image may hold
  return false;
}

}  // namespace sluice::rules
