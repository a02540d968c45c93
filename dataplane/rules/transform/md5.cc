// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <bit>

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {

namespace {

/// floor(2^32 * abs(sin(i + 1))), RFC 1321 section 3.4.
constexpr std::uint32_t kSines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

std::uint32_t mix(unsigned round, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  if (round == 0) return (b & c) | (~b & d);
  if (round == 1) return (b & d) | (c & ~d);
  return round == 2 ? b ^ c ^ d : c ^ (b | ~d);
}

void digest_block(std::uint32_t (&state)[4], const std::uint8_t* block) {
  std::uint32_t words[16];
  std::memcpy(words, block, sizeof words);  // little-endian, as x86-64 is
  std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  for (unsigned i = 0; i < 64; ++i) {
    const unsigned round = i / 16;
    constexpr unsigned kStep[4] = {1, 5, 3, 7}, kFrom[4] = {0, 1, 5, 0};
    const std::uint32_t word = words[(kFrom[round] + kStep[round] * i) % 16];
    const std::uint32_t sum = a + mix(round, b, c, d) + word + kSines[i];
    a = d;
    d = c;
    c = b;
    b += std::rotl(sum, kShifts[round][i % 4]);
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}

}  // namespace

/// The 16 bytes of RFC 1321. Written out here because OpenSSL 3 allocates for each digest.
TransformResult md5(Bytes input, Arena& arena) {
  Output output(input, max_output(abi::TransformId::kMd5, input.size()), arena);
  if (output.full()) return arena_full();
  std::uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::size_t i = 0;
  for (; i + 64 <= input.size(); i += 64) digest_block(state, input.data() + i);
  std::uint8_t last[128] = {};
  const std::size_t rest = input.size() - i;
  if (rest != 0) std::memcpy(last, input.data() + i, rest);
  last[rest] = 0x80;
  const std::size_t padded = rest < 56 ? 64 : 128;
  const std::uint64_t bits = static_cast<std::uint64_t>(input.size()) * 8;
  std::memcpy(last + padded - 8, &bits, sizeof bits);
  digest_block(state, last);
  if (padded == 128) digest_block(state, last + 64);
  std::memcpy(output.start(), state, sizeof state);
  return output.finish(output.start() + sizeof state);
}

}  // namespace sluice::rules::detail
