// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/base/hash.h"

#include <sys/random.h>
#include <xxhash.h>

#include "dataplane/base/check.h"

namespace sluice::base {

static_assert(sizeof(HashKey) >= XXH3_SECRET_SIZE_MIN);

void random_hash_key(HashKey& key) {
  SLUICE_CHECK(getrandom(&key, sizeof key, 0) == static_cast<ssize_t>(sizeof key));
}

void seeded_hash_key(HashKey& key, std::uint64_t seed) {
  for (auto& word : key.words) {
    // splitmix64 (Steele, Lea, Flood 2014).
    seed += 0x9e3779b97f4a7c15ULL;
    std::uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    word = mixed ^ (mixed >> 31);
  }
}

std::uint64_t keyed_hash64(const HashKey& key, const void* data, std::size_t size) {
  return XXH3_64bits_withSecret(data, size, &key, sizeof key);
}

Hash128 keyed_hash128(const HashKey& key, const void* data, std::size_t size) {
  const XXH128_hash_t hash = XXH3_128bits_withSecret(data, size, &key, sizeof key);
  return {hash.low64, hash.high64};
}

}  // namespace sluice::base
