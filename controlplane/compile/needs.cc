// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/needs.h"

#include <algorithm>
#include <map>

#include "controlplane/compile/honest_sample.h"

namespace sluice::compile {

using rules::Gram;

namespace {

bool implies(const Need& strong, const Need& weak) {
  return (weak.classes & ~strong.classes) == 0 && (weak.forbidden & ~strong.forbidden) == 0 &&
         (weak.by_line || !strong.by_line || weak.forbidden == 0) &&
         std::includes(strong.grams.begin(), strong.grams.end(), weak.grams.begin(),
                       weak.grams.end());
}

Need common(const Need& one, const Need& other) {
  Need result;
  result.classes = one.classes & other.classes;
  result.forbidden = one.forbidden & other.forbidden;
  result.by_line = one.by_line || other.by_line;
  std::set_intersection(one.grams.begin(), one.grams.end(), other.grams.begin(), other.grams.end(),
                        std::inserter(result.grams, result.grams.end()));
  return result;
}

Need joined(const Need& one, const Need& other) {
  Need result = one;
  result.classes |= other.classes;
  result.grams.insert(other.grams.begin(), other.grams.end());
  return result;
}

double share_of_all(const Needs& needs) {
  double share = 0;
  for (const Need& need : needs) share += share_in_sample(need);
  return share;
}

void drop_implied(Needs& needs) {
  Needs kept;
  std::sort(needs.begin(), needs.end(), [](const Need& one, const Need& other) {
    return one.grams.size() + static_cast<unsigned>(__builtin_popcountll(one.classes)) <
           other.grams.size() + static_cast<unsigned>(__builtin_popcountll(other.classes));
  });
  for (Need& need : needs) {
    const bool implied = std::any_of(kept.begin(), kept.end(),
                                     [&](const Need& weak) { return implies(need, weak); });
    if (!implied) kept.push_back(std::move(need));
  }
  needs = std::move(kept);
}

/// The part of a need that fewest honest values have: a pair, or a class as 0x10000 + bit.
unsigned rarest_part(const Need& need) {
  unsigned best = 0;
  double share = 2;
  for (const Gram pair : need.grams) {
    if (share_in_sample(pair) >= share) continue;
    share = share_in_sample(pair);
    best = pair;
  }
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((need.classes >> bit & 1) != 0 && share_in_sample_of_class(bit) < share) {
      share = share_in_sample_of_class(bit);
      best = 0x10000 + bit;
    }
  }
  return best;
}

}  // namespace

std::uint64_t rarest_class(const Need& need) {
  std::uint64_t best = 0;
  double share = 2;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((need.classes >> bit & 1) != 0 && share_in_sample_of_class(bit) < share) {
      share = share_in_sample_of_class(bit);
      best = std::uint64_t{1} << bit;
    }
  }
  return best;
}

Need need_of_codes(std::string_view codes) {
  Need need;
  unsigned last = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto known = static_cast<unsigned char>(codes[i]);
    const unsigned code = known >= kKnownDigit ? rules::kCodeDigit : known;
    need.classes |= rules::classes_of_code(code);
    if (i > 0) need.grams.insert(rules::gram(last, code));
    if (i > 0 && known >= kKnownDigit && static_cast<unsigned char>(codes[i - 1]) >= kKnownDigit) {
      const unsigned before = static_cast<unsigned char>(codes[i - 1]) - kKnownDigit;
      need.grams.insert(rules::digit_gram(before, known - kKnownDigit));
    }
    last = code;
  }
  return need;
}

Need need_of_text(std::string_view text) {
  std::string codes;
  for (const char c : text) {
    codes += static_cast<char>(known_code_of(static_cast<std::uint8_t>(c)));
  }
  return need_of_codes(codes);
}

std::vector<Gram> rarest_grams(const Need& need, std::size_t most) {
  std::vector<Gram> grams(need.grams.begin(), need.grams.end());
  std::stable_sort(grams.begin(), grams.end(), [](Gram one, Gram other) {
    return share_in_sample(one) < share_in_sample(other);
  });
  if (grams.size() > most) grams.resize(most);
  return grams;
}

void reduce(Needs& needs, std::size_t most) {
  drop_implied(needs);
  if (needs.size() <= most) return;
  std::map<unsigned, Need> by_part;
  for (const Need& need : needs) {
    const auto [entry, is_new] = by_part.try_emplace(rarest_part(need), need);
    if (!is_new) entry->second = common(entry->second, need);
  }
  needs.clear();
  for (auto& [part, need] : by_part) needs.push_back(std::move(need));
  drop_implied(needs);
  if (needs.size() > most) {
    std::map<std::uint64_t, Need> by_class;
    for (const Need& need : needs) {
      const auto [entry, is_new] = by_class.try_emplace(rarest_class(need), need);
      if (!is_new) entry->second = common(entry->second, need);
    }
    needs.clear();
    for (auto& [bit, need] : by_class) needs.push_back(std::move(need));
    drop_implied(needs);
  }
  // Still too many: the two that lose least become one.
  while (needs.size() > most) {
    std::size_t first = 0, second = 1;
    double least = 1e9;
    for (std::size_t i = 0; i < needs.size(); ++i) {
      for (std::size_t j = i + 1; j < needs.size(); ++j) {
        const double share = share_in_sample(common(needs[i], needs[j]));
        if (share < least) least = share, first = i, second = j;
      }
    }
    needs[first] = common(needs[first], needs[second]);
    needs.erase(needs.begin() + static_cast<std::ptrdiff_t>(second));
  }
  drop_implied(needs);
}

namespace {

Needs crossed(const Needs& left, const Needs& right) {
  Needs result;
  for (const Need& one : left) {
    for (const Need& other : right) result.push_back(joined(one, other));
  }
  drop_implied(result);
  return result;
}

/// One side, with what all ways of the other have in common.
Needs with_common(Needs side, const Needs& other) {
  Need shared = other[0];
  for (const Need& each : other) shared = common(shared, each);
  for (Need& each : side) each = joined(each, shared);
  drop_implied(side);
  return side;
}

}  // namespace

Needs both(const Needs& left, const Needs& right) {
  if (left.size() * right.size() <= kNeedsMax) return crossed(left, right);
  std::vector<Needs> choices{with_common(left, right), with_common(right, left)};
  for (const auto& [small, large] : {std::pair(&left, &right), std::pair(&right, &left)}) {
    if (small->size() > kNeedsMax / 3) continue;
    Needs merged = *large;
    reduce(merged, kNeedsMax / small->size());
    choices.push_back(crossed(*small, merged));
  }
  return *std::min_element(
      choices.begin(), choices.end(),
      [](const Needs& one, const Needs& other) { return share_of_all(one) < share_of_all(other); });
}

Needs byte_range_needs(const rules::ByteRange& good) {
  std::set<unsigned> codes;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if ((good.allowed[byte / 64] >> byte % 64 & 1) == 0) codes.insert(rules::kByteCodes[byte]);
  }
  Needs needs;
  for (const unsigned code : codes) needs.push_back({rules::classes_of_code(code), {}, 0, false});
  // Nothing is outside: a need that no value meets is not worth a kind of its own.
  if (needs.empty()) needs.emplace_back();
  return needs;
}

Needs literal_needs(const std::vector<std::string>& texts) {
  Needs needs;
  for (const std::string& text : texts) {
    needs.push_back(need_of_text(text));
  }
  if (needs.empty()) needs.emplace_back();
  reduce(needs, kLiteralNeedsMax);
  return needs;
}

}  // namespace sluice::compile
