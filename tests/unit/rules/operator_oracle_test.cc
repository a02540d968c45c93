// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// The operators of libmodsecurity 3.0.9 and ours over the same arguments and values. The library is
// linked by tests alone; its class below is declared as far as it is called.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/abi/operators.h"
#include "tests/unit/rules/evaluate.h"
#include "tests/unit/rules/random_values.h"
#include "tests/unit/rules/vectors.h"

namespace modsecurity {
class Transaction;
class RuleWithActions;
class RuleMessage;
namespace operators {
class Operator {
 public:
  static Operator* instantiate(const std::string& name, const std::string& argument);
  virtual ~Operator();
  virtual bool init(const std::string& file, std::string* error);
  bool evaluateInternal(Transaction* transaction, RuleWithActions* rule, const std::string& value,
                        std::shared_ptr<RuleMessage> message);
};
}  // namespace operators
}  // namespace modsecurity

namespace sluice::rules {
namespace {

using abi::OperatorId;

class Reference {
 public:
  Reference(OperatorId id, const std::string& argument) {
    operator_.reset(modsecurity::operators::Operator::instantiate(
        std::string(abi::operator_info(id).name), argument));
    std::string error;
    ok_ = operator_->init("", &error);
  }
  [[nodiscard]] bool ok() const { return ok_; }
  bool evaluate(const std::string& value) {
    return operator_->evaluateInternal(nullptr, nullptr, value, nullptr);
  }

