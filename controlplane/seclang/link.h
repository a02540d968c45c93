// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "controlplane/seclang/source_set.h"
#include "dataplane/abi/actions.h"
#include "dataplane/abi/operators.h"
#include "dataplane/abi/transforms.h"
#include "dataplane/abi/variables.h"
#include "dataplane/abi/verdict.h"
#include "dataplane/config/diagnostics.h"

/// What the compiler consumes: rules in file order with everything resolved that the sources alone
/// decide. Load-time exclusions and updates are applied, chains joined, markers turned into
/// indices, default actions merged, files read, numbers parsed. Nothing here depends on traffic.
namespace sluice::seclang {

/// Where something was written. Lines and columns count from 1; columns are bytes.
struct Place {
  std::uint32_t file = 0;  ///< index into LinkedRules::files
  std::uint32_t line = 0, column = 0;
};

// -- texts with macros ----------------------------------------------------------------------------

/// Which members of a collection: all, one name, those that a regex finds in the key, or an XPath.
struct Selector {
  enum class Kind : std::uint8_t {
    kNone,
    kName,   ///< compared without case
    kRegex,  ///< PCRE, unanchored, without case, dot matches LF; searched in the key
    kXPath,  ///< XML only: "/*", "//@*" or "//text()"; others are refused
  };
  Kind kind = Kind::kNone;
  std::string text;  ///< name, pattern without its slashes, or path
  friend bool operator==(const Selector&, const Selector&) = default;
};

/// A piece of a text: bytes, or the value of a variable at the time of expansion.
struct MacroPiece {
  bool is_variable = false;
  std::string literal;  ///< where !is_variable
  abi::VariableId variable{};
  std::string key;  ///< of a collection, compared without case; empty for scalars
};

/// A text that may hold %{VARIABLE} and %{COLLECTION.key}. No pieces: the empty text. Adjacent
/// literals are joined, so a constant text has at most one piece.
struct MacroText {
  std::vector<MacroPiece> pieces;
  [[nodiscard]] bool is_constant() const {
    return pieces.empty() || (pieces.size() == 1 && !pieces[0].is_variable);
  }
  /// Of a constant text.
  [[nodiscard]] std::string_view constant() const {
    return pieces.empty() ? std::string_view() : std::string_view(pieces[0].literal);
  }
};

// -- targets and operator -------------------------------------------------------------------------

/// One entry of a rule's variable list, exclusions of the same list and of SecRuleUpdateTarget*
/// already attached. `excluded` holds members of the same variable that are left out (kName,
/// kRegex; never kNone: a whole exclusion removed the target). A count target ignores them.
struct Target {
  abi::VariableId variable{};
  Selector selector;
  bool count = false;  ///< &VARIABLE: the number of values, as text
  std::vector<Selector> excluded;
  Place place;
};

struct Operator {
  abi::OperatorId id = abi::OperatorId::kUnconditionalMatch;
  bool negated = false;
  /// What the rule says behind the operator's name, as written (backslashes kept).
  std::string argument;
  /// The same with macros parsed, where operator_info(id).macro; else one literal.
  MacroText expanded;
  /// kFile operators: the files' texts, as indices into LinkedRules::data.
  std::vector<std::uint32_t> data;
  Place place;           ///< of the operator string
  Place argument_place;  ///< of the first byte of `argument`
};

// -- actions --------------------------------------------------------------------------------------

/// setvar: run once per matching value, before every other action.
struct SetVariable {
  enum class Kind : std::uint8_t { kSet, kAdd, kSubtract, kDelete };
  Kind kind = Kind::kSet;
  abi::VariableId collection = abi::VariableId::kTx;  ///< TX, or persistent
  MacroText key;
  MacroText value;  ///< "1" where the rule gives none; of kAdd and kSubtract without the sign
  Place place;
};

/// expirevar:COLLECTION.key=SECONDS
struct ExpireVariable {
  abi::VariableId collection{};
  MacroText key;
  MacroText seconds;
  Place place;
};

/// initcol:ip=..., global, resource; setsid, setuid and setrsc are the same for SESSION, USER and
/// RESOURCE (and set SESSIONID, USERID).
struct InitCollection {
  abi::VariableId collection{};
  MacroText key;
  Place place;
};

enum class EngineMode : std::uint8_t { kOff = 0, kDetectionOnly = 1, kOn = 2 };
enum class BodyProcessor : std::uint8_t { kUrlencoded, kMultipart, kJson, kXml };

/// ctl:... Which fields hold depends on control_info(id).argument.
struct Control {
  abi::ControlId id{};
  EngineMode engine = EngineMode::kOn;                   ///< kEngine
  bool on = false;                                       ///< kOnOff
  BodyProcessor processor = BodyProcessor::kUrlencoded;  ///< kProcessor
  std::uint32_t first_id = 0, last_id = 0;               ///< kIds, kIdsAndTarget; inclusive
  std::string text;          ///< kText, kTextAndTarget: tag or msg, exact
  Target target;             ///< k...AndTarget; no exclusions, no count
  std::uint64_t number = 0;  ///< kNumber
  Place place;
};

/// What runs after the full match, once, in this order. Only kRuns controls are here.
using Effect = std::variant<ExpireVariable, InitCollection, Control>;

/// `to`: index into LinkedRules::rules of the first rule behind the marker, or of the first one not
/// skipped by `skip`; rules.size() where nothing follows. Jumps only forward and ends with the
/// phase. Runs with the effects, that is after the full chain matched.
struct Jump {
  std::uint32_t to = 0;
  std::string marker;       ///< of skipAfter; empty for skip
  std::uint32_t count = 0;  ///< of skip; 0 for skipAfter
};

enum class Disruptive : std::uint8_t {
  kNone,  ///< also `block` where the phase has no SecDefaultAction
  kPass,
  kDeny,
  kDrop,
  kRedirect,
  kAllow,         ///< the rest of this phase and all later ones but 5
  kAllowPhase,    ///< the rest of this phase
  kAllowRequest,  ///< the rest of phases 1 and 2
};

// -- rules ----------------------------------------------------------------------------------------

inline constexpr std::uint8_t kSeverityUnset = 255;

/// One SecRule or SecAction: the head of a chain or a link. Every link has its own targets,
/// operator and actions; defaults of the phase's SecDefaultAction are merged into each (its
/// transformations first unless the link says t:none; its effects first).
struct Link {
  Place place;       ///< of the directive
  std::string text;  ///< of the directive, as written
  /// True for SecAction: always matches. No targets otherwise: exclusions left none, never matches.
  bool unconditional = false;
  std::vector<Target> targets;
  Operator op;
  std::vector<abi::TransformId> transforms;  ///< in order; t:none resolved, never contained
  bool multi_match = false;
  bool capture = false;
  std::vector<SetVariable> set_variables;  ///< per matching value, in order
  std::vector<Effect> effects;             ///< after the full match, in order
  std::optional<Jump> jump;                ///< the last skip or skipAfter written
  std::uint16_t status = 0;                ///< 0: says none

