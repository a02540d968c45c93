// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include <charconv>

#include "controlplane/seclang/values.h"

namespace sluice::seclang {
namespace {

constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

std::array<std::string_view, abi::kVariableCount> variable_names() {
  std::array<std::string_view, abi::kVariableCount> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = abi::kVariables[i].name;
  return names;
}

/// The inside of %{...}.
std::optional<MacroPiece> parse_macro(const PlacedText& inside, Reporter& reporter) {
  const std::string_view text = inside.text();
  const std::size_t dot = text.find_first_of(".:");
  const std::string_view name = text.substr(0, dot);
  const auto variable = abi::find_variable(name);
  if (!variable) {
    reporter.error(inside.at(0), "the macro %{" + std::string(text) + "} names no variable" +
                                     config::suggestion(name, variable_names()));
    return std::nullopt;
  }
  const abi::VariableInfo& info = abi::variable_info(*variable);
  if (info.support == abi::VariableSupport::kRefused) {
    reporter.error(inside.at(0), "the variable " + std::string(info.name) + " is not supported: " +
                                     std::string(abi::variable_note(*variable)));
    return std::nullopt;
  }
  MacroPiece piece;
  piece.is_variable = true;
  piece.variable = *variable;
  if (dot != std::string_view::npos) piece.key = text.substr(dot + 1);
  if (!info.has_members() && dot != std::string_view::npos) {
    reporter.error(inside.at(dot), "the variable " + std::string(info.name) +
                                       " is a single value and has no members");
    return std::nullopt;
  }
  if (piece.key.size() > 1 && piece.key.front() == '/' && piece.key.back() == '/') {
    reporter.warning(inside.at(dot + 1),
                     "a macro names its member: there is no /regex/ in it, so this is empty");
  }
  return piece;
}

}  // namespace

PlacedText::PlacedText(const SourceText& source, std::size_t begin, std::size_t end)
    : source_(&source) {
  const std::string_view text = source.text();
  for (std::size_t i = begin; i < end;) {
    const std::string_view rest = text.substr(i, end - i);
    const std::size_t bytes = rest.starts_with("\\\n") ? 2 : rest.starts_with("\\\r\n") ? 3 : 0;
    if (bytes == 0) {
      text_.push_back(text[i]);
      offsets_.push_back(i++);
      continue;
    }
    while (!text_.empty() && is_blank(text_.back())) {
      text_.pop_back();
      offsets_.pop_back();
    }
    i += bytes;
    while (i < end && is_blank(text[i])) ++i;
  }
  offsets_.push_back(end);
}

PlacedText PlacedText::part(std::size_t begin, std::size_t end) const {
  PlacedText piece;
  piece.source_ = source_;
  piece.text_ = text_.substr(begin, end - begin);
  piece.offsets_.assign(offsets_.begin() + static_cast<std::ptrdiff_t>(begin),
                        offsets_.begin() + static_cast<std::ptrdiff_t>(end + 1));
  return piece;
}

PlacedText PlacedText::trimmed() const {
  std::size_t begin = 0, end = text_.size();
  while (begin < end && is_blank(text_[begin])) ++begin;
  while (end > begin && is_blank(text_[end - 1])) --end;
  return part(begin, end);
}

Place PlacedText::at(std::size_t index) const {
  return source_->at(offsets_[std::min(index, offsets_.size() - 1)]);
}

MacroText literal_text(std::string_view text) {
  MacroText result;
  if (!text.empty()) result.pieces.push_back({false, std::string(text), {}, {}});
  return result;
}

std::optional<MacroText> parse_macros(const PlacedText& text, Reporter& reporter) {
  MacroText result;
  const std::string_view bytes = text.text();
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) result.pieces.push_back({false, literal, {}, {}});
    literal.clear();
  };
  bool good = true;
  for (std::size_t i = 0; i < bytes.size();) {
    if (!bytes.substr(i).starts_with("%{")) {
      literal.push_back(bytes[i++]);
      continue;
    }
    const std::size_t close = bytes.find('}', i);
    if (close == std::string_view::npos) {
      reporter.error(text.at(i), "the macro that opens here has no end (expected })");
      return std::nullopt;
    }
    flush();
    const auto piece = parse_macro(text.part(i + 2, close), reporter);
    good = good && piece.has_value();
    if (piece) result.pieces.push_back(*piece);
    i = close + 1;
  }
  flush();
  if (!good) return std::nullopt;
  return result;
}

std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > most) {
    return std::nullopt;
  }
  return number;
}

std::optional<IdRange> parse_id_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_number(text.substr(0, dash), UINT32_MAX);
  const auto last =
      dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1), UINT32_MAX);
  if (!first || !last || *first > *last) return std::nullopt;
  return IdRange{static_cast<std::uint32_t>(*first), static_cast<std::uint32_t>(*last), {}};
}

std::optional<EngineMode> parse_engine_mode(std::string_view text) {
  if (abi::equal_ignoring_case(text, "On")) return EngineMode::kOn;
  if (abi::equal_ignoring_case(text, "Off")) return EngineMode::kOff;
  if (abi::equal_ignoring_case(text, "DetectionOnly")) return EngineMode::kDetectionOnly;
  return std::nullopt;
}

std::optional<bool> parse_on_off(std::string_view text) {
  if (abi::equal_ignoring_case(text, "On")) return true;
  if (abi::equal_ignoring_case(text, "Off")) return false;
  return std::nullopt;
}

}  // namespace sluice::seclang
