// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cstring>

#include "dataplane/rules/operator/operator.h"

// libinjection 3.9 as libmodsecurity-dev has it in its archive; that package ships no header for
// it.
extern "C" int libinjection_is_xss(const char* text, std::size_t bytes, int place);

namespace sluice::rules {

namespace {

/// Where the value stands in the page: libinjection_xss() asks about all of these in this order. In
/// text nothing begins without a tag, and in an attribute's quotes nothing before they end, so
/// those readings are left out of which the value has no sign.
struct Reading {
  int place;  ///< libinjection's html5_flags
  char sign;  ///< NUL: read anyway
};
constexpr Reading kReadings[] = {{0, '<'}, {1, 0}, {2, '\''}, {3, '"'}, {4, '`'}};

bool is_xss(const char* text, std::size_t bytes) {
  for (const Reading& reading : kReadings) {
    if (reading.sign != 0 && std::memchr(text, reading.sign, bytes) == nullptr) continue;
    if (libinjection_is_xss(text, bytes, reading.place) != 0) return true;
  }
  return false;
}

}  // namespace

MatchOutcome detect_xss(Bytes value, base::Arena& scratch) {
  if (value.empty()) return MatchOutcome::kNoMatch;
  const std::string_view text = base::as_text(value);
  const std::size_t used = scratch.used();
  const char* start = text.data();
  // Its decoder of character references reads a byte behind "&#" and "&#x" without looking whether
  // there is one. The reference's strings end with a NUL; so does the copy.
  if (text.ends_with("&#") || text.ends_with("&#x") || text.ends_with("&#X")) {
    auto* copy = static_cast<char*>(scratch.allocate(text.size() + 2, 1));
    if (copy == nullptr) return MatchOutcome::kLimit;
    text.copy(copy, text.size());
    copy[text.size()] = copy[text.size() + 1] = 0;
    start = copy;
  }
  const bool found = is_xss(start, text.size());
  scratch.shrink_to(used);
  return found ? MatchOutcome::kMatch : MatchOutcome::kNoMatch;
}

}  // namespace sluice::rules
