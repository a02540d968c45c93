// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/check.h"
#include "tests/fuzz/plain_transform.h"
#include "tests/unit/rules/ruleset_fixture.h"

/// Rules of a few letters over several targets behind chains of transformations, compiled and
/// judged as the dataplane does it (sieves, shared scans, memos, confirmation), against one plain
/// search of each pattern in each value. Input: bytes of the rules, the rules, the requests. To
/// compile rules takes as long as a hundred requests, so they change seldom (the mutator below) and
/// what was compiled is kept.

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

using abi::TransformId;

/// Some of which a plain reading is at hand.
constexpr TransformId kTransforms[] = {TransformId::kLowercase, TransformId::kUppercase,
                                       TransformId::kLength, TransformId::kHexEncode,
                                       TransformId::kTrimLeft};

constexpr const char* kTargets[] = {
    "ARGS",           "ARGS_NAMES",          "ARGS:a",         "QUERY_STRING", "REQUEST_URI",
    "REQUEST_METHOD", "REQUEST_HEADERS:X-V", "REQUEST_HEADERS"};
constexpr std::size_t kTargetCount = std::size(kTargets);

struct Rule {
  std::string name, argument;
  std::vector<TransformId> transforms;
  std::vector<std::size_t> targets;  ///< of kTargets
  bool negated = false, excludes = false;
};

std::string lower(std::string text) {
  SLUICE_CHECK(fuzz::transform_plainly(TransformId::kLowercase, text));
  return text;
}

/// What the targets of one request hold.
struct Request {
  std::vector<std::string> names, values;
  std::string header;

  [[nodiscard]] std::string query() const {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
      text += (text.empty() ? "" : "&") + names[i] + "=" + values[i];
    }
    return text;
  }
  [[nodiscard]] std::string wire() const {
    return "GET /?" + query() + " HTTP/1.1\r\nHost: h\r\nX-V: " + header + "\r\n\r\n";
  }
  [[nodiscard]] std::vector<std::string> of(std::size_t target, bool excludes) const {
    std::vector<std::string> found;
    switch (target) {
      case 0:
      case 2:
        for (std::size_t i = 0; i < names.size(); ++i) {
          const bool is_a = lower(names[i]) == "a";  // names have no case
          if (target == 2 ? is_a : !(is_a && excludes)) found.push_back(values[i]);
        }
        return found;
      case 1:
        return names;
      case 3:
        return {query()};
      case 4:
        return {"/?" + query()};
      case 5:
        return {"GET"};
      case 6:
        return {header};
      default:
        return {"h", header};
    }
  }
};

Rule rule(Input& in) {
  Rule made;
  const std::uint8_t kind = in.byte();
  for (std::size_t i = in.below(4); i > 0; --i) {
    made.transforms.push_back(kTransforms[in.below(std::size(kTransforms))]);
  }
  const std::uint8_t where = in.byte();
  made.excludes = (where & 128) != 0;
  for (std::size_t i = 1 + where / 8 % 3; i > 0; --i) {
    const std::size_t target = made.targets.empty() ? where % kTargetCount : in.below(kTargetCount);
    // An exclusion holds for all that the rule has of ARGS.
    if (made.excludes && target == 2) continue;
    made.targets.push_back(target);
  }
  if (made.targets.empty()) made.targets.push_back(0);
  made.excludes = made.excludes && std::count(made.targets.begin(), made.targets.end(), 0U) != 0;
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

void free_code(pcre2_code* code) { pcre2_code_free(code); }
using Code = std::unique_ptr<pcre2_code, decltype(&free_code)>;

/// As ModSecurity 3 does it.
Code compile_plainly(const std::string& text) {
  int error = 0;
  PCRE2_SIZE at = 0;
  return {pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                        PCRE2_DOTALL | PCRE2_MULTILINE, &error, &at, nullptr),
          free_code};
}

bool plain_regex(const pcre2_code* code, const std::string& value) {
  SLUICE_CHECK(code != nullptr);
  pcre2_match_data* data = pcre2_match_data_create_from_pattern(code, nullptr);
  const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(value.data()), value.size(), 0,
                                0, data, nullptr);
  pcre2_match_data_free(data);
  return found >= 0;
}

