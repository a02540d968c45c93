// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/bytes.h"

/// Body decoders are fed in pieces; what they give must not depend on how.
namespace sluice::http::testing {

using Pair = std::pair<std::string, std::string>;

/// Joins the pieces of names and values.
struct PairSink {
  std::vector<Pair> pairs;
  Pair current;
  void name(base::Bytes piece) { current.first += base::as_text(piece); }
  void value(base::Bytes piece) { current.second += base::as_text(piece); }
  void end() { pairs.push_back(std::exchange(current, {})); }
};

/// Calls decode(chunks) for the whole text, byte by byte, and for every cut in two.
inline void for_every_cut(std::string_view text,
                          const std::function<void(const std::vector<std::string_view>&)>& decode) {
  decode({text});
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  decode(bytes);
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    decode({text.substr(0, cut), text.substr(cut)});
  }
}

}  // namespace sluice::http::testing
