// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/matcher.h"

#include <algorithm>

#include "dataplane/abi/operators.h"
#include "dataplane/rules/injection.h"
#include "dataplane/rules/operator/geo_lookup.h"
#include "dataplane/rules/operator/ip_match.h"
#include "dataplane/rules/operator/operator.h"
#include "dataplane/rules/operator/verify.h"
#include "dataplane/rules/regex_gate.h"
#include "dataplane/rules/scanner.h"
#include "dataplane/rules/targets.h"
#include "dataplane/rules/transform/transform.h"

namespace sluice::rules {

namespace {

using abi::OperatorId;

/// Units of RegexMeter and bytes in which no match begins, of 10 ns and less, for one step.
constexpr std::uint64_t kRegexWorkPerStep = 4, kRegexStartsPerStep = 16;
constexpr std::uint64_t kRegexStepsLeast = 4;
constexpr std::uint64_t kAllWork = ~std::uint64_t{0};  ///< what is left of the budget
/// What PCRE2 may take to find the place of a match that Hyperscan can tell of: 20 us and 20 ns for
/// each byte.
constexpr std::uint64_t kPlaceWork = 2048, kPlaceWorkPerByte = 2;
constexpr std::size_t kPlaceBytes = 64;

/// Lets `match` take work of PCRE2, as RegexContext::match_metered() counts it, out of the budget.
template <typename Match>
MatchOutcome with_work(TransactionState& state, std::uint64_t most, Match&& match) {
  const std::uint64_t given = std::min(kRegexWorkPerStep * state.steps_left, most);
  std::uint64_t left = given;
  const MatchOutcome outcome = match(left);
  state.spend((given - left + kRegexWorkPerStep - 1) / kRegexWorkPerStep);
  return outcome;
}

bool captures(const abi::Rule& rule) { return (rule.flags & abi::kRuleCapture) != 0; }

void set_capture(TransactionState& state, std::size_t group, std::string_view text) {
  constexpr std::size_t kDigitSlots = 10;  // slots 0..9 are TX.0..9 in every image
  if (group < kDigitSlots) {
    return state.tx.set(static_cast<std::uint32_t>(group), state.keep(text));
  }
  const char name[2] = {static_cast<char>('0' + group / 10), static_cast<char>('0' + group % 10)};
  const std::uint32_t index = state.tx.find_or_add({name, 2}, state.region);
  if (index == TxStore::kNotFound) return state.fail_memory();
  state.tx.set(index, state.keep(text));
}

void set_groups(TransactionState& state, std::size_t first) {
  const RegexContext& regex = state.worker->regex;
  for (std::size_t group = 0; group < regex.group_count(); ++group) {
    // A group that took no part leaves what was there, as ModSecurity v3 does.
    if (const auto text = regex.group(group); text.has_value()) {
      set_capture(state, first + group, base::as_text(*text));
    }
  }
}

MatchOutcome run_every_match(TransactionState& state, const abi::Rule& rule, const Regex& regex,
                             Bytes value, Bytes& matched, std::uint64_t& work) {
  ++state.worker->counts.regex_confirms;
  RegexCursor cursor(regex, value, state.worker->regex, work);
  MatchOutcome result = MatchOutcome::kNoMatch;
  std::size_t first = 0;
  for (;;) {
    if (!state.spend(kRegexStepsLeast + value.size() / kRegexStartsPerStep)) {
      return MatchOutcome::kLimit;
    }
    const MatchOutcome outcome = cursor.next();
    if (outcome == MatchOutcome::kLimit) return outcome;
    if (outcome == MatchOutcome::kNoMatch) return result;
    if (result == MatchOutcome::kNoMatch) {
      matched = state.worker->regex.group(0).value_or(Bytes());
    }
    result = MatchOutcome::kMatch;
    if (!captures(rule) || first >= abi::kRegexGroupsMax) return result;
    set_groups(state, first);
    first += state.worker->regex.group_count();
  }
}

MatchOutcome run_pattern(TransactionState& state, const Regex& regex, Bytes value,
                         std::uint64_t most) {
  ++state.worker->counts.regex_confirms;
  if (!state.spend(kRegexStepsLeast + value.size() / kRegexStartsPerStep)) {
    return MatchOutcome::kLimit;
  }
  return with_work(state, most, [&](std::uint64_t& work) {
    return state.worker->regex.match_metered(regex, value, 0, work);
  });
}

struct ScanHit {
  unsigned id = 0;
  unsigned long long end = 0;
  bool found = false;
};

int on_hit(unsigned id, unsigned long long, unsigned long long end, unsigned, void* context) {
  *static_cast<ScanHit*>(context) = {id, end, true};
  return 1;  // the first end decides
}

/// What of a database has the first end in a value.
ScanHit scan_for(TransactionState& state, std::uint32_t database, Bytes value) {
  ScanHit hit;
  run_database(state, database, value, on_hit, &hit);
  hit.found = hit.found && hit.end <= value.size();
  return hit;
}

/// Whether more is wanted of a match than that there is one, and roughly where.
bool needs_groups(const abi::Rule& rule, const Regex& regex) {
  return captures(rule) && (regex.group_count() > 0 || rule.next_link != abi::kNone32);
}

/// Where PCRE2 begins again and again, what Hyperscan says decides, in time linear in the value.
/// Of the place it knows the end alone: `matched` becomes the kPlaceBytes before it.
MatchOutcome find_by_scan(TransactionState& state, std::uint32_t pattern, Bytes value,
                          Bytes& matched) {
  const abi::ScanPattern& wanted =
      state.ruleset->array<abi::ScanPattern>(state.header().patterns)[pattern];
  const ScanHit hit = scan_for(state, wanted.database, value);
  if (state.failed()) return MatchOutcome::kLimit;
  if (!hit.found) return MatchOutcome::kNoMatch;
  matched = value.first(hit.end);
  matched = matched.last(std::min(matched.size(), kPlaceBytes));
  return MatchOutcome::kMatch;
}

MatchOutcome run_regex(TransactionState& state, const abi::Rule& rule, Bytes value,
                       Bytes& matched) {
  // What a scan names has passed the sieves of its pattern.
  const bool scanned = (rule.flags & abi::kRuleScanned) != 0;
  if (!scanned && !may_match(state, rule.argument_index, value)) return MatchOutcome::kNoMatch;
  const Regex& regex = state.ruleset->regex(rule.argument_index);
  if (static_cast<OperatorId>(rule.operator_id) == OperatorId::kRxGlobal) {
    return with_work(state, kAllWork, [&](std::uint64_t& work) {
      return run_every_match(state, rule, regex, value, matched, work);
    });
  }
  const std::uint32_t pattern =
      needs_groups(rule, regex) ? abi::kNone32 : state.ruleset->exact_pattern(rule.argument_index);
  const MatchOutcome outcome = run_pattern(
      state, regex, value,
      pattern == abi::kNone32 ? kAllWork : kPlaceWork + kPlaceWorkPerByte * value.size());
  if (outcome == MatchOutcome::kLimit && pattern != abi::kNone32) {
    const MatchOutcome known = find_by_scan(state, pattern, value, matched);
    if (known == MatchOutcome::kMatch && captures(rule)) {
      set_capture(state, 0, base::as_text(matched));
    }
    return known;
  }
  if (outcome == MatchOutcome::kMatch) {
    matched = state.worker->regex.group(0).value_or(Bytes());
    if (captures(rule)) set_groups(state, 0);
  }
  return outcome;
}

MatchOutcome run_phrases(TransactionState& state, const abi::Rule& rule, Bytes value,
                         Bytes& matched) {
  const abi::PhraseSet& set =
      state.ruleset->array<abi::PhraseSet>(state.header().phrase_sets)[rule.argument_index];
  if (set.database == abi::kNone32 || value.empty()) return MatchOutcome::kNoMatch;
  const ScanHit hit = scan_for(state, set.database, value);
  if (!hit.found || hit.id >= set.phrase_count) return MatchOutcome::kNoMatch;
  const std::string_view phrase = state.text(
      state.ruleset->array<abi::StringRef>(state.header().phrases)[set.first_phrase + hit.id]);
  if (phrase.size() <= hit.end) matched = value.subspan(hit.end - phrase.size(), phrase.size());
  if (captures(rule)) set_capture(state, 0, phrase);
  return MatchOutcome::kMatch;
}

void set_geo(TransactionState& state, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (state.values.add(state.region, VariableId::kGeo, key, base::as_bytes(value)) == kNoValue) {
    state.fail_memory();
  }
}

MatchOutcome run_geo(TransactionState& state, Bytes value) {
  const GeoDatabase* database = state.ruleset->geo_database();
  GeoRecord record;
  if (database == nullptr || !database->lookup(value, record)) return MatchOutcome::kNoMatch;
  state.values.clear(VariableId::kGeo);
  set_geo(state, "COUNTRY_CODE", record.country_code);
  set_geo(state, "COUNTRY_NAME", record.country_name);
  set_geo(state, "COUNTRY_CONTINENT", record.continent_code);
  set_geo(state, "REGION", record.region);
  set_geo(state, "CITY", record.city);
  set_geo(state, "POSTAL_CODE", record.postal_code);
  return MatchOutcome::kMatch;
}

MatchOutcome outcome_of(bool matches) {
  return matches ? MatchOutcome::kMatch : MatchOutcome::kNoMatch;
}

IpSet ip_set_of(const TransactionState& state, const abi::Rule& rule) {
  const abi::IpSetSpec& spec =
      state.ruleset->array<abi::IpSetSpec>(state.header().ip_sets)[rule.argument_index];
  return {state.ruleset->array<Ipv4Range>(spec.v4), state.ruleset->array<Ipv6Range>(spec.v6)};
}

}  // namespace

MatchOutcome match_pattern(TransactionState& state, const Regex& regex, Bytes value) {
  return run_pattern(state, regex, value, kAllWork);
}

MatchOutcome match_operator(TransactionState& state, const abi::Rule& rule, Bytes value,
                            Bytes& matched) {
  const auto id = static_cast<OperatorId>(rule.operator_id);
  switch (id) {
    case OperatorId::kRx:
    case OperatorId::kRxGlobal:
      if (rule.argument_index == abi::kNone32) {
        // Patterns with macros that are not constant are refused by the compiler.
        return MatchOutcome::kNoMatch;
      }
      return run_regex(state, rule, value, matched);
    case OperatorId::kPm:
    case OperatorId::kPmFromFile:
      return run_phrases(state, rule, value, matched);
    case OperatorId::kIpMatch:
    case OperatorId::kIpMatchFromFile:
      return outcome_of(ip_match(ip_set_of(state, rule), value));
    case OperatorId::kValidateByteRange:
      return outcome_of(outside_byte_range(
          state.ruleset->array<ByteRange>(state.header().byte_ranges)[rule.argument_index], value));
    case OperatorId::kDetectSqli:
    case OperatorId::kDetectXss: {
      char fingerprint[kSqliFingerprintBytes];
      const MatchOutcome outcome = detect_injection(state, id, value, fingerprint);
      if (outcome == MatchOutcome::kMatch && captures(rule)) {
        set_capture(
            state, 0,
            id == OperatorId::kDetectSqli ? std::string_view(fingerprint) : base::as_text(value));
      }
      return outcome;
    }
    case OperatorId::kVerifyCc:
    case OperatorId::kVerifySsn:
    case OperatorId::kVerifyCpf:
    case OperatorId::kVerifySvnr: {
      state.spend(4 + value.size() / 16);
      const Regex& regex = state.ruleset->regex(rule.argument_index);
      const MatchOutcome outcome = with_work(state, kAllWork, [&](std::uint64_t& work) {
        return verify(id, regex, value, state.worker->regex, work, matched);
      });
      if (outcome == MatchOutcome::kMatch && captures(rule)) {
        set_capture(state, 0, base::as_text(matched));
      }
      return outcome;
    }
    case OperatorId::kGeoLookup:
      return run_geo(state, value);
    default:
      state.spend(1 + value.size() / 64);
      return outcome_of(match_leaf(id, base::as_bytes(expand(state, rule.argument)), value));
  }
}

bool is_client_in_set(const TransactionState& state, const abi::Rule& rule) {
  const base::IpAddress& client = state.info.client;
  if (client.is_v4()) return contains_ipv4(ip_set_of(state, rule), client.v4_number());
  const auto half = [&](std::size_t at) {
    return std::uint64_t{base::load_be32(client.bytes + at)} << 32 |
           base::load_be32(client.bytes + at + 4);
  };
  return contains_ipv6(ip_set_of(state, rule), {half(0), half(8)});
}

Bytes transform(TransactionState& state, std::uint16_t node, Bytes value) {
  if (node == 0) return value;
  const auto nodes = state.ruleset->array<abi::TransformNode>(state.header().nodes);
  std::uint16_t path[32];
  std::size_t depth = 0;
  for (std::uint16_t at = node; at != 0 && depth < std::size(path); at = nodes[at].parent) {
    path[depth++] = at;
  }
  const abi::UnicodeMap* map =
      state.header().unicode_map == 0
          ? nullptr
          : reinterpret_cast<const abi::UnicodeMap*>(state.ruleset->image().data() +
                                                     state.header().unicode_map);
  state.spend(1 + value.size() / 64 * depth);
  while (depth > 0) {
    const auto id = static_cast<abi::TransformId>(nodes[path[--depth]].transform);
    const TransformResult result = apply_transform(id, value, map, state.worker->arena);
    if (result.outcome == TransformOutcome::kArenaFull) {
      state.fail(abi::Reason::kTransactionMemory);
      return {};
    }
    value = result.output;
  }
  return value;
}

}  // namespace sluice::rules
