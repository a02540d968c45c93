// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/grams.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>

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

/// Bit i: codes[i] and codes[i + 1] are both of digits. `count`: of pairs, at most 64; what lies
/// behind them up to 65 codes is read.
std::uint64_t digit_pairs(const std::uint8_t* codes, std::size_t count) {
  const __m128i digit = _mm_set1_epi8(kCodeDigit);
  std::uint64_t digits = 0;
  for (std::size_t i = 0; i < 64; i += 16) {
    const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + i));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(some, digit)));
    digits |= std::uint64_t{mask} << i;
  }
  const std::uint64_t next = digits >> 1 | std::uint64_t{codes[64] == kCodeDigit} << 63;
  return digits & next & (~std::uint64_t{0} >> (64 - count));
}

/// Bit i: the pair of codes[i] and codes[i + 1] is wanted. `count`: of pairs, at most 64. No branch
/// depends on the bytes: those of honest values cannot be foreseen.
std::uint64_t wanted_pairs(const std::uint8_t* codes, std::size_t count,
                           const std::uint64_t* wanted) {
  std::uint64_t found = 0;
  std::size_t i = 0;
  const auto bit = [&](std::size_t at) {
    return std::uint64_t{(wanted[codes[at]] >> codes[at + 1] & 1) != 0};
  };
  for (; i + 8 <= count; i += 8) {
    const std::uint64_t low = bit(i) | bit(i + 1) << 1 | bit(i + 2) << 2 | bit(i + 3) << 3;
    const std::uint64_t high = bit(i + 4) | bit(i + 5) << 1 | bit(i + 6) << 2 | bit(i + 7) << 3;
    found |= (low | high << 4) << i;
  }
  for (; i < count; ++i) found |= bit(i) << i;
  return found;
}

/// Calls visit(pair) for each pair with a bit in `wanted`, repeated ones again. Keeps the codes of
/// a short value.
template <typename Visit>
void find_by_words(base::Bytes value, const std::uint64_t* wanted, GramSet::Codes& codes,
                   Visit visit) {
  const std::size_t pairs = value.size() - 1;
  codes.count = pairs <= GramSet::Codes::kMax ? pairs : 0;
  for (std::size_t at = 0; at < pairs; at += 64) {
    const std::size_t count = std::min(pairs - at, std::size_t{64});
    std::uint8_t* here = &codes.of[codes.count > 0 ? at : 0];
    for (std::size_t i = 0; i <= count; ++i) here[i] = kByteCodes[value[at + i]];
    for (std::uint64_t found = wanted_pairs(here, count, wanted); found != 0; found &= found - 1) {
      visit(codes_at(&value[at + static_cast<unsigned>(std::countr_zero(found))]));
    }
    for (std::uint64_t found = digit_pairs(here, count); found != 0; found &= found - 1) {
      const std::uint8_t* pair = &value[at + static_cast<unsigned>(std::countr_zero(found))];
      const unsigned gram = digit_gram(pair[0] - unsigned{'0'}, pair[1] - unsigned{'0'});
      if ((wanted[gram / 64] >> gram % 64 & 1) != 0) visit(gram);
    }
  }
}

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
SLUICE_VBMI void find_vbmi(base::Bytes value, const std::uint64_t* wanted, GramSet::Codes& codes,
                           Visit visit) {
  WantedTables tables;
  for (int i = 0; i < 8; ++i) tables.parts[i] = _mm512_loadu_si512(wanted + 8 * i);
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

}  // namespace

std::size_t GramSet::assign(base::Bytes value, const std::uint64_t* wanted, Gram* hits) {
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
  } else {
    find_by_words(value, wanted, codes_, note);
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
