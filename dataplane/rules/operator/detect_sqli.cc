// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <cstring>

// libinjection 3.9 as libmodsecurity-dev has it in its archive; that package ships no header for
// it.
extern "C" int libinjection_sqli(const char* text, std::size_t bytes, char fingerprint[8]);

namespace sluice::rules {

bool detect_sqli(Bytes value, char (&fingerprint)[kSqliFingerprintBytes]) {
  std::memset(fingerprint, 0, sizeof fingerprint);
  if (value.empty()) return false;
  return libinjection_sqli(reinterpret_cast<const char*>(value.data()), value.size(),
                           fingerprint) != 0;
}

}  // namespace sluice::rules