 private:
  std::unique_ptr<modsecurity::operators::Operator> operator_;
  bool ok_ = false;
};

std::string random_digits(test::RandomValues& values, std::uint32_t length) {
  static constexpr std::string_view kSigns = "0123456789 -.x";
  std::string text;
  for (std::uint32_t i = 0; i < length; ++i) {
    const bool sign = values.below(12) == 0;
    text += sign ? kSigns[10 + values.below(4)] : kSigns[values.below(10)];
  }
  return text;
}

std::string random_number(test::RandomValues& values) {
  static constexpr std::string_view kHeads[] = {"", "-", "+", " ", "\t-", "x", "- ", "0x", "--"};
  static constexpr std::string_view kTails[] = {"", ".5", "x", " ", "000"};
  static constexpr std::string_view kEdges[] = {
      "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "0", "007", ""};
  std::string text(kHeads[values.below(9)]);
  if (values.below(3) == 0) {
    text += kEdges[values.below(7)];
  } else {
    text += std::to_string(values.below(6));
  }
  return text + std::string(kTails[values.below(5)]);
}

/// A piece of the value, or another value's.
std::string random_argument(test::RandomValues& values, const std::string& value) {
  if (value.empty() || values.below(4) == 0) return values.next();
  const std::uint32_t from = values.below(static_cast<std::uint32_t>(value.size()));
  const std::uint32_t left = static_cast<std::uint32_t>(value.size()) - from;
  return value.substr(from, 1 + values.below(left));
}

struct Question {
  std::string argument, value;
};

Question ask(OperatorId id, test::RandomValues& values) {
  static constexpr std::string_view kRanges[] = {
      "0-255", "32-126", "9,10,13,32-126", "1-255", "38,44-46,48-58,61,65-90,95,97-122", "97"};
  static constexpr std::string_view kPatterns[] = {"\\d+", "\\d{9,16}", "[\\d .-]+",
                                                   "\\d{3}-?\\d+"};
  static constexpr std::string_view kPhrases[] = {
      "select", "lt amp", "%4 zz", "abc  xyz\tSELECT", "QUJD", "a", "0x4 0x41", "%u"};
  static constexpr std::string_view kNetworks[] = {"10.0.0.0/8", "1.2.3.4", "::1,1.2.3.0/31",
                                                   "2001:db8::/33", "0.0.0.0/1"};
  static constexpr std::string_view kAddresses[] = {
      "10.2.3.4", "1.2.3.4",  "1.2.3.5",         "::1", "::2", "2001:db8::1", "2001:db8:8000::",
      "1.2.3",    "01.2.3.4", "::ffff:10.0.0.1", "",    " ::1"};
  static constexpr const char* kAttacks[] = {"<script>",       "<img src=x onerror=a>",
                                             "' or 1=1 --",    "1 union select 2",
                                             "javascript:",    "\" style=x",
                                             "1;drop table a", "<a href="};
  Question question;
  question.value = values.next();
  switch (abi::operator_info(id).argument) {
    case abi::OperatorArgument::kNumber:
      question.value = random_number(values);
      question.argument = random_number(values);
      break;
    case abi::OperatorArgument::kRegex:
      question.value = random_digits(values, 2 + values.below(20));
      question.argument = kPatterns[values.below(4)];
      break;
    case abi::OperatorArgument::kPhrases:
      question.argument = kPhrases[values.below(8)];
      break;
    case abi::OperatorArgument::kRanges:
      question.argument = kRanges[values.below(6)];
      break;
    case abi::OperatorArgument::kNetworks:
      question.argument = kNetworks[values.below(5)];
      question.value = kAddresses[values.below(12)];
      break;
    case abi::OperatorArgument::kText:
      question.argument = random_argument(values, question.value);
      if (id == OperatorId::kWithin) std::swap(question.argument, question.value);
      break;
    case abi::OperatorArgument::kNothing:
      if (id == OperatorId::kDetectXss || id == OperatorId::kDetectSqli) {
        question.value.insert(values.below(static_cast<std::uint32_t>(question.value.size()) + 1),
                              kAttacks[values.below(8)]);
      }
      break;
    case abi::OperatorArgument::kFile:
    case abi::OperatorArgument::kOther:
      break;
  }
  return question;
}

/// F4 90..BF begins what lies above U+10FFFF, which 3.0.9 lets pass (docs/seclang.md).
bool is_known_deviation(OperatorId id, const std::string& value) {
  if (id != OperatorId::kValidateUtf8Encoding) return false;
  for (std::size_t i = 0; i + 1 < value.size(); ++i) {
    if (value[i] == '\xf4' && (value[i + 1] & 0xff) >= 0x90 && (value[i + 1] & 0xff) <= 0xbf) {
      return true;
    }
  }
  return false;
}

class OperatorOracle : public ::testing::TestWithParam<OperatorId> {};

std::string param_name(const ::testing::TestParamInfo<OperatorId>& info) {
  return std::string(abi::operator_info(info.param).name);
}
std::vector<OperatorId> compared_operators() {
  std::vector<OperatorId> ids;
  for (std::size_t i = 0; i < abi::kOperatorCount; ++i) {
    const auto id = static_cast<OperatorId>(i);
    const auto& info = abi::operator_info(id);
    const bool runs = info.support == abi::OperatorSupport::kRuns &&
                      info.argument != abi::OperatorArgument::kFile;
    // geoLookup needs a database; rxGlobal matches where rx does.
    if (runs && id != OperatorId::kGeoLookup && id != OperatorId::kRxGlobal) ids.push_back(id);
  }
  return ids;
}
INSTANTIATE_TEST_SUITE_P(All, OperatorOracle, ::testing::ValuesIn(compared_operators()),
                         param_name);

TEST_P(OperatorOracle, AgreesWithLibmodsecurityOverRandomValues) {
  const char* seed_text = std::getenv("SLUICE_SEED");
  const std::uint64_t seed = seed_text != nullptr ? std::strtoull(seed_text, nullptr, 10) : 1;
  const char* count_text = std::getenv("SLUICE_ORACLE_VALUES");
  const std::uint64_t count = count_text != nullptr ? std::strtoull(count_text, nullptr, 10) : 2000;
  SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed));
  test::RandomValues values(seed);
  std::size_t failures = 0, matches = 0;
  for (std::uint64_t i = 0; i < count && failures < 5; ++i) {
    const Question question = ask(GetParam(), values);
    // The reference expands macros and reads its argument as a C string in places.
    if (question.argument.find('\0') != std::string::npos) continue;
    if (question.argument.find("%{") != std::string::npos) continue;
    if (is_known_deviation(GetParam(), question.value)) continue;
    Reference reference(GetParam(), question.argument);
    ASSERT_TRUE(reference.ok()) << question.argument;
    const bool theirs = reference.evaluate(question.value);
    const bool ours = test::evaluate(GetParam(), question.argument, question.value);
    matches += theirs ? 1 : 0;
    if (ours == theirs) continue;
    ++failures;
    ADD_FAILURE() << test::show(base::as_bytes(question.argument)) << " on "
                  << test::show(base::as_bytes(question.value)) << ": ours " << ours << ", theirs "
                  << theirs;
  }
  EXPECT_GT(matches + (GetParam() == OperatorId::kNoMatch ? 1 : 0), 0u) << "nothing was matched";
}

}  // namespace
}  // namespace sluice::rules
