// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/needs.h"

#include <algorithm>
#include <map>
#include <set>

#include "controlplane/compile/honest_sample.h"

namespace sluice::compile {

using rules::Gram;

namespace {

/// More than this many are first merged by their rarest part.
constexpr std::size_t kMergedOneByOne = 200;
/// Ways without pairs are kept apart if a smaller share of values than this passes one of them, of
/// those that pass what they have in common.
constexpr double kWorthAsking = 0.8;

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
  result.grams = Grams::common(one.grams, other.grams);
  return result;
}

Need joined(const Need& one, const Need& other) {
  Need result = one;
  result.classes |= other.classes;
  result.grams = Grams::joined(one.grams, other.grams);
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

namespace {

/// Those whose rarest part is the same become one.
void merge_by_part(Needs& needs) {
  std::map<unsigned, Need> by_part;
  for (const Need& need : needs) {
    const auto [entry, is_new] = by_part.try_emplace(rarest_part(need), need);
    if (!is_new) entry->second = common(entry->second, need);
  }
  needs.clear();
  for (auto& [part, need] : by_part) needs.push_back(std::move(need));
}

/// The two that lose least become one, until few enough are left. O(n^2) for most inputs.
class Merger {
 public:
  explicit Merger(Needs& needs) : needs_(needs), best_(needs.size()), gone_(needs.size()) {
    for (const Need& need : needs_) shares_.push_back(share_in_sample(need));
    for (std::size_t i = 0; i < needs_.size(); ++i) find_partner(i);
  }

  void run(std::size_t most) {
    for (std::size_t left = needs_.size(); left > most; --left) merge(cheapest());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < needs_.size(); ++i) {
      if (!gone_[i] && i != kept++) needs_[kept - 1] = std::move(needs_[i]);
    }
    needs_.resize(kept);
  }

 private:
  struct Partner {
    std::size_t other = 0;
    double loss = kNever;
  };
  static constexpr double kNever = 1e9;

  [[nodiscard]] double loss(std::size_t i, std::size_t j) const {
    return share_in_sample(common(needs_[i], needs_[j])) - shares_[i] - shares_[j];
  }
  /// Of those behind it.
  void find_partner(std::size_t i) {
    best_[i] = {};
    for (std::size_t j = i + 1; j < needs_.size(); ++j) {
      if (!gone_[j]) offer(i, j);
    }
  }
  void offer(std::size_t i, std::size_t j) {
    const double lost = loss(i, j);
    if (lost < best_[i].loss) best_[i] = {j, lost};
  }
  [[nodiscard]] std::size_t cheapest() const {
    std::size_t best = 0;
    double lost = kNever;
    for (std::size_t i = 0; i < needs_.size(); ++i) {
      if (!gone_[i] && best_[i].loss < lost) best = i, lost = best_[i].loss;
    }
    return best;
  }
  void merge(std::size_t into) {
    const std::size_t other = best_[into].other;
    needs_[into] = common(needs_[into], needs_[other]);
    shares_[into] = share_in_sample(needs_[into]);
    gone_[other] = true;
    find_partner(into);
    for (std::size_t i = 0; i < other; ++i) {
      if (gone_[i] || i == into) continue;
      if (best_[i].other == other || best_[i].other == into) {
        find_partner(i);
      } else if (i < into) {
        offer(i, into);
      }
    }
  }

  Needs& needs_;
  std::vector<double> shares_;
  std::vector<Partner> best_;
  std::vector<bool> gone_;
};

}  // namespace

void reduce(Needs& needs, std::size_t most) {
  drop_implied(needs);
  if (needs.size() <= most) return;
  if (needs.size() > kMergedOneByOne) {
    merge_by_part(needs);
    drop_implied(needs);
  }
  if (needs.size() <= most) return;
  Merger(needs).run(most);
  drop_implied(needs);
}

void merge_common(Needs& needs) {
  Needs rare, all;
  for (Need& need : needs) (need.grams.empty() ? all : rare).push_back(std::move(need));
  if (all.size() > 1) {
    Need merged = all[0];
    for (const Need& need : all) merged = common(merged, need);
    if (share_in_sample(all) > kWorthAsking * share_in_sample(merged)) all = {merged};
  }
  rare.insert(rare.end(), all.begin(), all.end());
  needs = std::move(rare);
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

Needs xss_needs() {
  const Needs names =
      literal_needs({"on", "xmlns", "xlink", "style", "action", "attributename", "by", "background",
                     "dataformatas", "src", "filter", "folder", "from", "handler", "href", "poster",
                     "to", "values", std::string(1, 0)});
  Needs needs = both(names, literal_needs({"="}));
  needs.push_back(need_of_text("<"));
  return needs;
}

}  // namespace sluice::compile
