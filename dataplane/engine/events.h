// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/events.h"
#include "dataplane/base/bytes.h"

namespace sluice::rules {
class Transaction;
}

/// What is written about transactions and drops, and for whom.
namespace sluice::engine {

inline constexpr std::size_t kEventHeaderNamesMax = 32;
inline constexpr std::size_t kEventHeaderNameBytesMax = 64;

/// `events:` of sluice.yaml, fixed at start.
struct EventOptions {
  enum class HttpRecords : std::uint8_t { kNone, kSampled, kAll };
  struct Name {
    std::array<char, kEventHeaderNameBytesMax> text = {};
    std::uint8_t bytes = 0;
    [[nodiscard]] std::string_view view() const { return {text.data(), bytes}; }
  };
  struct Names {
    std::array<Name, kEventHeaderNamesMax> names = {};
    std::uint8_t count = 0;
    /// name: lower case. False: full or too long.
    bool add(std::string_view name);
    /// name: any case.
    [[nodiscard]] bool contains(std::string_view name) const;
  };
  HttpRecords http_records = HttpRecords::kAll;
  std::uint32_t sample = 1;  ///< of honest transactions, one in `sample` is recorded
  bool body_digest = false;  ///< SHA-256 of the request body
  Names request_headers;     ///< copied into records
  Names mask;                ///< replaced by their length, wherever they appear
};

/// One finished transaction, as the ring gets it and uncut. Views live for the call.
struct TransactionRecord {
  const abi::EventHeader* header = nullptr;
  std::string_view method, uri, protocol, host, user_agent;
  std::string_view limit_name;
  const rules::Transaction* rules = nullptr;  ///< its matches; null: never judged by rules
  const rules::Transaction* staged = nullptr;
};

}  // namespace sluice::engine
