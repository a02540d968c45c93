// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::base {

/// A secret chosen once per boot of an instance, so that nobody outside can aim at a bucket.
struct HashKey {
  std::uint64_t words[24];  // 192 bytes: the secret size of XXH3
};

/// Fills `key` from the kernel's random source (getrandom).
void random_hash_key(HashKey& key);
/// A fixed key derived from a seed, for simulators and tests.
void seeded_hash_key(HashKey& key, std::uint64_t seed);

struct Hash128 {
  std::uint64_t low, high;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

/// XXH3 with the key as its secret (libxxhash).
std::uint64_t keyed_hash64(const HashKey& key, const void* data, std::size_t size);
Hash128 keyed_hash128(const HashKey& key, const void* data, std::size_t size);

}  // namespace sluice::base
