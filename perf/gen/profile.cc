// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/profile.h"

#include <fstream>
#include <iterator>
#include <string_view>

namespace sluice::gen {
namespace {

constexpr std::string_view kMark = "###";
constexpr std::string_view kZeros = "00000000";
static_assert(kZeros.size() == RequestTemplate::kDigits);

/// One request's text and where it began.
struct Section {
  std::string name;
  std::string text;
  std::size_t line = 1;
};

std::vector<Section> split(const std::string& text) {
  std::vector<Section> sections(1);
  std::size_t line = 1, at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    const std::size_t next = end == std::string::npos ? text.size() : end + 1;
    const std::string_view row(text.data() + at, next - at);
    if (row.starts_with(kMark)) {
      Section section;
      section.line = line + 1;
      for (const char c : row.substr(kMark.size())) {
        if (c != '\n' && c != '\r' && !(c == ' ' && section.name.empty())) section.name += c;
      }
      sections.push_back(section);
    } else {
      sections.back().text += row;
    }
    at = next;
    ++line;
  }
  std::erase_if(sections, [](const Section& section) {
    return section.text.find_first_not_of("\r\n") == std::string::npos;
  });
  return sections;
}

std::size_t skip_blank_lines(Section& section) {
  const std::size_t start = section.text.find_first_not_of("\r\n");
  for (std::size_t i = 0; i < start; ++i) section.line += section.text[i] == '\n' ? 1U : 0U;
  section.text.erase(0, start);
  return start;
}

/// Head with CRLF line ends and the empty line; the rest is the body.
void split_head(const std::string& text, std::string& head, std::string& body) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    std::string_view row(text.data() + at, end - at);
    if (row.ends_with('\r')) row.remove_suffix(1);
    at = std::min(end + 1, text.size());
    if (row.empty()) break;
    head.append(row).append("\r\n");
  }
  head.append("\r\n");
  body = text.substr(at);
  if (body.ends_with('\n')) body.pop_back();
  if (body.ends_with('\r')) body.pop_back();
}

bool plausible_request_line(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const std::size_t first = line.find(' ');
  return first != std::string_view::npos && first != 0 &&
         line.substr(first + 1).find(' ') != std::string_view::npos;
}

/// Replaces the placeholders; the places of numbers count from the start of head + body.
base::Status expand(std::string& text, std::size_t offset, const std::string& length,
                    std::vector<std::uint32_t>& places, const std::string& where) {
  std::size_t at = 0;
  while ((at = text.find("{{", at)) != std::string::npos) {
    const std::size_t end = text.find("}}", at);
    if (end == std::string::npos) break;
    const std::string word = text.substr(at + 2, end - at - 2);
    if (word == "number") {
      text.replace(at, end + 2 - at, kZeros);
      places.push_back(static_cast<std::uint32_t>(offset + at));
      at += kZeros.size();
    } else if (word == "length") {
      text.replace(at, end + 2 - at, length);
    } else {
      return base::Error{where + ": unknown placeholder {{" + word +
                         "}}; known are {{number}} and {{length}}"};
    }
  }
  return base::ok_status();
}

base::Result<RequestTemplate> build(Section section, const std::string& path) {
  skip_blank_lines(section);
  const std::string where = path + ":" + std::to_string(section.line);
  std::string head, body;
  split_head(section.text, head, body);
  if (!plausible_request_line(head)) {
    return base::Error{where + ": not a request line: \"" + head.substr(0, head.find('\r')) + "\""};
  }
  RequestTemplate request;
  request.name = section.name.empty() ? where : section.name;
  std::vector<std::uint32_t> body_places;
  if (auto done = expand(body, 0, "", body_places, where); !done.ok()) return done.error();
  if (auto done = expand(head, 0, std::to_string(body.size()), request.places, where); !done.ok()) {
    return done.error();
  }
  for (const std::uint32_t place : body_places) {
    request.places.push_back(place + static_cast<std::uint32_t>(head.size()));
  }
  const std::string whole = head + body;
  if (whole.size() > RequestTemplate::kBytesMax) {
    return base::Error{where + ": a request of " + std::to_string(whole.size()) +
                       " bytes; at most " + std::to_string(RequestTemplate::kBytesMax)};
  }
  request.bytes.assign(whole.begin(), whole.end());
  net::add_bytes(request.zero_sum, request.bytes);
  for (const std::uint32_t place : request.places) {
    ++(place % 2 == 0 ? request.even_places : request.odd_places);
  }
  return request;
}

}  // namespace

void write_digits(std::uint32_t number, char* to) {
  for (std::size_t i = RequestTemplate::kDigits; i-- > 0; number /= 10) {
    to[i] = static_cast<char>('0' + number % 10);
  }
}

net::ChecksumSum RequestTemplate::sum(const char* digits) const {
  // The places hold '0' already, so only what exceeds it is added; it cannot carry out of its byte.
  std::uint64_t high = 0, low = 0;
  for (std::size_t i = 0; i < kDigits; i += 2) {
    high += static_cast<std::uint64_t>(digits[i] - '0');
    low += static_cast<std::uint64_t>(digits[i + 1] - '0');
  }
  net::ChecksumSum total = zero_sum;
  const std::uint64_t even_low = high, even_high = low;  // native little-endian words
  total.add(even_places * (even_low + (even_high << 8)));
  total.add(odd_places * ((high << 8) + low));
  return total;
}

base::Result<std::vector<RequestTemplate>> parse_requests(const std::string& text,
                                                          const std::string& path) {
  std::vector<RequestTemplate> requests;
  for (Section& section : split(text)) {
    auto request = build(std::move(section), path);
    if (!request.ok()) return request.error();
    requests.push_back(std::move(request).value());
  }
  if (requests.empty()) return base::Error{path + ": no request in it"};
  return requests;
}

base::Result<std::vector<RequestTemplate>> load_requests(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::Error{path + ": cannot be read; name a file of raw requests"};
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return parse_requests(text, path);
}

}  // namespace sluice::gen
