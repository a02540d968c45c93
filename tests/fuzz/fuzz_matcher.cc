// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "dataplane/base/check.h"
#include "tests/unit/rules/ruleset_fixture.h"

/// Rules of a few letters, compiled and judged as the dataplane does it (sieves, shared scans,
/// memos, confirmation), against one plain search of each pattern in each value. Input: number of
/// rules, the rules, the values.

namespace {

using namespace sluice;

/// Bytes of the input, 0 when there are no more.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::size_t below(std::size_t bound) { return byte() % bound; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

constexpr std::string_view kLetters = "abcABC12-.";

std::string word(Input& in, std::size_t bytes_max) {
  std::string text;
  const std::size_t bytes = 1 + in.below(bytes_max);
  while (text.size() < bytes) text += kLetters[in.below(kLetters.size())];
  return text;
}

/// A pattern of PCRE2 that is always well-formed.
std::string pattern(Input& in, int depth) {
  std::string text;
  const std::size_t parts = 1 + in.below(4);
  for (std::size_t i = 0; i < parts && text.size() < 80; ++i) {
    switch (in.below(depth > 2 ? 5 : 11)) {
      case 0:
      case 1:
        text += kLetters[in.below(8)];
        break;
      case 2:
        text += ".";
        break;
      case 3:
        text += in.below(2) == 0 ? "[ab]" : "[^b1]";
        break;
      case 4:
        text += (const char*[]){"\\d", "\\w", "\\W", "\\b", "\\s", "\\."}[in.below(6)];
        break;
      case 5:
        text += "(?:" + pattern(in, depth + 1) + "|" + pattern(in, depth + 1) + ")";
        break;
      case 6:
        text += "(" + pattern(in, depth + 1) + ")";
        break;
      case 7:
        text += "(?:" + pattern(in, depth + 1) + ")" +
                (const char*[]){"?", "{0,2}", "{2,3}", "+?", "*"}[in.below(5)];
        break;
      case 8:
        text += std::string(1, kLetters[in.below(8)]) +
                (const char*[]){"*", "+", "?", "{2}", "{1,3}"}[in.below(5)];
        break;
      case 9:
        text += (const char*[]){"^", "$", "\\A", "\\z"}[in.below(4)];
        break;
      default:
        text += (in.below(2) == 0 ? "(?=" : "(?!") + pattern(in, depth + 1) + ")";
        break;
    }
  }
  return text;
}

struct Rule {
  std::string name, argument;
  bool lowercase = false, negated = false;
};

Rule rule(Input& in) {
  Rule made;
  const std::uint8_t kind = in.byte();
  made.lowercase = (kind & 64) != 0;
  made.negated = (kind & 128) != 0;
  switch (kind % 8) {
    case 0:
    case 1:
    case 2:
      made.name = "rx";
      made.argument = ((kind & 32) != 0 ? "(?i)" : "") + pattern(in, 0);
      return made;
    case 3:
      made.name = "pm";
      made.argument = word(in, 6);
      for (std::size_t i = in.below(4); i > 0; --i) made.argument += " " + word(in, 6);
      return made;
    default:
      break;
  }
  static constexpr const char* kNames[] = {"contains", "beginsWith", "endsWith", "streq"};
  made.name = kNames[kind % 4];
  made.argument = word(in, 6);
  return made;
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

bool plain_regex(const std::string& text, const std::string& value) {
  int error = 0;
  PCRE2_SIZE at = 0;
  // As ModSecurity 3 does it.
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                   PCRE2_DOTALL | PCRE2_MULTILINE, &error, &at, nullptr);
  SLUICE_CHECK(code != nullptr);
  pcre2_match_data* data = pcre2_match_data_create_from_pattern(code, nullptr);
  const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(value.data()), value.size(), 0,
                                0, data, nullptr);
  pcre2_match_data_free(data);
  pcre2_code_free(code);
  return found >= 0;
}

bool plainly(const Rule& made, std::string value) {
  if (made.lowercase) value = lower(value);
  bool found = false;
  if (made.name == "rx") {
    found = plain_regex(made.argument, value);
  } else if (made.name == "pm") {
    for (std::size_t at = 0; at < made.argument.size();) {
      const std::size_t end = std::min(made.argument.find(' ', at), made.argument.size());
      found |= lower(value).find(lower(made.argument.substr(at, end - at))) != std::string::npos;
      at = end + 1;
    }
  } else if (made.name == "contains") {
    found = value.find(made.argument) != std::string::npos;
  } else if (made.name == "beginsWith") {
    found = value.starts_with(made.argument);
  } else if (made.name == "endsWith") {
    found = value.ends_with(made.argument);
  } else {
    found = value == made.argument;
  }
  return found != made.negated;
}

/// Sometimes long, sometimes with what the rules look for.
std::string value(Input& in, const std::vector<Rule>& rules) {
  std::string text;
  const std::size_t parts = in.below(6);
  for (std::size_t i = 0; i < parts && text.size() < 3000; ++i) {
    const std::uint8_t kind = in.byte();
    if (kind % 4 == 0 && rules[kind / 4 % rules.size()].name != "rx") {
      text += rules[kind / 4 % rules.size()].argument.substr(0, 6);
      text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
    } else if (kind % 4 == 1) {
      const std::string piece = word(in, 4);
      for (std::size_t n = in.below(200); n > 0; --n) text += piece;
    } else {
      text += word(in, 8);
    }
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  std::vector<Rule> rules;
  const std::size_t count = 1 + in.below(6);
  while (rules.size() < count) rules.push_back(rule(in));
  std::string text = "SecRequestBodyAccess On\n";
  for (std::size_t i = 0; i < count; ++i) {
    text += "SecRule ARGS \"" + std::string(rules[i].negated ? "!" : "") + "@" + rules[i].name +
            " " + rules[i].argument + "\" \"id:" + std::to_string(i + 1) + ",phase:2,pass,t:none" +
            (rules[i].lowercase ? ",t:lowercase" : "") + "\"\n";
  }
  const rules::test::LoadedRules loaded = rules::test::load_text(text);
  const bool is_unsafe =
      std::any_of(loaded.errors.begin(), loaded.errors.end(), [](const std::string& error) {
        return error.find("the pattern can take time that doubles") != std::string::npos;
      });
  if (is_unsafe) return 0;  // refused by name, as it must be
  if (loaded.ruleset == nullptr) {
    std::fprintf(stderr, "%s%s\n", text.c_str(),
                 loaded.errors.empty() ? "" : loaded.errors[0].c_str());
    std::abort();
  }
  rules::test::Judge judge(*loaded.ruleset);
  for (int request = 0; request < 60 && (request == 0 || !in.empty()); ++request) {
    std::vector<std::string> values;
    std::string query;
    for (std::size_t i = 1 + in.below(3); i > 0; --i) {
      values.push_back(value(in, rules));
      query += (query.empty() ? "?a=" : "&b=") + values.back();
    }
    const rules::test::Judged judged = judge.run("GET /" + query + " HTTP/1.1\r\nHost: h\r\n\r\n");
    if (judged.refused || !judged.limits.empty()) continue;
    for (std::size_t i = 0; i < count; ++i) {
      const bool wanted = std::any_of(values.begin(), values.end(), [&](const std::string& each) {
        return plainly(rules[i], each);
      });
      if (judged.has(static_cast<std::uint32_t>(i + 1)) == wanted) continue;
      std::fprintf(stderr, "%srule %zu %s, values %s\n", text.c_str(), i + 1,
                   wanted ? "missed" : "matched wrongly", query.c_str());
      std::abort();
    }
  }
  return 0;
}
