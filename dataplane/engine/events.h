// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/abi/events.h"
#include "dataplane/abi/ring.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/head.h"

namespace sluice::rules {
class Transaction;
}

/// What is written about transactions and drops. Masking and cutting happen here, before the ring.
namespace sluice::engine {

inline constexpr std::size_t kEventHeaderNamesMax = 32;
inline constexpr std::size_t kEventHeaderNameBytesMax = 64;

/// `events:` of sluice.yaml, fixed at start.
struct EventOptions {
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
  bool http_records = true;  ///< one for each transaction; alerts are written anyway
  std::uint32_t sample = 1;  ///< one honest transaction in `sample` gets its record
  bool body_digest = false;  ///< SHA-256 of the request body
  Names request_headers;     ///< copied into records
  Names mask;                ///< replaced by their length, wherever they appear
};

/// One finished transaction, as the ring gets it and uncut. Views live for the call.
struct TransactionRecord {
  const abi::EventHeader* header = nullptr;
  std::string_view method, uri, protocol, host, user_agent, content_type;
  std::span<const http::Field> fields;  ///< of the request
  std::string_view refused_head;        ///< raw, where the parser refused it
  std::size_t refused_at = 0;           ///< after so many of its bytes
  std::string_view limit_name;
  std::string_view route;                     ///< by name, where the policy has one that fits
  std::string_view client_address;            ///< text, where it differs from the source
  base::Bytes body_sha256;                    ///< 32 bytes, or none
  const rules::Transaction* rules = nullptr;  ///< its matches; null: never judged by rules
  const rules::Transaction* staged = nullptr;
};

/// True for the names of values that nobody should find in a log: password, token, secret, and so
/// on, anywhere in `name`, in any case.
[[nodiscard]] bool is_secret_name(std::string_view name);

/// Copies `text`, cut to `out`, with the values of secret names replaced by "***", in urlencoded
/// (name=value) and JSON ("name":"value") form. Returns the bytes written. O(text).
std::size_t copy_masked(std::string_view text, std::span<char> out);

/// Outer and inner id of a net::ParsedPacket::vlan_key, where a single tag stands alone.
inline void set_vlan(std::uint32_t vlan_key, abi::EventHeader& header) {
  const auto outer = static_cast<std::uint16_t>(vlan_key >> 12 & 0xfff);
  const auto inner = static_cast<std::uint16_t>(vlan_key & 0xfff);
  header.vlan[0] = outer != 0 ? outer : inner;
  header.vlan[1] = outer != 0 ? inner : std::uint16_t{0};
}

/// One worker's writer of records.
class EventWriter {
 public:
  EventWriter(const EventOptions& options, abi::RingWriter verdicts, abi::RingWriter http)
      : options_(options), verdicts_(verdicts), http_(http) {}

  /// An http record where they are wanted, and an alert where something was judged bad, also by the
  /// staged generation alone. O(record), no wait: a full ring counts.
  void transaction(const TransactionRecord& record);
  [[nodiscard]] const EventOptions& options() const { return options_; }
  /// Packets of one flow that were dropped for one reason. header.packet_count says how many.
  void drop(const abi::EventHeader& header);

 private:
  void write(abi::RingWriter& ring, abi::RecordType type, const TransactionRecord& record);

  [[nodiscard]] bool sampled_out(const TransactionRecord& record);

  const EventOptions& options_;
  std::uint32_t honest_ = 0;  ///< since the last one that was recorded
  abi::RingWriter verdicts_, http_;
};

}  // namespace sluice::engine
