// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/alloc_guard.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <thread>

/// The watch of sluice-dataplane-guarded, which the system tests run.
namespace sluice::worker {
namespace {

void* volatile kept;
void* volatile held = std::malloc(8);

/// What is called is unknown to the compiler, which takes malloc() for a function that reads
/// nothing.
void guarded(void* (*allocate)()) {
  void* (*volatile unknown)() = allocate;
  const AllocGuard guard;
  kept = unknown();
}

TEST(AllocGuard, EveryWayToTheHeapEndsTheProcess) {
  const std::string said = "allocation inside the poll loop: ";
  EXPECT_DEATH(guarded([] { return ::operator new(8); }), said + "malloc");
  EXPECT_DEATH(guarded([] { return ::operator new (64, std::align_val_t{64}); }), said);
  EXPECT_DEATH(guarded([] { return std::malloc(8); }), said + "malloc");
  EXPECT_DEATH(guarded([] { return std::calloc(1, 8); }), said + "calloc");
  EXPECT_DEATH(guarded([] { return std::realloc(held, 80); }), said + "realloc");
  EXPECT_DEATH(guarded([] { return ::memalign(64, 64); }), said + "memalign");
  EXPECT_DEATH(guarded([] { return std::aligned_alloc(64, 64); }), said + "aligned_alloc");
  EXPECT_DEATH(guarded([] {
                 void* made = nullptr;
                 return ::posix_memalign(&made, 64, 64) == 0 ? made : nullptr;
               }),
               said + "posix_memalign");
}

TEST(AllocGuard, WatchesItsOwnThreadWhileItLives) {
  bool start = false, made = false;
  std::mutex mutex;
  std::condition_variable changed;
  std::thread other([&] {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return start; });
    kept = std::malloc(8);
    std::free(kept);
    made = true;
    changed.notify_all();
  });
  {
    const AllocGuard guard;
    std::unique_lock lock(mutex);
    start = true;
    changed.notify_all();
    changed.wait(lock, [&] { return made; });
  }
  other.join();
  kept = ::operator new(8);
  ::operator delete(kept);
}

}  // namespace
}  // namespace sluice::worker
