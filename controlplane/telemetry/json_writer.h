// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::telemetry {

/// Appends JSON to a string without building a tree: records come at up to 100,000 a second, and a
/// tree per record costs ten times as much. Text that is not UTF-8 gets U+FFFD for each bad byte.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& open(char bracket = '{');
  JsonWriter& close(char bracket = '}');
  JsonWriter& key(std::string_view name);
  JsonWriter& text(std::string_view value);
  JsonWriter& number(std::uint64_t value);
  JsonWriter& number(std::int64_t value);
  JsonWriter& number(int value) { return number(static_cast<std::int64_t>(value)); }
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();

  template <typename T>
  JsonWriter& field(std::string_view name, T value) {
    key(name);
    if constexpr (std::is_same_v<T, bool>) {
      return boolean(value);
    } else if constexpr (std::is_floating_point_v<T>) {
      return number(static_cast<double>(value));
    } else if constexpr (std::is_signed_v<T>) {
      return number(static_cast<std::int64_t>(value));
    } else if constexpr (std::is_unsigned_v<T>) {
      return number(static_cast<std::uint64_t>(value));
    } else {
      return text(value);
    }
  }

 private:
  void separate();
  std::string& out_;
  bool first_ = true;
};

/// True when every byte of `text` belongs to a well-formed UTF-8 sequence (RFC 3629).
bool is_utf8(std::string_view text);

}  // namespace sluice::telemetry
