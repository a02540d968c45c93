// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/render.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

namespace sluice::ctl {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isdigit(c) != 0 || c == ',' || c == '.';
  });
}

/// Columns on a terminal: code points, escape sequences not counted.
std::size_t width(const std::string& text) {
  std::size_t count = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\033') escape = true;
    if (!escape && (static_cast<unsigned char>(c) & 0xc0) != 0x80) ++count;
    if (escape && c == 'm') escape = false;
  }
  return count;
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    if (widths.size() < row.size()) widths.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width(row[i]), ' ');
      line += is_number(row[i]) ? padding + row[i] : row[i] + padding;
      line += "  ";
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string coloured(const std::string& text, Colour colour) {
  static const bool wanted = ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  if (!wanted) return text;
  const char* code = "1";
  switch (colour) {
    case Colour::kRed:
      code = "31";
      break;
    case Colour::kGreen:
      code = "32";
      break;
    case Colour::kYellow:
      code = "33";
      break;
    case Colour::kBold:
      break;
  }
  return std::string("\033[") + code + "m" + text + "\033[0m";
}

std::string printable(const std::string& text, std::size_t bytes_max) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= bytes_max) return out + "...";
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out;
}

std::string grouped(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string counted(std::uint64_t number, const std::string& noun) {
  return grouped(number) + " " + noun + (number == 1 ? "" : "s");
}

std::string verdict_text(const nlohmann::json& said) {
  std::string text = said.value("verdict", "") + " (" + said.value("reason", "");
  const nlohmann::json scores = said.value("scores", nlohmann::json::object());
  if (const int score = scores.value("inbound", 0); score != 0) {
    text += ", score " + std::to_string(score);
  }
  if (const int score = scores.value("outbound", 0); score != 0) {
    text += ", outbound score " + std::to_string(score);
  }
  return text + ")";
}

bool parse_since(const std::string& text, std::uint64_t now_ns, std::uint64_t& since_ns) {
  char* rest = nullptr;
  const unsigned long long number = std::strtoull(text.c_str(), &rest, 10);
  const std::string unit = rest;
  std::uint64_t seconds = 0;
  if (unit == "s") seconds = number;
  if (unit == "m" || unit == "min") seconds = number * 60;
  if (unit == "h") seconds = number * 3600;
  if (unit == "d") seconds = number * 86'400;
  const bool digits = !text.empty() && text[0] >= '0' && text[0] <= '9';  // strtoull takes signs
  if (digits && (seconds != 0 || unit == "s")) {
    const std::uint64_t back = seconds * 1'000'000'000;
    since_ns = back < now_ns ? now_ns - back : 1;
    return true;
  }
  std::tm parts{};
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    const char* end = ::strptime(text.c_str(), format, &parts);
    if (end != nullptr && (*end == '\0' || *end == 'Z')) {
      since_ns = static_cast<std::uint64_t>(::timegm(&parts)) * 1'000'000'000;
      return true;
    }
    parts = {};
  }
  return false;
}

}  // namespace sluice::ctl
