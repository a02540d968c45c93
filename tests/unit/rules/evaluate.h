// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <string>

#include "dataplane/abi/operators.h"

namespace sluice::rules::test {

/// Prepares the argument as the compiler would and evaluates the operator over one value, which
/// ends where a page ends. False for an argument that is a load error.
bool evaluate(abi::OperatorId id, const std::string& argument, const std::string& value);

}  // namespace sluice::rules::test
