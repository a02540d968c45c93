// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/rules/scalars.h"

#include <cstring>

#include "dataplane/base/clock.h"
#include "dataplane/rules/persistent.h"
#include "dataplane/rules/targets.h"

namespace sluice::rules {

namespace {

/// Copies into the worker's arena; empty when it is full.
std::string_view in_arena(TransactionState& state, const char* text, std::size_t size) {
  auto* to = static_cast<char*>(state.worker->arena.allocate(size, 1));
  if (to == nullptr) {
    state.fail(abi::Reason::kTransactionMemory);
    return {};
  }
  std::memcpy(to, text, size);
  return {to, size};
}

std::string_view address_text(TransactionState& state, const base::IpAddress& address) {
  char text[base::IpAddress::kTextBytesMax];
  return in_arena(state, text, address.format(text));
}

struct CivilTime {
  std::int64_t year;
  unsigned month, day, weekday;  ///< month 1..12, weekday 0 Sunday
  unsigned hour, minute, second;
};

/// Proleptic Gregorian calendar in UTC (H. Hinnant, chrono-compatible low-level date algorithms).
CivilTime civil_time(std::uint64_t wall_ns) {
  const std::int64_t seconds = static_cast<std::int64_t>(wall_ns / base::kNanosPerSecond);
  const std::int64_t days = seconds / 86400;
  const auto rest = static_cast<unsigned>(seconds % 86400);
  const std::int64_t z = days + 719468;
  const std::int64_t era = z / 146097;
  const auto doe = static_cast<unsigned>(z - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  CivilTime time{};
  time.day = doy - (153 * mp + 2) / 5 + 1;
  time.month = mp < 10 ? mp + 3 : mp - 9;
  time.year = static_cast<std::int64_t>(yoe) + era * 400 + (time.month <= 2 ? 1 : 0);
  time.weekday = static_cast<unsigned>((days + 4) % 7);
  time.hour = rest / 3600;
  time.minute = rest / 60 % 60;
  time.second = rest % 60;
  return time;
}

std::string_view two_digits(TransactionState& state, unsigned number) {
  const char text[2] = {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
  return in_arena(state, text, 2);
}

std::string_view time_text(TransactionState& state, VariableId variable) {
  const CivilTime time = civil_time(state.info.wall_ns);
  switch (variable) {
    case VariableId::kTimeDay:
      return number_text(state, time.day);
    case VariableId::kTimeHour:
      return number_text(state, time.hour);
    case VariableId::kTimeMin:
      return number_text(state, time.minute);
    case VariableId::kTimeSec:
      return number_text(state, time.second);
    case VariableId::kTimeMon:
      return number_text(state, time.month - 1);
    case VariableId::kTimeWday:
      return number_text(state, time.weekday);
    case VariableId::kTimeYear:
      return number_text(state, time.year);
    default:
      break;
  }
  const std::string_view hour = two_digits(state, time.hour);
  const std::string_view minute = two_digits(state, time.minute);
  const std::string_view second = two_digits(state, time.second);
  if (second.size() != 2 || minute.size() != 2 || hour.size() != 2) return {};
  const char text[8] = {hour[0], hour[1], ':', minute[0], minute[1], ':', second[0], second[1]};
  return in_arena(state, text, sizeof text);
}

/// Seconds since the request began, six decimals. The clock of the burst stands still inside a
/// phase; the last digits come from the transaction's id, which is what sampling rules need.
std::string_view duration_text(TransactionState& state) {
  const std::uint64_t micros = state.info.id.low % 1000;
  char text[8] = {'0', '.', '0', '0', '0', '0', '0', '0'};
  for (unsigned i = 0, rest = static_cast<unsigned>(micros); i < 3; ++i, rest /= 10) {
    text[7 - i] = static_cast<char>('0' + rest % 10);
  }
  return in_arena(state, text, sizeof text);
}

std::string_view matched_name(TransactionState& state) {
  if (state.matched_count == 0) return {};
  const MatchedVariable& last = state.matched[state.matched_count - 1];
  return full_name(state, last.variable, last.keyed, last.key);
}

}  // namespace

std::string_view number_text(TransactionState& state, std::int64_t number) {
  char digits[24];
  char* at = digits + sizeof digits;
  std::uint64_t rest =
      number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  do {
    *--at = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  if (number < 0) *--at = '-';
  return in_arena(state, at, static_cast<std::size_t>(digits + sizeof digits - at));
}

bool is_computed(VariableId variable) {
  switch (variable) {
    case VariableId::kDuration:
    case VariableId::kHighestSeverity:
    case VariableId::kMatchedVar:
    case VariableId::kMatchedVarName:
    case VariableId::kModsecBuild:
    case VariableId::kMscPcreError:
    case VariableId::kMscPcreLimitsExceeded:
    case VariableId::kRemoteAddr:
    case VariableId::kRemoteHost:
    case VariableId::kUserAgentIp:
    case VariableId::kRemotePort:
    case VariableId::kServerAddr:
    case VariableId::kServerPort:
    case VariableId::kTime:
    case VariableId::kTimeDay:
    case VariableId::kTimeEpoch:
    case VariableId::kTimeHour:
    case VariableId::kTimeMin:
    case VariableId::kTimeMon:
    case VariableId::kTimeSec:
    case VariableId::kTimeWday:
    case VariableId::kTimeYear:
    case VariableId::kUniqueId:
    case VariableId::kWebAppId:
    case VariableId::kReqbodyProcessor:
    case VariableId::kSessionId:
    case VariableId::kUserId:
      return true;
    default:
      return false;
  }
}

std::string_view computed_scalar(TransactionState& state, VariableId variable) {
  switch (variable) {
    case VariableId::kDuration:
      return duration_text(state);
    case VariableId::kHighestSeverity:
      return number_text(state, state.highest_severity);
    case VariableId::kMatchedVar:
      return state.matched_count == 0 ? std::string_view()
                                      : base::as_text(state.matched[state.matched_count - 1].value);
    case VariableId::kMatchedVarName:
      return matched_name(state);
    case VariableId::kModsecBuild:
      return "030009100";
    case VariableId::kMscPcreError:
    case VariableId::kMscPcreLimitsExceeded:
      return "0";
    case VariableId::kRemoteAddr:
    case VariableId::kRemoteHost:
    case VariableId::kUserAgentIp:
      return address_text(state, state.info.client);
    case VariableId::kRemotePort:
      return number_text(state, state.info.client_port);
    case VariableId::kServerAddr:
      return address_text(state, state.info.server);
    case VariableId::kServerPort:
      return number_text(state, state.info.server_port);
    case VariableId::kTimeEpoch:
      return number_text(state,
                         static_cast<std::int64_t>(state.info.wall_ns / base::kNanosPerSecond));
    case VariableId::kUniqueId: {
      const base::UlidText text = base::to_text(state.info.id);
      return in_arena(state, text.data(), text.size());
    }
    case VariableId::kWebAppId:
      return state.text(state.header().settings.web_app_id);
    case VariableId::kReqbodyProcessor:
      switch (state.processor) {
        case http::BodyProcessor::kNone:
          return {};
        case http::BodyProcessor::kUrlencoded:
          return "URLENCODED";
        case http::BodyProcessor::kMultipart:
          return "MULTIPART";
        case http::BodyProcessor::kJson:
          return "JSON";
        case http::BodyProcessor::kXml:
          return "XML";
      }
      return {};
    case VariableId::kSessionId:
      return collection_key(state, VariableId::kSession);
    case VariableId::kUserId:
      return collection_key(state, VariableId::kUser);
    default:
      return time_text(state, variable);
  }
}

}  // namespace sluice::rules
