// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

// libinjection 3.9 as libmodsecurity-dev has it in its archive; that package ships no header for
// it.
extern "C" int libinjection_xss(const char* text, std::size_t bytes);

namespace sluice::rules {

bool detect_xss(Bytes value) {
  if (value.empty()) return false;
  return libinjection_xss(reinterpret_cast<const char*>(value.data()), value.size()) != 0;
}

}  // namespace sluice::rules
