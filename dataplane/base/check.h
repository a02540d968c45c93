// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice::base {

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expression);
  std::abort();
}

}  // namespace sluice::base

/// Aborts when an invariant of our own is broken. Hostile input is data and never reaches a check.
#define SLUICE_CHECK(expression)       \
  (__builtin_expect(!!(expression), 1) \
       ? void(0)                       \
       : ::sluice::base::check_failed(#expression, __FILE__, __LINE__))
