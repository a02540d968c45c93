// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/grams.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::rules {

namespace {

constexpr bool is_digit(std::uint8_t byte) { return byte >= '0' && byte <= '9'; }

unsigned codes_at(const std::uint8_t* at) { return kByteCodes[at[0]] * 64u + kByteCodes[at[1]]; }

/// Calls visit(pair) for each pair of neighbours in order, digits as both of theirs.
template <typename Visit>
void for_each_pair(base::Bytes value, Visit visit) {
  for (std::size_t i = 0; i + 1 < value.size(); ++i) {
    visit(codes_at(&value[i]));
    if (is_digit(value[i]) && is_digit(value[i + 1])) {
      visit(unsigned{digit_gram(value[i] - unsigned{'0'}, value[i + 1] - unsigned{'0'})});
    }
  }
}

/// Calls visit(pair) for each pair with a bit in `wanted`, repeated ones again.
template <typename Visit>
void find_one_by_one(base::Bytes value, const WantedGrams& wanted, Visit visit) {
  for_each_pair(value, [&](unsigned pair) {
    if (wanted.has(pair)) visit(pair);
  });
}

/// The same for two digits.
template <typename Visit>
void find_number(const std::uint8_t* digits, const WantedGrams& wanted, Visit visit) {
  const Gram pair = digit_gram(digits[0] - unsigned{'0'}, digits[1] - unsigned{'0'});
  if (wanted.has(pair)) visit(unsigned{pair});
}

#define SLUICE_AVX2 [[gnu::target("avx2")]]

/// The codes of 32 bytes. Of the rows of a table that a byte is not in, its place has the highest
/// bit set, for which a look-up gives 0.
SLUICE_AVX2 inline __m256i codes_of(__m256i bytes) {
  __m256i codes = _mm256_setzero_si256();
  for (int row = 0; row < 8; ++row) {
    const __m256i table = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(kByteCodes.data() + 16 * row)));
    const __m256i place =
        _mm256_adds_epu8(_mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(16 * row))),
                         _mm256_set1_epi8(0x70));
    codes = _mm256_or_si256(codes, _mm256_shuffle_epi8(table, place));
  }
  return _mm256_blendv_epi8(codes, _mm256_set1_epi8(kCodeHigh), bytes);
}

/// Bit i: bytes[i] has the bit that the lowest three bits of places[i] name.
SLUICE_AVX2 inline std::uint32_t has_bit(__m256i bytes, __m256i places) {
  const __m256i bits =
      _mm256_shuffle_epi8(_mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL)),
                          _mm256_and_si256(places, _mm256_set1_epi8(7)));
  return static_cast<std::uint32_t>(
      _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bits), bits)));
}

/// Bit i: the pair (first[i], second[i]) is wanted. `wanted` is 32 rows of 16 bytes: the byte of a
/// pair's bit is looked up in all of them, and five bits of the first code choose.
SLUICE_AVX2 inline std::uint32_t are_wanted(__m256i first, __m256i second,
                                            const std::uint64_t* wanted) {
  const auto* rows = reinterpret_cast<const __m128i*>(wanted);
  const __m256i place =
      _mm256_or_si256(_mm256_slli_epi16(_mm256_and_si256(first, _mm256_set1_epi8(1)), 3),
                      _mm256_and_si256(_mm256_srli_epi16(second, 3), _mm256_set1_epi8(7)));
  // The highest bit of each byte is bit 1, 2... of its first code.
  const __m256i by[] = {_mm256_slli_epi16(first, 6), _mm256_slli_epi16(first, 5),
                        _mm256_slli_epi16(first, 4), _mm256_slli_epi16(first, 3),
                        _mm256_slli_epi16(first, 2)};
  __m256i eighths[4];
  for (int eighth = 0; eighth < 4; ++eighth) {
    __m256i four[4];
    for (int i = 0; i < 4; ++i) {
      const __m128i* row = rows + 8 * eighth + 2 * i;
      four[i] = _mm256_blendv_epi8(
          _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(row)), place),
          _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(row + 1)), place), by[0]);
    }
    eighths[eighth] = _mm256_blendv_epi8(_mm256_blendv_epi8(four[0], four[1], by[1]),
                                         _mm256_blendv_epi8(four[2], four[3], by[1]), by[2]);
  }
  const __m256i bytes =
      _mm256_blendv_epi8(_mm256_blendv_epi8(eighths[0], eighths[1], by[3]),
                         _mm256_blendv_epi8(eighths[2], eighths[3], by[3]), by[4]);
  return has_bit(bytes, second);
}