bool plainly(const Rule& made, const pcre2_code* code, std::string value) {
  for (const TransformId id : made.transforms) SLUICE_CHECK(fuzz::transform_plainly(id, value));
  bool found = false;
  if (made.name == "rx") {
    found = plain_regex(code, value);
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

std::string directive(const Rule& made, std::size_t id) {
  std::string targets, transforms = ",t:none";
  for (const std::size_t target : made.targets) {
    targets += (targets.empty() ? "" : "|") + std::string(kTargets[target]);
  }
  if (made.excludes) targets += "|!ARGS:a";
  for (const TransformId transform : made.transforms) {
    transforms += ",t:" + std::string(abi::transform_name(transform));
  }
  return "SecRule " + targets + " \"" + (made.negated ? "!" : "") + "@" + made.name + " " +
         made.argument + "\" \"id:" + std::to_string(id) + ",phase:2,pass" + transforms + "\"\n";
}

bool matches(const Rule& made, const pcre2_code* code, const Request& sent) {
  return std::any_of(made.targets.begin(), made.targets.end(), [&](std::size_t target) {
    const std::vector<std::string> values = sent.of(target, made.excludes);
    return std::any_of(values.begin(), values.end(),
                       [&](const std::string& each) { return plainly(made, code, each); });
  });
}

/// Rules as the dataplane has them and as plain searches.
struct Compiled {
  explicit Compiled(Input in) {
    const std::size_t count = 1 + in.below(6);
    while (rules.size() < count) rules.push_back(rule(in));
    text = "SecRequestBodyAccess On\n";
    for (std::size_t i = 0; i < count; ++i) text += directive(rules[i], i + 1);
  }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  void compile() {
    loaded = rules::test::load_text(text);
    // What is refused by name is refused as it must be.
    const bool is_unsafe =
        std::any_of(loaded.errors.begin(), loaded.errors.end(), [](const std::string& error) {
          return error.find("the pattern can take time that doubles") != std::string::npos;
        });
    if (is_unsafe) return;
    if (loaded.ruleset == nullptr) {
      std::fprintf(stderr, "%s%s\n", text.c_str(),
                   loaded.errors.empty() ? "" : loaded.errors[0].c_str());
      std::abort();
    }
    judge = std::make_unique<rules::test::Judge>(*loaded.ruleset);
    for (const Rule& each : rules) {
      codes.push_back(each.name == "rx" ? compile_plainly(each.argument)
                                        : Code{nullptr, free_code});
    }
  }

  std::vector<Rule> rules;
  std::string text;
  rules::test::LoadedRules loaded;
  std::unique_ptr<rules::test::Judge> judge;  ///< null: the rules were refused
  std::vector<Code> codes;                    ///< of each rule with a pattern
};

/// Kept rules: two megabytes each.
constexpr std::size_t kCompiledMax = 300;

Compiled& compiled(Input in) {
  static std::map<std::string, std::unique_ptr<Compiled>> kept;
  auto fresh = std::make_unique<Compiled>(in);
  const auto known = kept.find(fresh->text);
  if (known != kept.end()) return *known->second;
  if (kept.size() == kCompiledMax) kept.clear();
  fresh->compile();
  std::string text = fresh->text;
  return *kept.emplace(std::move(text), std::move(fresh)).first->second;
}

/// Where the rules of an input end: its first byte says it.
std::size_t rules_end(const std::uint8_t* data, std::size_t size) {
  return size == 0 ? 0 : std::min<std::size_t>(size, 1 + std::size_t{data[0]});
}

constexpr unsigned kRequestsPerRules = 40;  // mutations of requests to one of rules

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  const std::size_t end = rules_end(data, size);
  if (end != 0 && end < max_size && seed % kRequestsPerRules != 0) {
    return end + LLVMFuzzerMutate(data + end, size - end, max_size - end);
  }
  const std::vector<std::uint8_t> requests(data + end, data + size);
  const std::size_t room = max_size - std::min(max_size, requests.size() + 1);
  if (room == 0) return size;
  const std::size_t bytes =
      LLVMFuzzerMutate(data + 1, end == 0 ? 0 : end - 1, std::min<std::size_t>(room, 255));
  data[0] = static_cast<std::uint8_t>(bytes);
  if (!requests.empty()) std::memcpy(data + 1 + bytes, requests.data(), requests.size());
  return 1 + bytes + requests.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t end = rules_end(data, size);
  if (end == 0) return 0;
  const Compiled& made = compiled(Input(data + 1, end - 1));
  if (made.judge == nullptr) return 0;
  Input in(data + end, size - end);
  for (int request = 0; request < 60 && (request == 0 || !in.empty()); ++request) {
    Request sent;
    for (std::size_t i = 1 + in.below(3); i > 0; --i) {
      sent.names.push_back(sent.names.empty() ? "a" : word(in, 2));
      sent.values.push_back(value(in, made.rules));
    }
    sent.header = value(in, made.rules);
    const rules::test::Judged judged = made.judge->run(sent.wire());
    if (judged.refused || !judged.limits.empty()) continue;
    for (std::size_t i = 0; i < made.rules.size(); ++i) {
      const bool wanted = matches(made.rules[i], made.codes[i].get(), sent);
      if (judged.has(static_cast<std::uint32_t>(i + 1)) == wanted) continue;
      std::fprintf(stderr, "%srule %zu %s: %s\n", made.text.c_str(), i + 1,
                   wanted ? "missed" : "matched wrongly", sent.wire().c_str());
      std::abort();
    }
  }
  return 0;
}
