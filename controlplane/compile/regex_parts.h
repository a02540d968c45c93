// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/compile/needs.h"

/// What is known of the parts of a pattern, and of parts one behind the other.
namespace sluice::compile {

using Codes = std::string;  ///< of rules::code_of()

inline constexpr std::size_t kTextsMax = 64;  // exact texts that are multiplied out
inline constexpr std::size_t kTextBytesMax = 24;
/// Of texts that are not multiplied out with the next part's: so many codes of it follow them, if
/// that makes no more than so many.
inline constexpr std::size_t kBeginningMax = 2, kBeginningsMax = 512;
inline constexpr std::size_t kClassCodesMax =
    7;  // a class of more codes than this is no letter of a text

/// What is known of a part of a pattern: all texts that it matches, or else what it needs.
struct Known {
  bool exact = false;
  std::vector<Codes> texts;
  Needs needs{Need{}};

  static Known nothing() { return {}; }
  static Known empty_text() { return {true, {Codes()}, {}}; }
};

inline Needs needs_of(const std::vector<Codes>& texts) {
  Needs needs;
  for (const Codes& text : texts) needs.push_back(need_of_codes(text));
  reduce(needs, kNeedsMax);
  return needs;
}
inline Needs needs_of(const Known& known) {
  return known.exact ? needs_of(known.texts) : known.needs;
}

inline void unique_texts(std::vector<Codes>& texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
}

/// Parts one behind the other.
class Sequence {
 public:
  void add(const Known& part) {
    if (!part.exact) {
      flush({Codes()});
      needs_ = both(needs_, part.needs);
      return;
    }
    std::vector<Codes> texts;
    bool fits = run_.size() * part.texts.size() <= kTextsMax;
    if (fits) {
      for (const Codes& before : run_) {
        for (const Codes& text : part.texts) texts.push_back(before + text);
      }
      fits = std::all_of(texts.begin(), texts.end(),
                         [](const Codes& text) { return text.size() <= kTextBytesMax; });
    }
    if (!fits) return flush_before(part.texts);
    unique_texts(texts);
    run_ = std::move(texts);
  }
  /// The part at least once, and whatever may come in between.
  void add_repeated(const Known& part) {
    add(part);
    if (part.exact) flush(part.texts);
  }
  /// Something that must be there, but not at this place.
  void require(const Needs& needs) {
    needs_ = both(needs_, needs);
    is_exact_ = false;
  }

  Known take() {
    if (is_exact_) return {true, std::move(run_), {}};
    flush({Codes()});
    return {false, {}, std::move(needs_)};
  }

 private:
  /// What has come so far, each text with what `next` begins with.
  void flush_before(const std::vector<Codes>& next) {
    for (std::size_t length = kBeginningMax; length > 0; --length) {
      std::vector<Codes> beginnings;
      beginnings.reserve(next.size());
      for (const Codes& text : next) beginnings.push_back(text.substr(0, length));
      unique_texts(beginnings);
      if (run_.size() * beginnings.size() > kBeginningsMax) continue;
      std::vector<Codes> longer;
      for (const Codes& before : run_) {
        for (const Codes& beginning : beginnings) longer.push_back(before + beginning);
      }
      run_ = std::move(longer);
      break;
    }
    flush(next);
  }
  void flush(std::vector<Codes> next) {
    is_exact_ = false;
    needs_ = both(needs_, needs_of(run_));
    run_ = std::move(next);
  }
  bool is_exact_ = true;
  std::vector<Codes> run_{Codes()};
  Needs needs_{Need{}};
};

}  // namespace sluice::compile
