// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// What a document failed, for verdicts, switches and the variables that rules read.

#include "dataplane/abi/strict.h"
#include "dataplane/http/json.h"

namespace sluice::http {

abi::Reason JsonDecoder::reason() const {
  switch (error_) {
    case JsonError::kNone:
    case JsonError::kSyntax:
    case JsonError::kTruncated:
    case JsonError::kTrailing:
      return abi::Reason::kNone;
    case JsonError::kDepth:
    case JsonError::kKeys:
      return abi::Reason::kJsonDepth;
    case JsonError::kMemory:
      return abi::Reason::kTransactionMemory;
  }
  return abi::Reason::kNone;
}

std::uint64_t JsonDecoder::strict_failures() const {
  std::uint64_t failures = 0;
  const bool too_many_keys = keys_seen_ > abi::kJsonStrictKeys;
  if (duplicate_key_ || (limits_.find_duplicate_keys && too_many_keys)) {
    failures |= strict_bit(abi::Strict::kJsonDuplicateKey);
  }
  if (lone_surrogate_) failures |= strict_bit(abi::Strict::kJsonSurrogate);
  if (error_ == JsonError::kSyntax || error_ == JsonError::kTruncated ||
      error_ == JsonError::kTrailing) {
    failures |= strict_bit(abi::Strict::kJsonSyntax);
  }
  if (depth_seen_ > abi::kJsonStrictDepth || too_many_keys || long_number_ ||
      error_ == JsonError::kDepth || error_ == JsonError::kKeys) {
    failures |= strict_bit(abi::Strict::kJsonDepth);
  }
  return failures;
}

std::string_view JsonDecoder::error_text() const {
  switch (error_) {
    case JsonError::kNone:
      return {};
    case JsonError::kSyntax:
      return "JSON parsing error: lexical or parse error";
    case JsonError::kTruncated:
      return "JSON parsing error: parse error: premature EOF";
    case JsonError::kTrailing:
      return "JSON parsing error: parse error: trailing garbage";
    case JsonError::kDepth:
      return "JSON parsing error: Parsing depth limit exceeded";
    case JsonError::kKeys:
      return "JSON parsing error: too many keys, or one too long";
    case JsonError::kMemory:
      return "JSON parsing error: memory limit exceeded";
  }
  return {};
}

}  // namespace sluice::http
