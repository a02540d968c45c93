// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

namespace sluice::worker {

/// True while this thread polls. Read by alloc_guard.cc alone, which only test builds link: there
/// malloc and its relatives abort when it is set.
inline thread_local bool polling = false;

/// While it lives, an allocation of this thread is a broken invariant.
class AllocGuard {
 public:
  AllocGuard() { polling = true; }
  ~AllocGuard() { polling = false; }
  AllocGuard(const AllocGuard&) = delete;
  AllocGuard& operator=(const AllocGuard&) = delete;
};

}  // namespace sluice::worker
