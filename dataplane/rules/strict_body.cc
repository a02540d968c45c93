// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/strict_body.h"

#include <algorithm>

#include "dataplane/base/hash.h"
#include "dataplane/http/content_type.h"
#include "dataplane/rules/request_parts.h"

namespace sluice::rules {

void check_repeated_names(TransactionState& state, abi::VariableId list) {
  if (!abi::is_strict(state.info.strict, abi::Strict::kRepeatedArguments)) return;
  const std::size_t count = state.values.count(list);
  auto* hashes = state.region.allocate_array<std::uint64_t>(count);
  if (hashes == nullptr) return state.fail_memory();
  std::size_t used = 0;
  for (std::uint16_t i = state.values.first(list); i != kNoValue && used < count;
       i = state.values.at(i).next) {
    const std::string_view name = state.values.at(i).key();
    hashes[used++] = base::keyed_hash64(state.worker->key, name.data(), name.size());
  }
  std::sort(hashes, hashes + used);
  if (std::adjacent_find(hashes, hashes + used) != hashes + used) {
    note_strict(state, abi::strict_bit(abi::Strict::kRepeatedArguments));
  }
}

namespace {

/// Reads a text of UTF-16 or UTF-32 unit by unit, as long as its characters are ASCII.
struct WideText {
  Bytes bytes;
  std::size_t unit = 2;
  bool big = false;
  std::size_t at = 0;

  /// The next character, or -1: the end, or none of ASCII.
  [[nodiscard]] int peek() const {
    if (bytes.size() - at < unit) return -1;
    int found = -1;
    for (std::size_t i = 0; i < unit; ++i) {
      const std::uint8_t byte = bytes[at + i];
      if (i == (big ? unit - 1 : 0)) {
        found = byte;
      } else if (byte != 0) {
        return -1;
      }
    }
    return found > 0 && found < 0x80 ? found : -1;
  }
  /// The first character that is no blank of JSON.
  int skip_blanks() {
    int next = peek();
    for (; next == ' ' || next == '\t' || next == '\r' || next == '\n'; next = peek()) at += unit;
    return next;
  }
};

/// A member of an object or an element of an array begins: what no other text in UTF-16 has there
/// ("[section]" of a file of settings).
bool begins_as_json(WideText text) {
  const int open = text.skip_blanks();
  if (open != '{' && open != '[') return false;
  text.at += text.unit;
  int next = text.skip_blanks();
  if (next == '"') return true;
  if (open == '{') return next == '}';
  if (next == '{' || next == '[') return true;
  std::size_t plain = 0;  // a number or a word, then a comma
  constexpr std::string_view kPlain = "0123456789+-.eEtrufalsn";
  while (next > 0 && kPlain.find(static_cast<char>(next)) != kPlain.npos) {
    text.at += text.unit;
    ++plain;
    next = text.peek();
  }
  return plain > 0 && text.skip_blanks() == ',';
}

/// Decoders of JSON that take UTF-16 and UTF-32 tell them from the zeros (RFC 4627 section 3).
bool is_wide_json(Bytes body) {
  for (const std::size_t unit : {std::size_t{4}, std::size_t{2}}) {
    for (const bool big : {false, true}) {
      WideText text{body, unit, big};
      const std::size_t mark = big ? unit - 2 : 0;  // U+FEFF
      if (body.size() >= unit && body[mark] == (big ? 0xfe : 0xff) &&
          body[mark + 1] == (big ? 0xff : 0xfe)) {
        text.at = unit;
      }
      if (begins_as_json(text)) return true;
    }
  }
  return false;
}

}  // namespace

void check_body_label(TransactionState& state, Bytes first) {
  if (abi::is_strict(state.info.strict, abi::Strict::kBodyCharset) && is_wide_json(first)) {
    note_strict(state, abi::strict_bit(abi::Strict::kBodyCharset));
  }
  if (!abi::is_strict(state.info.strict, abi::Strict::kBodySniff)) return;
  const std::string_view type = http::parse_media_type(request_content_type(state)).type;
  if (!abi::equal_ignoring_case(type, "application/x-www-form-urlencoded") &&
      !abi::equal_ignoring_case(type, "text/plain")) {
    return;
  }
  const std::string_view text = base::as_text(first);
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != text.npos && (text[begin] == '{' || text[begin] == '[')) {
    note_strict(state, abi::strict_bit(abi::Strict::kBodySniff));
  }
}

}  // namespace sluice::rules