/// Bit i: the pair of codes[i] and codes[i + 1] is wanted. No branch depends on the bytes: those of
/// honest values cannot be foreseen.
inline std::uint32_t wanted_few(const std::uint8_t* codes, std::size_t count,
                                const WantedGrams& wanted) {
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    found |= std::uint32_t{(wanted.words[codes[i]] >> codes[i + 1] & 1) != 0} << i;
  }
  return found;
}

/// Bit i: the digits at i and i + 1 are a wanted number, if they are digits.
SLUICE_AVX2 inline std::uint32_t are_wanted_numbers(const std::uint8_t* bytes,
                                                    const WantedGrams& wanted) {
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
  const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 1));
  const __m256i tens = _mm256_and_si256(first, nibble);
  const __m256i twice = _mm256_add_epi8(tens, tens);
  const __m256i four_times = _mm256_add_epi8(twice, twice);
  const __m256i number =
      _mm256_add_epi8(_mm256_add_epi8(_mm256_add_epi8(four_times, four_times), twice),
                      _mm256_and_si256(second, nibble));
  const __m256i table = _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(wanted.numbers)));
  const __m256i found = _mm256_shuffle_epi8(
      table, _mm256_and_si256(_mm256_srli_epi16(number, 3), _mm256_set1_epi8(0x0f)));
  return has_bit(found, number);
}

/// find_one_by_one(), 32 pairs a step, and keeps the codes of a short value.
template <typename Visit>
SLUICE_AVX2 void find_avx2(base::Bytes value, const WantedGrams& wanted, GramSet::Codes& codes,
                           Visit visit) {
  constexpr std::size_t kStep = 32, kBlock = GramSet::Codes::kMax, kFew = 24;
  const std::size_t pairs = value.size() - 1;
  codes.count = pairs <= kBlock ? pairs : 0;
  std::uint8_t tail[2 * kStep] = {};
  for (std::size_t block = 0; block < pairs; block += kBlock) {
    const base::Bytes bytes = value.subspan(block, std::min(pairs - block, kBlock) + 1);
    const std::uint8_t* last = bytes.data() + bytes.size() / kStep * kStep;
    if (last != bytes.data() + bytes.size()) {
      std::memcpy(tail, last, bytes.size() % kStep);
    }
    const auto from = [&](std::size_t at) { return bytes.size() - at < kStep ? tail : &bytes[at]; };
    for (std::size_t at = 0; at < bytes.size(); at += kStep) {
      const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from(at)));
      _mm256_store_si256(reinterpret_cast<__m256i*>(&codes.of[at]), codes_of(some));
    }
    for (std::size_t at = 0; at + 1 < bytes.size(); at += kStep) {
      const std::size_t count = std::min(bytes.size() - 1 - at, kStep);
      const auto* here = reinterpret_cast<const __m256i*>(&codes.of[at]);
      const auto* next = reinterpret_cast<const __m256i*>(&codes.of[at + 1]);
      const __m256i first = _mm256_load_si256(here), second = _mm256_loadu_si256(next);
      const std::uint32_t lanes = ~std::uint32_t{0} >> (kStep - count);
      std::uint32_t found = count < kFew ? wanted_few(&codes.of[at], count, wanted)
                                         : are_wanted(first, second, wanted.words) & lanes;
      for (; found != 0; found &= found - 1) {
        visit(codes_at(&bytes[at + static_cast<unsigned>(std::countr_zero(found))]));
      }
      const __m256i digit = _mm256_set1_epi8(kCodeDigit);
      const __m256i both =
          _mm256_and_si256(_mm256_cmpeq_epi8(first, digit), _mm256_cmpeq_epi8(second, digit));
      std::uint32_t digits = static_cast<std::uint32_t>(_mm256_movemask_epi8(both)) & lanes;
      if (digits == 0) continue;
      if (bytes.size() - at > kStep) digits &= are_wanted_numbers(&bytes[at], wanted);
      for (; digits != 0; digits &= digits - 1) {
        find_number(&bytes[at + static_cast<unsigned>(std::countr_zero(digits))], wanted, visit);
      }
    }
  }
}

