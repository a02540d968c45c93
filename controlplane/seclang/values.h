// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/seclang/ast.h"
#include "controlplane/seclang/lexer.h"

/// The little languages inside a directive's texts. Each function reports its own errors, with
/// places, and says by an empty result that there were some.
namespace sluice::seclang {

/// A text cut out of the source, lines joined, that still knows where its bytes were: joining only
/// ever drops bytes, so `at(i)` is exact for every byte of `text`.
class PlacedText {
 public:
  PlacedText(const SourceText& source, std::size_t begin, std::size_t end);
  /// Some bytes of it.
  [[nodiscard]] PlacedText part(std::size_t begin, std::size_t end) const;
  [[nodiscard]] std::string_view text() const { return text_; }
  [[nodiscard]] Place at(std::size_t index) const;
  [[nodiscard]] std::size_t size() const { return text_.size(); }
  [[nodiscard]] PlacedText trimmed() const;

 private:
  PlacedText() = default;
  const SourceText* source_ = nullptr;
  std::string text_;
  std::vector<std::size_t> offsets_;  ///< of each byte, and one behind the last
};

/// Splits %{...} out of a text. Unknown variables and macros without an end are errors.
std::optional<MacroText> parse_macros(const PlacedText& text, Reporter& reporter);

/// A text of bytes only.
MacroText literal_text(std::string_view text);

/// VARIABLE|!VARIABLE:key|&VARIABLE:/regex/...; `,` separates too. Empty on any error.
std::vector<TargetNode> parse_targets(const PlacedText& list, Reporter& reporter);

/// [!][@name ]argument. `text` is not joined: a pattern keeps its bytes.
std::optional<Operator> parse_operator(const SourceText& source, const Token& token,
                                       Reporter& reporter);

/// name[:value],name[:value]... of SecRule, SecAction, SecDefaultAction, SecRuleUpdateActionById.
ActionList parse_actions(const PlacedText& list, Reporter& reporter);

/// setvar, expirevar, initcol and ctl. `value`: behind the colon, quotes taken off.
std::optional<SetVariable> parse_set_variable(const PlacedText& value, Reporter& reporter);
std::optional<ExpireVariable> parse_expire_variable(const PlacedText& value, Reporter& reporter);
std::optional<InitCollection> parse_init_collection(const PlacedText& value, Reporter& reporter);
std::optional<Control> parse_control(const PlacedText& value, Reporter& reporter);

/// N or A-B. Empty: neither, or A above B.
std::optional<IdRange> parse_id_range(std::string_view text);
/// A decimal number up to `most`, nothing else around it.
std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t most);
/// On, Off or DetectionOnly, without case.
std::optional<EngineMode> parse_engine_mode(std::string_view text);
/// On or Off, without case.
std::optional<bool> parse_on_off(std::string_view text);

}  // namespace sluice::seclang
