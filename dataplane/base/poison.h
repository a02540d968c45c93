// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_POISONS 1
#elif defined(__has_feature)  // how clang says it
#if __has_feature(address_sanitizer)
#define SLUICE_POISONS 1
#endif
#endif
#ifdef SLUICE_POISONS
#include <sanitizer/asan_interface.h>
#endif

/// Memory that we hand out ourselves is one large object to AddressSanitizer, which sees no step
/// from one piece of it into the next. Builds with it are told what is handed out; others do
/// nothing here.
namespace sluice::base {

#ifdef SLUICE_POISONS
inline constexpr std::size_t kRedZoneBytes = 32;  ///< between two pieces
/// Nobody may touch it until unpoison().
inline void poison(const void* memory, std::size_t bytes) {
  __asan_poison_memory_region(memory, bytes);
}
inline void unpoison(const void* memory, std::size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}
#else
inline constexpr std::size_t kRedZoneBytes = 0;
inline void poison(const void*, std::size_t) {}
inline void unpoison(const void*, std::size_t) {}
#endif

}  // namespace sluice::base
