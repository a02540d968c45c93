// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/row_filter.h"

#include <immintrin.h>

namespace sluice::rules {

namespace {

std::uint64_t passing_one_by_one(const std::uint64_t* masks, unsigned count,
                                 std::uint64_t classes) {
  std::uint64_t passing = 0;
  for (unsigned i = 0; i < count; ++i) {
    passing |= std::uint64_t{(masks[i] & ~classes) == 0} << i;
  }
  return passing;
}

[[gnu::target("avx2")]] std::uint64_t passing_avx2(const std::uint64_t* masks, unsigned count,
                                                   std::uint64_t classes) {
  const __m256i present = _mm256_set1_epi64x(static_cast<long long>(classes));
  const __m256i zero = _mm256_setzero_si256();
  std::uint64_t passing = 0;
  unsigned i = 0;
  for (; i + 4 <= count; i += 4) {
    const __m256i rows = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(masks + i));
    const __m256i good = _mm256_cmpeq_epi64(_mm256_andnot_si256(present, rows), zero);
    const auto bits = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(good)));
    passing |= std::uint64_t{bits} << i;
  }
  if (i < count) passing |= passing_one_by_one(masks + i, count - i, classes) << i;
  return passing;
}

[[gnu::target("avx512f")]] std::uint64_t passing_avx512(const std::uint64_t* masks, unsigned count,
                                                        std::uint64_t classes) {
  const std::uint64_t absent = ~classes;
  const __m512i missing = _mm512_set1_epi64(static_cast<long long>(absent));
  std::uint64_t passing = 0;
  for (unsigned i = 0; i < count; i += 8) {
    const unsigned left = count - i;
    const auto lanes = static_cast<__mmask8>(left >= 8 ? 0xff : (1u << left) - 1);
    const __m512i rows = _mm512_maskz_loadu_epi64(lanes, masks + i);
    const unsigned bits = _mm512_mask_testn_epi64_mask(lanes, rows, missing);
    passing |= std::uint64_t{bits} << i;
  }
  return passing;
}

using Filter = std::uint64_t (*)(const std::uint64_t*, unsigned, std::uint64_t);

Filter choose() {
  if (__builtin_cpu_supports("avx512f")) return passing_avx512;
  if (__builtin_cpu_supports("avx2")) return passing_avx2;
  return passing_one_by_one;
}

const Filter kFilter = choose();

}  // namespace

std::uint64_t passing_rows(const std::uint64_t* masks, unsigned count, std::uint64_t classes) {
  return kFilter(masks, count, classes);
}

}  // namespace sluice::rules
