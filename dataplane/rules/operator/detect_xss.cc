// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

// libinjection 3.9 as libmodsecurity-dev has it in its archive; that package ships no header for
// it.
extern "C" int libinjection_xss(const char* text, std::size_t bytes);

namespace sluice::rules {

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
  const bool found = libinjection_xss(start, text.size()) != 0;
  scratch.shrink_to(used);
  return found ? MatchOutcome::kMatch : MatchOutcome::kNoMatch;
}

}  // namespace sluice::rules