  // Texts that may hold macros; a head's win over its links' where it has them.
  std::optional<MacroText> msg, logdata;
  std::vector<MacroText> tags;
  std::uint8_t severity = kSeverityUnset;  ///< 0 EMERGENCY .. 7 DEBUG
};

/// A chain: links[0] is its head. A rule without `chain` has one link.
struct Rule {
  std::uint32_t id = 0;
  std::uint8_t phase = 1;  ///< 1..5
  std::vector<Link> links;
  /// False: the last link is missing, so the chain can never match (warned about).
  bool complete = true;

  Disruptive disruptive = Disruptive::kNone;
  bool wrote_block = false;  ///< `block` was written; `disruptive` is what it means here
  MacroText redirect;        ///< of kRedirect
  /// Does a full match go into the event? Links and defaults are accounted for.
  bool log = true, audit_log = true;

  std::string rev, ver;
  std::uint8_t maturity = 0, accuracy = 0;  ///< 1..9, 0: says none

  [[nodiscard]] const Link& head() const { return links.front(); }
};

// -- settings -------------------------------------------------------------------------------------

enum class LimitAction : std::uint8_t {
  kUnset,  ///< the reference drops the chunk and does nothing else
  kReject,
  kProcessPartial,
};

/// What the remaining directives say; the last one wins. `..._set`: the sources say it at all.
struct Settings {
  EngineMode engine = EngineMode::kOn;
  bool engine_set = false;
  bool request_body_access = true;
  bool response_body_access = false;
  std::vector<std::string> response_mime_types = {"text/plain", "text/html"};  ///< lower case
  std::uint64_t request_body_limit = 0;                                        ///< bytes; 0: none
  std::uint64_t request_body_no_files_limit = 0;                               ///< bytes; 0: none
  LimitAction request_body_limit_action = LimitAction::kUnset;
  std::uint64_t response_body_limit = 0;  ///< bytes; 0: none
  LimitAction response_body_limit_action = LimitAction::kUnset;
  std::uint32_t json_depth_limit = 0;  ///< open containers; 0: not said
  std::uint32_t arguments_limit = 0;   ///< 0: not said
  std::uint32_t pcre_match_limit = 0;  ///< 0: not said; ours apply
  char argument_separator = '&';
  std::uint8_t cookie_format = 0;
  std::uint32_t collection_timeout_s = 3600;  ///< the reference's default
  std::string web_app_id = "default";
  std::string component_signature;  ///< joined by blanks
  /// SecUnicodeMapFile: index into LinkedRules::data, and the code page to take from it.
  std::optional<std::uint32_t> unicode_map;
  std::uint32_t unicode_code_page = 0;
  /// SecGeoLookupDb: an absolute path; binary, so no part of the sources.
  std::string geo_database;
};

/// The text of a file that an operator or a setting names.
struct DataFile {
  std::string path;
  std::string text;
};

struct LinkedRules {
  std::vector<std::string> files;  ///< that Place::file means
  std::vector<Rule> rules;         ///< in file order, removed ones left out; phases mixed
  std::vector<DataFile> data;
  Settings settings;
  std::uint32_t removed = 0;  ///< rules that SecRuleRemove* took out

  [[nodiscard]] std::string file_name(const Place& place) const {
    return place.file < files.size() ? files[place.file] : std::string();
  }
};

/// Reads the files in this order, with everything they include, and links them. `files` are paths
/// or globs as policy.yaml has them (a glob that matches nothing is a warning). All errors at once
/// in `diagnostics`; the result is only meaningful if there are none.
LinkedRules link_files(const std::vector<std::string>& files, SourceSet& sources,
                       config::Diagnostics& diagnostics);

/// The same for one text. Files it names are looked for in `sources`.
LinkedRules link_text(const std::string& name, std::string_view text, SourceSet& sources,
                      config::Diagnostics& diagnostics);

/// An error or a warning at a place of linked rules: for the compiler.
void report_error(const LinkedRules& rules, const Place& place, std::string message,
                  config::Diagnostics& diagnostics);
void report_warning(const LinkedRules& rules, const Place& place, std::string message,
                    config::Diagnostics& diagnostics);

}  // namespace sluice::seclang
