// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// Every way to the heap, with a watch on it: while the guard is on, an allocation ends the test
// program. The C library's own entry points are used, so third-party C code is seen too. Sanitizers
// bring their own heap, which must not be shadowed: under them nobody watches.

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "tests/unit/engine/rig_image.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLUICE_FOREIGN_HEAP
#elif defined(__has_feature)  // how clang says it
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_FOREIGN_HEAP
#endif
#endif

#ifdef SLUICE_FOREIGN_HEAP

namespace sluice::test {
void guard_allocations(bool) {}
}  // namespace sluice::test

#else

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* old, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
}

namespace {

bool guarded = false;

void check() {
  if (!guarded) return;
  guarded = false;
  std::fputs("an allocation on the packet path\n", stderr);
  std::abort();
}

}  // namespace

extern "C" {
void* malloc(std::size_t bytes) {
  check();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  check();
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  check();
  return __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  check();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  check();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** into, std::size_t alignment, std::size_t bytes) {
  check();
  *into = __libc_memalign(alignment, bytes);
  return *into == nullptr ? ENOMEM : 0;
}
}

namespace sluice::test {
void guard_allocations(bool on) { guarded = on; }
}  // namespace sluice::test

#endif
