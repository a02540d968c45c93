// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/compile/clusters.h"

#include <hs/hs.h>

#include <algorithm>
#include <map>
#include <utility>

#include "controlplane/compile/split.h"

namespace sluice::compile {

namespace {

/// Patterns up to which different companies share a database.
constexpr std::size_t kClusterPatterns = 16;

/// Databases of one pattern, and the share of honest values from which on a pattern gets one.
constexpr std::size_t kAloneMax = 16;
constexpr double kAloneShare = 0.02;

/// Of patterns that are split because they are too large, in all: each byte costs a millisecond or
/// less of compiling, and those beyond are prefiltered.
constexpr std::size_t kSplitBytesMax = 24 * 1024;
/// Pieces of one pattern.
constexpr std::size_t kPiecesMax = 8;

class ClusterMaker {
 public:
  explicit ClusterMaker(DatabaseMaker& maker) : maker_(maker) {}

  std::vector<std::string> run(std::vector<Wanted>& wanted) {
    std::map<std::pair<bool, std::string>, std::vector<Wanted*>> companies;
    set_apart(wanted);
    for (Wanted& each : wanted) {
      read(each);
      if (!each.refused) companies[{each.prefiltered, each.company}].push_back(&each);
    }
    // A company stays together however large it is, so that more rules for the same values add no
    // scans; small ones share a database.
    std::vector<Wanted*> cluster;
    for (const auto& [key, members] : companies) {
      if (!cluster.empty() && (cluster.size() + members.size() > kClusterPatterns ||
                               cluster[0]->prefiltered != key.first || is_alone(*members[0]) ||
                               is_alone(*cluster[0]))) {
        make(cluster);
        cluster.clear();
      }
      cluster.insert(cluster.end(), members.begin(), members.end());
    }
    make(cluster);
    return std::move(databases_);
  }

 private:
  static bool is_alone(const Wanted& wanted) { return wanted.company.starts_with('!'); }

  static void set_apart(std::vector<Wanted>& wanted) {
    std::vector<Wanted*> by_share;
    by_share.reserve(wanted.size());
    for (Wanted& each : wanted) by_share.push_back(&each);
    std::stable_sort(by_share.begin(), by_share.end(), [](const Wanted* one, const Wanted* other) {
      return one->share > other->share;
    });
    for (std::size_t i = 0; i < std::min(kAloneMax, by_share.size()); ++i) {
      if (by_share[i]->share >= kAloneShare) {
        by_share[i]->company = "!" + std::to_string(by_share[i]->pattern);
      }
    }
  }

  static void weaken(Wanted& wanted) {
    wanted.refused = wanted.prefiltered;
    wanted.prefiltered = true;
    for (Expression& each : wanted.expressions) each.flags |= HS_FLAG_PREFILTER;
  }
  static bool readable(const Wanted& wanted) {
    return std::all_of(wanted.expressions.begin(), wanted.expressions.end(), [](const auto& each) {
      return DatabaseMaker::reads(each.pattern, each.flags);
    });
  }
  static void read(Wanted& wanted) {
    while (!wanted.refused && !readable(wanted)) weaken(wanted);
  }

  /// Two expressions for one that is too large, which find exactly what it finds.
  bool split(Wanted& wanted, std::size_t index) {
    Expression& large = wanted.expressions[index];
    if (wanted.prefiltered || large.literal || wanted.expressions.size() == kPiecesMax ||
        large.pattern.size() > kSplitBytesMax - split_bytes_) {
      return false;
    }
    const auto parts = split_pattern(large.pattern);
    if (!parts.has_value()) return false;
    split_bytes_ += large.pattern.size();
    Expression second = large;
    large.pattern = parts->first;
    second.pattern = parts->second;
    wanted.expressions.push_back(std::move(second));
    return true;
  }

  void make(std::vector<Wanted*> cluster) {
    while (!cluster.empty()) {
      std::vector<Expression> expressions;
      std::vector<std::pair<Wanted*, std::size_t>> owners;  // with the index among its expressions
      for (Wanted* each : cluster) {
        for (std::size_t i = 0; i < each->expressions.size(); ++i) {
          Expression& expression = expressions.emplace_back(each->expressions[i]);
          expression.id = each->pattern;
          expression.flags |= HS_FLAG_SINGLEMATCH;
          owners.emplace_back(each, i);
        }
      }
      int bad = -1;
      auto made = maker_.make(expressions, bad);
      if (made.ok()) {
        for (Wanted* each : cluster) {
          each->database = static_cast<std::uint32_t>(databases_.size());
        }
        databases_.push_back(std::move(made).value());
        return;
      }
      if (bad >= 0 && static_cast<std::size_t>(bad) < owners.size()) {
        const auto [owner, index] = owners[static_cast<std::size_t>(bad)];
        if (!split(*owner, index)) weaken(*owner);
      } else if (cluster.size() == 1) {
        weaken(*cluster[0]);
      } else {
        const auto half = cluster.begin() + static_cast<std::ptrdiff_t>(cluster.size() / 2);
        make({cluster.begin(), half});
        cluster.erase(cluster.begin(), half);
      }
      std::erase_if(cluster, [](const Wanted* each) { return each->refused; });
    }
  }

  DatabaseMaker& maker_;
  std::vector<std::string> databases_;
  std::size_t split_bytes_ = 0;
};

}  // namespace

std::vector<std::string> make_clusters(std::vector<Wanted>& wanted, DatabaseMaker& maker) {
  return ClusterMaker(maker).run(wanted);
}

}  // namespace sluice::compile
