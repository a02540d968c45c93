// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/query.h"

#include "dataplane/http/characters.h"

namespace sluice::http {

bool needs_percent_decode(std::string_view text) {
  return text.find('%') != std::string_view::npos || text.find('+') != std::string_view::npos;
}

PercentDecoded percent_decode(std::string_view from, char* to) {
  PercentDecoded result;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const char byte = from[i];
    if (byte == '+') {
      to[result.size++] = ' ';
      continue;
    }
    if (byte == '%') {
      const bool room = i + 2 < from.size();
      const int high = room ? hex_value(static_cast<std::uint8_t>(from[i + 1])) : -1;
      const int low = room ? hex_value(static_cast<std::uint8_t>(from[i + 2])) : -1;
      if (high >= 0 && low >= 0) {
        to[result.size++] = static_cast<char>(high << 4 | low);
        i += 2;
        continue;
      }
      ++result.invalid_count;
    }
    to[result.size++] = byte;
  }
  return result;
}

}  // namespace sluice::http
