// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <cpuid.h>
#include <immintrin.h>

#include <bit>

#include "dataplane/rules/transform/internal.h"

namespace sluice::rules::detail {
namespace {

using State = std::uint32_t[5];

// FIPS 180-4 section 4.1.1, by twenty rounds each.
std::uint32_t mix_choose(std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return d ^ (b & (c ^ d));
}
std::uint32_t mix_parity(std::uint32_t b, std::uint32_t c, std::uint32_t d) { return b ^ c ^ d; }
std::uint32_t mix_majority(std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return (b & c) | (d & (b | c));
}

template <typename Mix>
void twenty_rounds(State& s, const std::uint32_t* words, std::uint32_t constant, Mix mix) {
  for (unsigned i = 0; i < 20; ++i) {
    const std::uint32_t sum =
        std::rotl(s[0], 5) + mix(s[1], s[2], s[3]) + s[4] + constant + words[i];
    s[4] = s[3];
    s[3] = s[2];
    s[2] = std::rotl(s[1], 30);
    s[1] = s[0];
    s[0] = sum;
  }
}

}  // namespace

void sha1_block_plain(State& state, const std::uint8_t* block) {
  std::uint32_t words[80];
  for (unsigned i = 0; i < 16; ++i) words[i] = base::load_be32(block + 4 * i);
  for (unsigned i = 16; i < 80; ++i) {
    words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  State s;
  std::memcpy(s, state, sizeof s);
  twenty_rounds(s, words, 0x5a827999, mix_choose);
  twenty_rounds(s, words + 20, 0x6ed9eba1, mix_parity);
  twenty_rounds(s, words + 40, 0x8f1bbcdc, mix_majority);
  twenty_rounds(s, words + 60, 0xca62c1d6, mix_parity);
  for (unsigned i = 0; i < 5; ++i) state[i] += s[i];
}

/// The SHA extensions of x86: four rounds an instruction. CRS 3 hashes the User-Agent of every
/// request, 120 bytes or so, which takes the plain form about 300 ns.
[[gnu::target("sha,sse4.1,ssse3")]] void sha1_block_extension(State& state,
                                                              const std::uint8_t* block) {
  const __m128i reverse = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
  __m128i words[4];
  for (int i = 0; i < 4; ++i) {
    words[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 16 * i)),
                                reverse);
  }
  const __m128i abcd_before = _mm_shuffle_epi32(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(state)), 0x1b);  // a in the top lane
  __m128i abcd = abcd_before;
  __m128i before = _mm_set_epi32(static_cast<int>(state[4]), 0, 0, 0);
#pragma GCC unroll 20
  for (int group = 0; group < 20; ++group) {
    __m128i& word = words[group % 4];
    if (group >= 4) {
      word = _mm_sha1msg1_epu32(word, words[(group + 1) % 4]);
      word = _mm_xor_si128(word, words[(group + 2) % 4]);
      word = _mm_sha1msg2_epu32(word, words[(group + 3) % 4]);
    }
    const __m128i e = group == 0 ? _mm_add_epi32(before, word) : _mm_sha1nexte_epu32(before, word);
    before = abcd;
    if (group < 5) {
      abcd = _mm_sha1rnds4_epu32(abcd, e, 0);
    } else if (group < 10) {
      abcd = _mm_sha1rnds4_epu32(abcd, e, 1);
    } else if (group < 15) {
      abcd = _mm_sha1rnds4_epu32(abcd, e, 2);
    } else {
      abcd = _mm_sha1rnds4_epu32(abcd, e, 3);
    }
  }
  const __m128i e = _mm_sha1nexte_epu32(before, _mm_set_epi32(static_cast<int>(state[4]), 0, 0, 0));
  state[4] = static_cast<std::uint32_t>(_mm_extract_epi32(e, 3));
  abcd = _mm_shuffle_epi32(_mm_add_epi32(abcd, abcd_before), 0x1b);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(state), abcd);
}

bool has_sha_extension() {
  constexpr unsigned kShaBit = 1u << 29;  // CPUID leaf 7, EBX
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & kShaBit) != 0;
}

namespace {

using Digest = void (*)(State&, const std::uint8_t*);

/// Chosen once, before main(): what the CPU has does not change.
const Digest kDigest = has_sha_extension() ? sha1_block_extension : sha1_block_plain;

}  // namespace

/// The 20 bytes of FIPS 180-4. Written out here because OpenSSL 3 allocates for each digest.
TransformResult sha1(Bytes input, Arena& arena) {
  Output output(input, max_output(abi::TransformId::kSha1, input.size()), arena);
  if (output.full()) return arena_full();
  State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::size_t i = 0;
  for (; i + 64 <= input.size(); i += 64) kDigest(state, input.data() + i);
  std::uint8_t last[128] = {};
  const std::size_t rest = input.size() - i;
  if (rest != 0) std::memcpy(last, input.data() + i, rest);
  last[rest] = 0x80;
  const std::size_t padded = rest < 56 ? 64 : 128;
  const std::uint64_t bits = static_cast<std::uint64_t>(input.size()) * 8;
  base::store_be32(last + padded - 8, static_cast<std::uint32_t>(bits >> 32));
  base::store_be32(last + padded - 4, static_cast<std::uint32_t>(bits));
  kDigest(state, last);
  if (padded == 128) kDigest(state, last + 64);
  for (unsigned word = 0; word < 5; ++word) {
    base::store_be32(output.start() + 4 * word, state[word]);
  }
  return output.finish(output.start() + 20);
}

}  // namespace sluice::rules::detail
