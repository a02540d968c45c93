// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/alloc_guard.h"

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

/// Stands in front of glibc's allocator, whose own names stay reachable as __libc_*.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* old, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

static void refuse_while_polling(const char* call) {
  if (!sluice::worker::polling) return;
  sluice::worker::polling = false;  // abort() may allocate
  static constexpr char kMessage[] = "allocation inside the poll loop: ";
  (void)!::write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  (void)!::write(STDERR_FILENO, call, std::strlen(call));
  (void)!::write(STDERR_FILENO, "\n", 1);
  std::abort();
}

void* malloc(std::size_t bytes) {
  refuse_while_polling("malloc");
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  refuse_while_polling("calloc");
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  refuse_while_polling("realloc");
  return __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  refuse_while_polling("memalign");
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  refuse_while_polling("aligned_alloc");
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** into, std::size_t alignment, std::size_t bytes) {
  refuse_while_polling("posix_memalign");
  *into = __libc_memalign(alignment, bytes);
  return *into == nullptr ? 12 : 0;  // ENOMEM
}
}
