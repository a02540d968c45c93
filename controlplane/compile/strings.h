// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "dataplane/abi/image.h"

namespace sluice::compile {

/// The strings section of an image: equal texts are stored once. Shared by the policy encoder and
/// the rule compiler.
class StringsBuilder {
 public:
  /// The place of `text` in the section. O(text).
  abi::StringRef add(std::string_view text) {
    if (text.empty()) return {0, 0};
    const auto [entry, is_new] =
        places_.try_emplace(std::string(text), static_cast<std::uint32_t>(bytes_.size()));
    if (is_new) bytes_.append(text);
    return {entry->second, static_cast<std::uint32_t>(text.size())};
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::unordered_map<std::string, std::uint32_t> places_;
};

}  // namespace sluice::compile
