// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <bit>

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

struct Round {
  std::uint32_t mixed, constant;
};

Round round_at(unsigned i, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  if (i < 20) return {(b & c) | (~b & d), 0x5a827999};
  if (i < 40) return {b ^ c ^ d, 0x6ed9eba1};
  if (i < 60) return {(b & c) | (b & d) | (c & d), 0x8f1bbcdc};
  return {b ^ c ^ d, 0xca62c1d6};
}

void digest_block(std::uint32_t (&state)[5], const std::uint8_t* block) {
  std::uint32_t words[80];
  for (unsigned i = 0; i < 16; ++i) words[i] = base::load_be32(block + 4 * i);
  for (unsigned i = 16; i < 80; ++i) {
    words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
  for (unsigned i = 0; i < 80; ++i) {
    const Round round = round_at(i, b, c, d);
    const std::uint32_t sum = std::rotl(a, 5) + round.mixed + e + round.constant + words[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = sum;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

}  // namespace

/// The 20 bytes of FIPS 180-4. Written out here because OpenSSL 3 allocates for each digest.
TransformResult sha1(Bytes input, Arena& arena) {
  Output output(input, max_output(abi::TransformId::kSha1, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::size_t i = 0;
  for (; i + 64 <= input.size(); i += 64) digest_block(state, input.data() + i);
  std::uint8_t last[128] = {};
  const std::size_t rest = input.size() - i;
  if (rest != 0) std::memcpy(last, input.data() + i, rest);
  last[rest] = 0x80;
  const std::size_t padded = rest < 56 ? 64 : 128;
  const std::uint64_t bits = static_cast<std::uint64_t>(input.size()) * 8;
  base::store_be32(last + padded - 8, static_cast<std::uint32_t>(bits >> 32));
  base::store_be32(last + padded - 4, static_cast<std::uint32_t>(bits));
  digest_block(state, last);
  if (padded == 128) digest_block(state, last + 64);
  for (unsigned word = 0; word < 5; ++word) {
    base::store_be32(output.start() + 4 * word, state[word]);
  }
  return output.finish(output.start() + 20);
}

}  // namespace sluice::rules::detail
