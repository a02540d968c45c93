// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/seclang/link.h"
#include "dataplane/rules/operator/regex.h"

namespace sluice::compile {

/// ASCII letters made small, as the keys of TX are compared.
std::string lower_key(std::string_view text);

/// A set of keys of TX: some by name, all with a beginning, all that a pattern finds, or all.
class TxKeys {
 public:
  [[nodiscard]] bool contains(const std::string& key) const;
  void add(const TxKeys& other);
  void add_name(std::string_view key) { exact_.insert(lower_key(key)); }
  /// A key as setvar writes it, macros and all.
  void add_text(const seclang::MacroText& key);
  void add_selector(const seclang::Selector& selector);

 private:
  std::set<std::string> exact_;
  std::vector<std::string> prefixes_;
  std::vector<std::shared_ptr<const rules::Regex>> patterns_;
  bool all_ = false;
};

TxKeys written_keys(const seclang::Rule& rule);
/// Those that the keys of its collections read.
TxKeys collection_keys(const seclang::Rule& rule);
/// Those that anything else of it reads.
TxKeys read_keys(const seclang::Rule& rule);

}  // namespace sluice::compile