#undef SLUICE_AVX2

/// The same, 64 pairs a step. Codes come out of a table of 128 bytes, high bytes apart; a pair's
/// bit out of the 512 bytes of `wanted`, which are four such tables.
struct [[gnu::visibility("hidden")]] WantedTables {
  __m512i parts[8];
};

#define SLUICE_VBMI [[gnu::target("avx512f,avx512bw,avx512vl,avx512vbmi")]]

SLUICE_VBMI inline __m512i codes_of(__m512i bytes, __m512i low, __m512i high) {
  const __m512i ascii = _mm512_permutex2var_epi8(low, bytes, high);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), ascii, _mm512_set1_epi8(kCodeHigh));
}

/// Bit i: the pair (first[i], second[i]) is wanted. Both hold codes below 64.
SLUICE_VBMI inline __mmask64 are_wanted(__m512i first, __m512i second, const WantedTables& tables) {
  const __m512i index =
      _mm512_or_si512(_mm512_slli_epi16(_mm512_and_si512(first, _mm512_set1_epi8(0x0f)), 3),
                      _mm512_and_si512(_mm512_srli_epi16(second, 3), _mm512_set1_epi8(0x07)));
  const __mmask64 upper = _mm512_test_epi8_mask(first, _mm512_set1_epi8(0x10));
  const __mmask64 last = _mm512_test_epi8_mask(first, _mm512_set1_epi8(0x20));
  const auto& part = tables.parts;
  const __m512i below =
      _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(part[0], index, part[1]),
                             _mm512_permutex2var_epi8(part[2], index, part[3]));
  const __m512i above =
      _mm512_mask_blend_epi8(upper, _mm512_permutex2var_epi8(part[4], index, part[5]),
                             _mm512_permutex2var_epi8(part[6], index, part[7]));
  const __m512i bits =
      _mm512_shuffle_epi8(_mm512_set1_epi64(static_cast<long long>(0x8040201008040201ULL)),
                          _mm512_and_si512(second, _mm512_set1_epi8(0x07)));
  return _mm512_test_epi8_mask(_mm512_mask_blend_epi8(last, below, above), bits);
}

template <typename Visit>
SLUICE_VBMI void find_vbmi(base::Bytes value, const WantedGrams& wanted, GramSet::Codes& codes,
                           Visit visit) {
  WantedTables tables;
  for (int i = 0; i < 8; ++i) tables.parts[i] = _mm512_loadu_si512(wanted.words + 8 * i);
  const __m512i low = _mm512_loadu_si512(kByteCodes.data());
  const __m512i high = _mm512_loadu_si512(kByteCodes.data() + 64);
  const __m512i digit = _mm512_set1_epi8(kCodeDigit);
  const std::size_t pairs = value.size() - 1;
  const bool keeps = pairs <= GramSet::Codes::kMax;
  codes.count = keeps ? pairs : 0;
  for (std::size_t at = 0; at < pairs; at += 64) {
    const std::uint8_t* here = &value[at];
    const __mmask64 lanes = pairs - at >= 64 ? ~__mmask64{0} : (__mmask64{1} << (pairs - at)) - 1;
    const __m512i first_bytes = _mm512_maskz_loadu_epi8(lanes, here);
    const __m512i second_bytes = _mm512_maskz_loadu_epi8(lanes, here + 1);
    const __m512i first = codes_of(first_bytes, low, high);
    const __m512i second = codes_of(second_bytes, low, high);
    if (keeps) _mm512_store_si512(&codes.of[at], first);
    for (std::uint64_t found = are_wanted(first, second, tables) & lanes; found != 0;
         found &= found - 1) {
      visit(codes_at(here + std::countr_zero(found)));
    }
    const __mmask64 digits = _mm512_mask_cmpeq_epi8_mask(
        _mm512_mask_cmpeq_epi8_mask(lanes, first, digit), second, digit);
    if (digits == 0) continue;
    // digit_gram() of each lane.
    const __m512i nibble = _mm512_set1_epi8(0x0f);
    const __m512i tens = _mm512_and_si512(first_bytes, nibble);
    const __m512i twice = _mm512_add_epi8(tens, tens);
    const __m512i four_times = _mm512_add_epi8(twice, twice);
    const __m512i number =
        _mm512_add_epi8(_mm512_add_epi8(_mm512_add_epi8(four_times, four_times), twice),
                        _mm512_and_si512(second_bytes, nibble));
    const __mmask64 small = _mm512_cmplt_epu8_mask(number, _mm512_set1_epi8(62));
    const __m512i any = _mm512_set1_epi8(63);
    const __m512i rest = _mm512_sub_epi8(number, _mm512_set1_epi8(62));
    for (std::uint64_t found = are_wanted(_mm512_mask_blend_epi8(small, rest, any),
                                          _mm512_mask_blend_epi8(small, any, number), tables) &
                               digits;
         found != 0; found &= found - 1) {
      const std::uint8_t* pair = here + std::countr_zero(found);
      visit(unsigned{digit_gram(pair[0] - unsigned{'0'}, pair[1] - unsigned{'0'})});
    }
  }
  if (keeps) codes.of[pairs] = kByteCodes[value[pairs]];
}

