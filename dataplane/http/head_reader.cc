// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/head_reader.h"

#include <cstring>
#include <new>

#include "dataplane/http/characters.h"
#include "dataplane/http/framing.h"

namespace sluice::http {
namespace {

using abi::Reason;

/// Ends at the first byte that no field name has. Names are short: a table beats vectors here.
std::size_t name_length(std::string_view line) {
  std::size_t size = 0;
  while (size < line.size() && is_class(line[size], kClassToken)) ++size;
  return size;
}

/// One field line without its line end.
Reason read_field(std::string_view line, Field& field) {
  const std::size_t size = name_length(line);
  if (size == 0 || size == line.size() || line[size] != ':') {
    const std::size_t colon = line.find(':');
    field.name = trim_ows(line.substr(0, colon));
    field.value =
        colon == std::string_view::npos ? std::string_view() : trim_ows(line.substr(colon + 1));
    field.id = field_id(field.name);
    return Reason::kHttpHeaderName;
  }
  field.name = line.substr(0, size);
  field.value = trim_ows(line.substr(size + 1));
  field.id = field_id(field.name);
  return Reason::kNone;
}

/// All field lines of a head that the scanner has accepted: every line ends in CR LF.
Reason read_fields(std::string_view lines, std::size_t count, base::Arena& arena, Head& head) {
  Field* const fields = arena.allocate_array<Field>(count);
  if (fields == nullptr) return Reason::kTransactionMemory;
  Reason reason = Reason::kNone;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* const end = static_cast<const char*>(std::memchr(lines.data(), '\n', lines.size()));
    if (end == nullptr) break;  // not with the scanner's count
    const std::string_view line(lines.data(), static_cast<std::size_t>(end - lines.data()) - 1);
    auto* const field = new (&fields[i]) Field();
    const Reason found = read_field(line, *field);
    if (reason == Reason::kNone) reason = found;
    head.fields = {fields, i + 1};
    lines.remove_prefix(line.size() + 2);
  }
  return reason;
}

std::string_view without_line_end(std::string_view line) {
  if (!line.empty() && line.back() == '\n') line.remove_suffix(1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

/// The next line with its line end, which may be missing at the end of `text`.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end == std::string_view::npos ? end : end + 1);
  text.remove_prefix(line.size());
  return line;
}

std::string_view take_word(std::string_view& text) {
  constexpr std::string_view kBlanks = " \t\v\f\r";
  const std::size_t start = std::min(text.find_first_not_of(kBlanks), text.size());
  text.remove_prefix(start);
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

/// Method, target (which may hold blanks) and, if the last word looks like one, the protocol.
bool read_line_leniently(std::string_view line, RequestHead& head) {
  std::string_view rest = line;
  head.method = take_word(rest);
  rest = trim_ows(rest);
  if (head.method.empty() || rest.empty()) return false;
  head.target = rest;
  const std::size_t last = rest.find_last_of(" \t\v\f");
  if (last != std::string_view::npos && rest.substr(last + 1).find('/') != std::string_view::npos) {
    head.protocol = rest.substr(last + 1);
    head.target = trim_ows(rest.substr(0, last));
  }
  head.minor_version = head.protocol == "HTTP/1.0" ? 0 : 1;
  head.path_and_query = head.target;
  const std::size_t scheme_end = head.target.find("://");
  if (head.target.front() == '/' || scheme_end == std::string_view::npos) return true;
  const std::string_view after = head.target.substr(scheme_end + 3);
  const std::size_t authority_end = std::min(after.find_first_of("/?#"), after.size());
  head.authority = after.substr(0, authority_end);
  head.path_and_query = after.substr(authority_end);
  return true;
}

std::size_t count_lines(std::string_view text, std::size_t count_max) {
  std::size_t count = 0;
  while (!text.empty() && count < count_max) {
    take_line(text);
    ++count;
  }
  return count;
}

}  // namespace

Reason read_request_head(std::string_view raw, std::size_t line_count, const HeadLimits& limits,
                         base::Arena& arena, RequestHead& head) {
  head.raw = base::as_bytes(raw);
  std::string_view rest = raw;
  const std::string_view line = without_line_end(take_line(rest));
  const Reason line_reason = read_request_line(line, head);
  const Reason fields_reason = read_fields(rest, line_count - 1, arena, head);
  if (line_reason != Reason::kNone) return line_reason;
  if (fields_reason != Reason::kNone) return fields_reason;
  return frame_request(limits, head);
}

Reason read_response_head(std::string_view raw, std::size_t line_count, base::Arena& arena,
                          ResponseHead& head) {
  head.raw = base::as_bytes(raw);
  std::string_view rest = raw;
  const std::string_view line = without_line_end(take_line(rest));
  const bool shaped = line.size() >= 12 && line.starts_with("HTTP/1.") &&
                      (line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
                      all_of_class(line.substr(9, 3), kClassDigit) && line[9] != '0' &&
                      (line.size() == 12 || line[12] == ' ');
  if (!shaped) return Reason::kHttpResponse;
  head.protocol = line.substr(0, 8);
  head.minor_version = static_cast<std::uint8_t>(line[7] - '0');
  head.status =
      static_cast<std::uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  head.reason_phrase = line.size() > 13 ? line.substr(13) : std::string_view();
  const Reason fields = read_fields(rest, line_count - 1, arena, head);
  return fields == Reason::kNone || fields == Reason::kTransactionMemory ? fields
                                                                         : Reason::kHttpResponse;
}

bool read_request_leniently(std::string_view raw, base::Arena& arena, RequestHead& head) {
  head = RequestHead();
  head.lenient = true;
  head.raw = base::as_bytes(raw);
  std::string_view rest = raw;
  if (!read_line_leniently(without_line_end(take_line(rest)), head)) return false;
  const std::size_t count_max = count_lines(rest, kLenientFieldsMax);
  Field* const fields = arena.allocate_array<Field>(count_max);
  if (fields == nullptr) return true;
  std::size_t count = 0;
  while (!rest.empty() && count < count_max) {
    const std::string_view line = without_line_end(take_line(rest));
    if (line.empty()) break;
    const bool folded = line.front() == ' ' || line.front() == '\t';
    if (folded && count > 0) {
      Field& before = fields[count - 1];
      const char* const start = before.value.empty() ? line.data() : before.value.data();
      before.value = {start, static_cast<std::size_t>(line.data() + line.size() - start)};
      continue;
    }
    auto* const field = new (&fields[count++]) Field();
    (void)read_field(line, *field);
  }
  head.fields = {fields, count};
  frame_leniently(head);
  return true;
}

std::size_t lenient_head_end(std::string_view raw, std::size_t from) {
  for (std::size_t lf = raw.find('\n', from); lf != std::string_view::npos;
       lf = raw.find('\n', lf + 1)) {
    const std::string_view after = raw.substr(lf + 1, 2);
    if (after.starts_with("\n")) return lf + 2;
    if (after == "\r\n") return lf + 3;
  }
  return 0;
}

}  // namespace sluice::http
