// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/tx_keys.h"

#include <algorithm>
#include <cctype>

namespace sluice::compile {

using abi::VariableId;
using seclang::Link;
using seclang::MacroText;
using seclang::Rule;

namespace {

void read_text(const MacroText& text, TxKeys& keys) {
  for (const seclang::MacroPiece& piece : text.pieces) {
    if (piece.is_variable && piece.variable == VariableId::kTx) keys.add_name(piece.key);
  }
}

bool finds(const rules::Regex& pattern, const std::string& key) {
  auto context = rules::RegexContext::create();
  if (!context.ok()) return true;
  return std::move(context).value().match(pattern, base::as_bytes(key)) !=
         rules::MatchOutcome::kNoMatch;
}

}  // namespace

std::string lower_key(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool TxKeys::contains(const std::string& key) const {
  return all_ || exact_.contains(key) ||
         std::any_of(prefixes_.begin(), prefixes_.end(),
                     [&](const std::string& prefix) { return key.starts_with(prefix); }) ||
         std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const auto& pattern) { return finds(*pattern, key); });
}

void TxKeys::add(const TxKeys& other) {
  exact_.insert(other.exact_.begin(), other.exact_.end());
  prefixes_.insert(prefixes_.end(), other.prefixes_.begin(), other.prefixes_.end());
  patterns_.insert(patterns_.end(), other.patterns_.begin(), other.patterns_.end());
  all_ = all_ || other.all_;
}

void TxKeys::add_text(const MacroText& key) {
  if (key.is_constant()) {
    add_name(key.constant());
  } else if (key.pieces[0].is_variable) {
    all_ = true;
  } else {
    prefixes_.push_back(lower_key(key.pieces[0].literal));
  }
}

void TxKeys::add_selector(const seclang::Selector& selector) {
  if (selector.kind == seclang::Selector::Kind::kName) return add_name(selector.text);
  rules::RegexOptions options;
  options.caseless = true;
  auto pattern = selector.kind == seclang::Selector::Kind::kRegex
                     ? rules::Regex::compile(selector.text, options)
                     : base::Result<rules::Regex>(base::Error{});
  if (pattern.ok()) {
    patterns_.push_back(std::make_shared<const rules::Regex>(std::move(pattern).value()));
  } else {
    all_ = true;
  }
}

TxKeys written_keys(const Rule& rule) {
  TxKeys keys;
  for (const Link& link : rule.links) {
    for (const seclang::SetVariable& set : link.set_variables) {
      if (set.collection == VariableId::kTx) keys.add_text(set.key);
    }
  }
  return keys;
}

TxKeys collection_keys(const Rule& rule) {
  TxKeys keys;
  for (const Link& link : rule.links) {
    for (const seclang::Effect& effect : link.effects) {
      if (const auto* init = std::get_if<seclang::InitCollection>(&effect)) {
        read_text(init->key, keys);
      }
    }
  }
  return keys;
}

TxKeys read_keys(const Rule& rule) {
  TxKeys keys;
  for (const Link& link : rule.links) {
    for (const seclang::Target& target : link.targets) {
      if (target.variable == VariableId::kTx) keys.add_selector(target.selector);
    }
    read_text(link.op.expanded, keys);
    for (const seclang::SetVariable& set : link.set_variables) {
      read_text(set.key, keys);
      read_text(set.value, keys);
      // Adding reads what is there.
      if (set.collection == VariableId::kTx && set.kind != seclang::SetVariable::Kind::kSet) {
        keys.add_text(set.key);
      }
    }
    for (const seclang::Effect& effect : link.effects) {
      if (const auto* expire = std::get_if<seclang::ExpireVariable>(&effect)) {
        read_text(expire->key, keys);
        read_text(expire->seconds, keys);
      }
    }
    for (const MacroText& tag : link.tags) read_text(tag, keys);
    if (link.msg.has_value()) read_text(*link.msg, keys);
    if (link.logdata.has_value()) read_text(*link.logdata, keys);
  }
  read_text(rule.redirect, keys);
  return keys;
}

}  // namespace sluice::compile