#undef SLUICE_VBMI

/// Whether the codes hold a pair.
bool has_pair(const GramSet::Codes& codes, Gram pair) {
  const __m128i first = _mm_set1_epi8(static_cast<char>(pair / 64));
  const __m128i second = _mm_set1_epi8(static_cast<char>(pair % 64));
  for (std::size_t at = 0; at < codes.count; at += 16) {
    const auto* here = reinterpret_cast<const __m128i*>(&codes.of[at]);
    const auto* next = reinterpret_cast<const __m128i*>(&codes.of[at + 1]);
    const __m128i both = _mm_and_si128(_mm_cmpeq_epi8(_mm_load_si128(here), first),
                                       _mm_cmpeq_epi8(_mm_loadu_si128(next), second));
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(both));
    const std::size_t left = codes.count - at;
    if ((left >= 16 ? found : found & ((1u << left) - 1)) != 0) return true;
  }
  return false;
}

const bool kHasVbmi = __builtin_cpu_supports("avx512vbmi") != 0 &&
                      __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512vl") != 0;
const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;

}  // namespace

WantedGrams::WantedGrams(const std::uint64_t* bits) : words(bits) {
  for (unsigned number = 0; number < 100; ++number) {
    if (has(digit_gram(number / 10, number % 10))) {
      numbers[number / 8] = static_cast<std::uint8_t>(numbers[number / 8] | 1u << number % 8);
    }
  }
}

std::size_t GramSet::assign(base::Bytes value, const WantedGrams& wanted, Gram* hits) {
  value_ = value;
  is_filled_ = false;
  codes_.count = 0;
  if (value.size() < 2) return 0;
  noted_.clear();
  std::size_t count = 0;
  const auto note = [&](unsigned pair) {
    if (noted_.has(pair)) return;
    noted_.add(pair);
    hits[count++] = static_cast<Gram>(pair);
  };
  if (kHasVbmi) {
    find_vbmi(value, wanted, codes_, note);
  } else if (kHasAvx2) {
    find_avx2(value, wanted, codes_, note);
  } else {
    find_one_by_one(value, wanted, note);
  }
  return count;
}

/// has() by codes_.
bool GramSet::has_here(Gram pair) const {
  const unsigned first = pair / 64, second = pair % 64;
  if (first != 63 && second != 63) return has_pair(codes_, pair);
  const unsigned number = first == 63 ? second : first + 62;
  const char digits[2] = {static_cast<char>('0' + number / 10),
                          static_cast<char>('0' + number % 10)};
  return number < 100 && base::as_text(value_).find({digits, 2}) != std::string_view::npos;
}

void GramSet::fill() {
  is_filled_ = true;
  seen_.clear();
  seen_.add(kAnyGram);
  for_each_pair(value_, [&](unsigned pair) { seen_.add(pair); });
}

}  // namespace sluice::rules
