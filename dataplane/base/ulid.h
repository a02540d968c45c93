// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::base {

/// A ULID (github.com/ulid/spec): 48 bits of milliseconds, 80 bits of randomness.
struct Ulid {
  std::uint64_t high = 0, low = 0;
  friend auto operator<=>(const Ulid&, const Ulid&) = default;
};

inline constexpr std::size_t kUlidChars = 26;
using UlidText = std::array<char, kUlidChars>;

/// Crockford base32, most significant digit first.
UlidText to_text(const Ulid& ulid);
/// False when `text` is not 26 Crockford base32 digits or does not fit 128 bits.
[[nodiscard]] bool parse_ulid(std::string_view text, Ulid& ulid);

/// Makes ULIDs without a system call: a counter mixed by splitmix64 from a random
/// seed. One owner per generator; ids of one generator never repeat within 2^64 calls.
class UlidGenerator {
 public:
  explicit UlidGenerator(std::uint64_t seed) : state_(seed) {}
  Ulid next(std::uint64_t wall_ms);

 private:
  std::uint64_t state_;
};

}  // namespace sluice::base
