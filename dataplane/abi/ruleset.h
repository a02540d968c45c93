// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/abi/image.h"

/// The rules section of an image: one RulesetHeader and its arrays, found by Span32 from the start
/// of the image. Written by controlplane/compile, verified and read by dataplane/rules. Texts are
/// StringRefs into the strings section. docs/abi.md.
namespace sluice::abi {

inline constexpr std::uint32_t kRulesetVersion = 8;
inline constexpr std::uint32_t kNone32 = 0xffffffff;
inline constexpr std::uint16_t kNone16 = 0xffff;
/// Phases 1 to 5 of SecLang.
inline constexpr std::uint32_t kPhaseCount = 5;

/// A text with macros in it: `part_count` parts from `first_part` on.
struct RuleText {
  std::uint32_t first_part;
  std::uint32_t part_count;  ///< 0: no text
};

/// A literal, or the value of a variable at the time of use.
struct TextPart {
  StringRef text;          ///< the literal, or the key of the variable (may be empty)
  std::uint16_t variable;  ///< a VariableId, or kNone16 for a literal
  std::uint16_t slot;      ///< TX: the slot of a key that is known, else kNone16
  std::uint32_t reserved;
};

enum class Selector : std::uint8_t { kAll = 0, kKey = 1, kRegex = 2 };

/// Members of the same variable that a target leaves out: a key or a pattern of keys.
struct RuleExclusion {
  StringRef key;        ///< kKey: the key, compared without case
  std::uint32_t regex;  ///< kRegex: index into `regexes`, else kNone32
  Selector selector;
  std::uint8_t reserved[3];
};

/// One target of a rule.
struct RuleTarget {
  StringRef written;  ///< as the rule has it, for ctl exclusions: "ARGS:foo"
  StringRef key;      ///< kKey: the key, as written
  std::uint32_t regex;
  std::uint32_t first_exclusion;
  std::uint16_t exclusion_count;
  std::uint16_t variable;  ///< a VariableId
  Selector selector;
  std::uint8_t is_count;  ///< `&`
  std::uint16_t slot;     ///< TX with a known key: its slot
};

/// A step of a transformation chain. Node 0 is the value itself; a node's parent stands before it.
struct TransformNode {
  std::uint16_t parent;
  std::uint8_t transform;  ///< a TransformId
  /// 1: it makes letters lower case, and what comes behind it commutes with that: scans, which
  /// ignore case for every pattern behind it, leave the letters as they are.
  std::uint8_t ignores_case;
};
inline constexpr std::uint32_t kTransformNodesMax = 256;

/// One action of a rule, in the order of execution.
struct RuleAction {
  std::uint8_t action;     ///< an ActionId: setvar, expirevar, initcol or ctl
  std::uint8_t operation;  ///< setvar: SetOperation; ctl: ControlId
  std::uint16_t variable;  ///< a VariableId: setvar, expirevar, initcol: collection; ctl: target
  std::uint16_t slot;      ///< setvar on TX with a known key: its slot, else kNone16
  Selector selector;       ///< ctl: of the target
  std::uint8_t known;      ///< setvar, initcol: kAction* bits
  std::int64_t number;     ///< setvar; ctl: first id, or a mode, switch, processor or number
  std::int64_t last;       ///< ctl: last id of a range
  RuleText key;            ///< setvar: name of the variable; initcol: key
  RuleText value;          ///< setvar: its value; expirevar: seconds; ctl: tag or message
  StringRef target_key;    ///< ctl: key of the target, or its pattern's text
  std::uint32_t regex;     ///< ctl: target pattern, else kNone32
  std::uint32_t reserved;
};

inline constexpr std::uint8_t kActionNumberKnown = 1;  ///< `number` is what is added or subtracted
inline constexpr std::uint8_t kActionScores = 2;       ///< adds to an anomaly score: reported
/// initcol: nothing in the key changes any more, so it may be made when it is asked for.
inline constexpr std::uint8_t kActionLate = 4;

enum class SetOperation : std::uint8_t { kAssign = 0, kAdd = 1, kSubtract = 2, kDelete = 3 };

/// Flags of a rule.
inline constexpr std::uint32_t kRuleHasOperator = 1u << 0;  ///< a SecRule, not a SecAction
inline constexpr std::uint32_t kRuleNegated = 1u << 1;
inline constexpr std::uint32_t kRuleCapture = 1u << 2;
inline constexpr std::uint32_t kRuleMultiMatch = 1u << 3;
inline constexpr std::uint32_t kRuleLink = 1u << 4;    ///< not the first of its chain
inline constexpr std::uint32_t kRuleBlocks = 1u << 5;  ///< deny, drop or redirect when it matches
inline constexpr std::uint32_t kRuleAllow = 1u << 6;
inline constexpr std::uint32_t kRulePass = 1u << 7;
inline constexpr std::uint32_t kRuleNolog = 1u << 8;  ///< not reported
/// Every target is scanned and the operator only matches what the scan finds: without a candidate
/// the rule does not match.
inline constexpr std::uint32_t kRuleScanned = 1u << 9;
inline constexpr std::uint32_t kRuleRedirect = 1u << 10;
inline constexpr std::uint32_t kRuleUnfinished = 1u << 11;  ///< a chain without its last link
/// Only sets what keys of late initcols read, and may wait until one of them is asked for.
inline constexpr std::uint32_t kRuleDeferred = 1u << 12;

enum class AllowScope : std::uint8_t { kAll = 0, kPhase = 1, kRequest = 2 };

/// One SecRule, SecAction or chain link.
struct Rule {
  std::uint32_t id;          ///< of the chain's first rule; 0 for markers
  std::uint32_t flags;       ///< kRule*
  std::uint8_t phase;        ///< 1..5
  std::uint8_t operator_id;  ///< an OperatorId
  std::uint8_t severity;     ///< 0..7, 255: none
  AllowScope allow_scope;
  std::uint16_t node;            ///< transformation chain
  std::uint16_t status;          ///< of the reply; 0: the default
  std::uint32_t check;           ///< index of its check, kNone32 if nothing is scanned for it
  std::uint32_t argument_index;  ///< of the operator's prepared argument, by its kind
  RuleText argument;             ///< operators of texts and numbers, and @rx with macros
  std::uint32_t first_target, target_count;
  std::uint32_t first_set, set_count;      ///< actions that run at each match
  std::uint32_t first_after, after_count;  ///< actions that run after a full match
  std::uint32_t first_tag, tag_count;      ///< RuleTexts in `tags`
  std::uint32_t next_link;                 ///< the next rule of the chain, kNone32 at its end
  std::uint32_t starter;                   ///< index of the chain's first rule
  std::uint32_t jump;    ///< skip, skipAfter: position in the phase to go on at, kNone32: none
  std::uint32_t source;  ///< index of its text in the sources section's list
  RuleText message, logdata, redirect;
  StringRef version, revision;
};

/// A pattern in PCRE2's syntax, made at load.
struct RegexSpec {
  StringRef pattern;
  std::uint32_t flags;                   ///< kRegexCaseless
  std::uint32_t first_need, need_count;  ///< RegexNeed; none: any value may match
  std::uint32_t reserved;
};
inline constexpr std::uint32_t kRegexCaseless = 1;

/// One way in which a regex may match: the value must have all of these byte classes
/// (rules/byte_class.h), none of `forbidden`, and all of these pairs (rules/grams.h). A value that
/// meets none of a regex's needs cannot match it.
struct RegexNeed {
  std::uint64_t classes;
  std::uint64_t forbidden;  ///< where a match is the whole value
  std::uint16_t by_line;    ///< 1: `forbidden` does not hold for values with line ends
  std::uint16_t grams[7];   ///< below kGramCount; places to spare hold kGramCount - 1, always met
};

/// The phrases of a @pm or @pmFromFile, lower case; `database` finds them, exactly.
struct PhraseSet {
  std::uint32_t first_phrase, phrase_count;  ///< StringRefs in `phrases`
  std::uint32_t database;
  std::uint32_t reserved;
};

struct IpSetSpec {
  Span32 v4;  ///< rules::Ipv4Range
  Span32 v6;  ///< rules::Ipv6Range
};

/// What is looked for in scans: an operator with its argument, whatever the chain in front of it.
struct ScanPattern {
  std::uint32_t first_use, use_count;  ///< PatternUse
  std::uint32_t regex;                 ///< @rx, as scans see it: index into `regexes`, else kNone32
  std::uint32_t database;              ///< kHyperscan: the one that looks for it alone
  std::uint8_t kind;                   ///< ScanKind
  std::uint8_t exact;                  ///< 1: of `regex` Hyperscan finds what PCRE2 finds, no more
  std::uint16_t lead;                  ///< index into `leads`, kNone16: any value may match
};
inline constexpr std::uint32_t kScanPatternsMax = 32768;

/// How a value must begin. by_line: `bytes` holds for values without line ends.
inline constexpr std::size_t kLeadBytes = 4;
struct ScanLead {
  std::uint64_t bytes[kLeadBytes][4];  ///< a bit for each byte that may stand there, if one does
  std::uint8_t least;                  ///< bytes of the shortest value
  std::uint8_t count;                  ///< of `bytes`, 0..kLeadBytes
  std::uint8_t by_line;                ///< 0 or 1
  std::uint8_t reserved[5];
};

enum class ScanKind : std::uint8_t {
  kHyperscan = 0,  ///< found by the databases
  kAlways = 1,     ///< a candidate wherever a row lets it through (PCRE2 alone)
  kSqli = 2,       ///< @detectSQLi
  kXss = 3,        ///< @detectXSS
};

/// A check that looks for a pattern behind a transformation chain.
struct PatternUse {
  std::uint16_t node;
  std::uint16_t reserved;
  std::uint32_t check;
};

/// A serialised Hyperscan database in the scans section: of one pattern, for the values of all
/// zones, whose match ids say nothing; or of a PhraseSet, whose match ids are its phrases.
struct ScanDatabase {
  std::uint64_t offset, bytes;  ///< from the start of the image
};

/// One way in which a pattern may match behind some nodes: the value must have all byte classes of
/// the row (`row_classes`; rules/byte_class.h), none of `forbidden`, and all of these pairs
/// (rules/grams.h). A value that meets no row of a pattern cannot match it.
struct ScanRow {
  std::uint64_t forbidden;  ///< where a match is the whole value
  std::uint64_t nodes;      ///< node_bit() of each node
  std::uint16_t pattern;
  std::uint16_t by_line;   ///< 1: `forbidden` does not hold for values with line ends
  std::uint16_t grams[5];  ///< below kGramCount; places to spare hold kGramCount - 1, always met
  std::uint16_t reserved;
};
/// The last bit is of all nodes from there on: a row may let through too much, never too little.
constexpr std::uint64_t node_bit(std::size_t node) {
  return std::uint64_t{1} << (node < 63 ? node : 63);
}
inline constexpr std::uint16_t kGramCount = 4096;
inline constexpr std::uint32_t kGramWords = kGramCount / 64;

/// Rows with something in common, without which a value passes none of them: a pair (`keys`), or
/// byte classes, the group's mask in `group_classes` (`groups`; for rows that ask for no pair).
struct ScanRows {
  std::uint32_t first_row, row_count;  ///< into `rows`
};

/// The patterns that values of some zones are scanned for, of the rows that all sets share. Set n
/// has kGramWords words in `set_grams` from n * kGramWords on, a bit for each pair whose key it
/// looks at, and pattern_words() words in `set_patterns`, a bit for each pattern.
struct ScanSet {
  std::uint64_t nodes[kTransformNodesMax / 64];  ///< a bit per node; with each its parents
  std::uint64_t groups[2];                       ///< a bit per group
};
constexpr std::size_t pattern_words(std::size_t patterns) { return (patterns + 63) / 64; }
inline constexpr std::size_t kScanGroupsMax = 128;

/// Which set the values of one variable (and, for some, one key) are scanned with.
struct ScanZone {
  std::uint16_t zone;  ///< VariableId * 2, + 1 for the names of its members; zones are in order
  std::uint16_t reserved;
  std::uint32_t set;
  StringRef key;  ///< lower case; empty: every other key
};

struct TxSlot {
  StringRef key;      ///< lower case
  StringRef initial;  ///< value at the start of a transaction
  std::uint8_t is_set;
  std::uint8_t reserved[7];
};

enum class EngineMode : std::uint8_t { kOff = 0, kDetectionOnly = 1, kOn = 2 };
enum class LimitAction : std::uint8_t { kNone = 0, kReject = 1, kProcessPartial = 2 };

/// Directives that are no rules.
struct RulesetSettings {
  EngineMode engine;
  std::uint8_t request_body_access;   ///< 0 off, 1 on, 2 unset
  std::uint8_t response_body_access;  ///< 0 off, 1 on, 2 unset
  LimitAction request_limit_action, response_limit_action;
  std::uint8_t argument_separator;
  std::uint8_t reserved[2];
  std::uint64_t request_body_limit, request_body_no_files_limit, response_body_limit;  ///< 0: none
  std::uint32_t json_depth_limit, arguments_limit, pcre_match_limit, collection_timeout_s;
  StringRef web_app_id;
  Span32 response_mime_types;  ///< StringRef, lower case
  StringRef geo_database;      ///< path, empty: none
};

struct RulesetHeader {
  std::uint32_t version;
  std::uint32_t check_count;
  std::uint64_t variables[4];  ///< bit per VariableId: some rule reads it
  RulesetSettings settings;
  Span32 rules;                ///< Rule
  Span32 phases[kPhaseCount];  ///< uint32_t: indices of chain starters in order
  Span32 targets, exclusions, actions, texts, tags;
  Span32 nodes;  ///< TransformNode; [0] is the value itself
  Span32 regexes, regex_needs, phrase_sets, phrases, ip_sets;
  Span32 byte_ranges;  ///< rules::ByteRange
  Span32 patterns, uses, rows;
  Span32 row_classes;    ///< uint64_t per row, apart so that many are compared at once
  Span32 groups, keys;   ///< ScanRows
  Span32 group_classes;  ///< uint64_t per group
  Span32 key_grams;      ///< uint64_t, kGramWords: the pair of each key, in the order of the keys
  Span32 set_grams;      ///< uint64_t, kGramWords per set
  Span32 set_patterns;   ///< uint64_t, pattern_words() per set
  Span32 sets;
  Span32 leads;  ///< ScanLead
  /// uint16_t per node: how what it gives must begin to be looked at, an index into `leads` or
  /// kNone16. Others have no lead: those whose steps do not change every value, and parents.
  Span32 node_leads;
  Span32 zones, databases;
  Span32 check_rules;         ///< uint32_t per check: how many rules use it (cost accounts)
  Span32 slots;               ///< TxSlot
  std::uint64_t unicode_map;  ///< offset of a UnicodeMap, 0: none
};
static_assert(std::is_trivially_copyable_v<RulesetHeader> && sizeof(RulesetHeader) % 8 == 0);
static_assert(sizeof(Rule) % 4 == 0 && sizeof(RuleAction) % 8 == 0);

}  // namespace sluice::abi
