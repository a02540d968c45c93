// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <string>

#include "dataplane/abi/transforms.h"

/// Plain readings of the manual, where one is short enough to stand here.
namespace sluice::fuzz {

inline bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// False: no plain reading here.
inline bool transform_plainly(abi::TransformId id, std::string& text) {
  using abi::TransformId;
  const auto keep = [&](auto&& wanted) { std::erase_if(text, [&](char c) { return !wanted(c); }); };
  switch (id) {
    case TransformId::kNone:
      return true;
    case TransformId::kLowercase:
      for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      return true;
    case TransformId::kUppercase:
      for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      return true;
    case TransformId::kRemoveNulls:
      keep([](char c) { return c != 0; });
      return true;
    case TransformId::kReplaceNulls:
      std::replace(text.begin(), text.end(), '\0', ' ');
      return true;
    case TransformId::kLength:
      text = std::to_string(text.size());
      return true;
    case TransformId::kTrimLeft:
      while (!text.empty() && is_blank(text.front())) text.erase(text.begin());
      return true;
    case TransformId::kTrimRight:
      while (!text.empty() && is_blank(text.back())) text.pop_back();
      return true;
    case TransformId::kHexEncode: {
      std::string out;
      for (const char c : text) {
        out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
        out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
      }
      text = out;
      return true;
    }
    default:
      return false;
  }
}

}  // namespace sluice::fuzz
