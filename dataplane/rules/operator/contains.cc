// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/operator/operator.h"

#include <cstring>

namespace sluice::rules {

bool contains(Bytes argument, Bytes value) {
  if (argument.empty()) return true;
  if (argument.size() > value.size()) return false;
  // memmem: linear in the worst case, where std::string_view::find() is not.
  return memmem(value.data(), value.size(), argument.data(), argument.size()) != nullptr;
}

}  // namespace sluice::rules
