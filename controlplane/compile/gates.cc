// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/gates.h"

#include <algorithm>

#include "dataplane/rules/byte_class.h"

namespace sluice::compile {

namespace {

constexpr std::uint64_t kUpper = rules::class_bit(rules::ByteClass::kUpper);

/// Leaves out masks that hold another one: they add nothing.
void simplify(std::vector<std::uint64_t>& masks) {
  std::sort(masks.begin(), masks.end());
  masks.erase(std::unique(masks.begin(), masks.end()), masks.end());
  std::vector<std::uint64_t> kept;
  for (const std::uint64_t mask : masks) {
    const bool implied = std::any_of(masks.begin(), masks.end(), [&](std::uint64_t other) {
      return other != mask && (other & mask) == other;
    });
    if (!implied) kept.push_back(mask);
  }
  masks = std::move(kept);
}

}  // namespace

std::vector<std::uint64_t> regex_gates(std::string_view) { return {}; }

std::vector<std::uint64_t> literal_gates(const std::vector<std::string>& texts) {
  std::vector<std::uint64_t> masks;
  for (const std::string& text : texts) {
    // Upper case is not asked for: matching may ignore case.
    masks.push_back(rules::classes_of_any(text) & ~kUpper);
    if (masks.back() == 0) return {};
  }
  simplify(masks);
  return masks;
}

}  // namespace sluice::compile
