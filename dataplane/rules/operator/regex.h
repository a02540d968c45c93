// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/abi/limits.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/rules/operator/outcome.h"

struct pcre2_real_code_8;

namespace sluice::rules {

using base::Bytes;

/// How a pattern is read. The defaults are ModSecurity v3's for @rx; selectors and exclusions add
/// `caseless`. Patterns are bytes: UTF mode is refused at compile time.
struct RegexOptions {
  bool caseless = false;
  bool dotall = true;
  bool multiline = true;
};

/// One pattern of PCRE2, compiled to machine code where PCRE2 can. Made by the control plane or
/// while an image is loaded, never on a worker; shared read-only by all workers.
class Regex {
 public:
  /// Error: PCRE2's message with the place in the pattern.
  static base::Result<Regex> compile(std::string_view pattern, RegexOptions options = {});
  Regex(Regex&& other) noexcept;
  Regex& operator=(Regex&& other) noexcept;
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;
  ~Regex();

  /// Groups, the whole match not counted.
  [[nodiscard]] std::uint32_t group_count() const { return groups_; }
  /// False if PCRE2 has no machine code for it and interprets it.
  [[nodiscard]] bool is_jit() const { return jit_; }
  /// No match is shorter.
  [[nodiscard]] std::uint32_t least_bytes() const { return least_bytes_; }
  /// Bytes of compiled pattern and machine code.
  [[nodiscard]] std::size_t memory_bytes() const;
  [[nodiscard]] const pcre2_real_code_8* code() const { return code_; }
  /// The same pattern with callouts for RegexMeter; the same code where its work does not grow
  /// faster than the value.
  [[nodiscard]] const pcre2_real_code_8* metered_code() const {
    return metered_ != nullptr ? metered_ : code_;
  }
  /// What PCRE2 would say of the whole subject, for patterns that are a few texts between `^` and
  /// `$` (`^(?:GET|HEAD)$`, `^0?$`, `^$`) or `^.*$`. nullopt: PCRE2 is to be asked. O(texts).
  [[nodiscard]] std::optional<bool> is_whole_match(Bytes subject) const;

 private:
  explicit Regex(pcre2_real_code_8* code);
  void add_meter(std::string_view pattern, std::uint32_t flags);
  void read_texts(std::string_view pattern);
  pcre2_real_code_8 *code_ = nullptr, *metered_ = nullptr;
  std::uint32_t groups_ = 0;
  std::uint32_t least_bytes_ = 0;
  bool jit_ = false;
  bool any_ = false;                ///< `^.*$`
  std::vector<std::string> texts_;  ///< between `^` and `$`; none: another kind of pattern
};

/// Bounds on one match. match: PCRE2's counter of match() calls, coarser with machine code and then
/// for each start of a match, not for all together.
struct RegexLimits {
  std::uint32_t match = abi::kRegexMatchLimit;
  std::uint32_t depth = abi::kRegexDepthLimit;
};

using RegexOutcome = MatchOutcome;

/// What matching needs, one per worker, made before the worker starts: groups, machine stack and
/// heap, all of fixed size. Matching allocates nothing.
class RegexContext {
 public:
  static base::Result<RegexContext> create(RegexLimits limits = {});
  RegexContext(RegexContext&& other) noexcept;
  RegexContext& operator=(RegexContext&& other) noexcept;
  RegexContext(const RegexContext&) = delete;
  RegexContext& operator=(const RegexContext&) = delete;
  ~RegexContext();

  /// Looks for the leftmost match at or behind `offset` (0..subject.size()). The groups hold until
  /// the next call. Work at each start of a match is bounded by the limits; in all it may be the
  /// square of a long subject and more.
  RegexOutcome match(const Regex& regex, Bytes subject, std::size_t offset = 0);
  /// The same for short subjects and with little work at each start. kLimit: more is needed.
  RegexOutcome match_briefly(const Regex& regex, Bytes subject);
  /// The same with all work that grows faster than the subject taken from `work`, in units of
  /// RegexMeter of some 10 ns. The same subject takes the same work everywhere. kLimit: beyond it,
  /// or beyond the limits.
  RegexOutcome match_metered(const Regex& regex, Bytes subject, std::size_t offset,
                             std::uint64_t& work) {
    return match_metered(regex, subject, offset, 0, work);
  }

  /// Groups of the last match that may have taken part: 1 + the highest one that did, at most
  /// abi::kRegexGroupsMax.
  [[nodiscard]] std::size_t group_count() const { return group_count_; }
  /// Group `index` of the last match (0: all of it), a part of the subject. nullopt: it took no
  /// part.
  [[nodiscard]] std::optional<Bytes> group(std::size_t index) const;

 private:
  friend class RegexCursor;
  struct State;
  RegexOutcome match_metered(const Regex& regex, Bytes subject, std::size_t offset,
                             std::uint32_t options, std::uint64_t& work);
  RegexOutcome run(const Regex& regex, const pcre2_real_code_8* code, std::size_t offset,
                   std::uint32_t options, bool briefly = false);
  std::optional<RegexOutcome> match_whole(const Regex& regex, Bytes subject);
  explicit RegexContext(State* state) : state_(state) {}
  State* state_ = nullptr;
  Bytes subject_;
  std::size_t group_count_ = 0;
};

/// Every match of a value from left to right as rxGlobal and Perl's /g count them: an empty match
/// is followed by a look for a longer one at the same place.
class RegexCursor {
 public:
  /// work: as match_metered() takes it; must outlive the cursor.
  RegexCursor(const Regex& regex, Bytes subject, RegexContext& context, std::uint64_t& work)
      : regex_(regex), subject_(subject), context_(context), work_(work) {}
  /// The next match; its groups are in the context. kNoMatch: that was all.
  RegexOutcome next();

 private:
  const Regex& regex_;
  Bytes subject_;
  RegexContext& context_;
  std::uint64_t& work_;
  std::size_t offset_ = 0;
  bool was_empty_ = false;
};

}  // namespace sluice::rules
