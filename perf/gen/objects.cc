// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "perf/gen/objects.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "perf/gen/script.h"

namespace sluice::gen {
namespace {

constexpr std::uint32_t kBodyBytesMax = 16U << 20;

std::vector<std::string> split(const std::string& text, char separator, std::size_t parts_max) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (parts.size() + 1 < parts_max) {
    const std::size_t end = text.find(separator, at);
    if (end == std::string::npos) break;
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  parts.push_back(text.substr(at));
  return parts;
}

std::optional<std::uint32_t> whole_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> size_of(std::string_view text) {
  std::uint32_t unit = 1;
  if (text.ends_with('k')) unit = 1U << 10;
  if (text.ends_with('M')) unit = 1U << 20;
  if (unit != 1) text.remove_suffix(1);
  const auto value = whole_number(text);
  if (!value || *value == 0 || *value > kBodyBytesMax / unit) return std::nullopt;
  return *value * unit;
}

constexpr const char* kWords[] = {"river",  "stone", "market",  "garden", "lamp",   "winter",
                                  "paper",  "north", "bridge",  "orange", "letter", "quiet",
                                  "silver", "field", "morning", "window"};

std::string text_body(std::size_t bytes, std::uint64_t seed, bool json) {
  std::string body = json ? "[" : "<!DOCTYPE html>\n<html><body>\n";
  for (std::uint64_t i = 0; body.size() < bytes + 128; ++i) {
    const std::uint64_t draw = mix(seed + i);
    const char* first = kWords[draw % 16];
    const char* second = kWords[(draw >> 8) % 16];
    const std::string number = std::to_string(draw >> 48);
    body += json ? R"({"item":")" + std::string(first) + R"(","place":")" + second +
                       R"(","count":)" + number + "},\n"
                 : "<p>The " + std::string(first) + " by the " + second + ", number " + number +
                       ".</p>\n";
  }
  body.resize(bytes);
  // Ends as a document does where there is room; a cut one is still text.
  const std::string_view end = json ? "}]" : "</body></html>\n";
  if (!json && bytes > 64) body.replace(bytes - end.size(), end.size(), end);
  return body;
}

std::string random_body(std::size_t bytes, std::uint64_t seed) {
  std::string body(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    body[i] = static_cast<char>(mix(seed + i / 8) >> (8 * (i % 8)));
  }
  return body;
}

ResponseObject make_object(std::uint32_t bytes, std::uint32_t weight, const std::string& type,
                           std::uint32_t mss) {
  ResponseObject object;
  object.weight = weight;
  object.body_bytes = bytes;
  object.content_type = type;
  const bool html = type.starts_with("text/html"), json = type.starts_with("application/json");
  const std::string body = html || json ? text_body(bytes, bytes, json) : random_body(bytes, bytes);
  const std::string whole =
      "HTTP/1.1 200 OK\r\nServer: sluice-gen\r\nDate: Mon, 02 Jun 2025 10:00:00 GMT\r\n"
      "Content-Type: " +
      type + "\r\nContent-Length: " + std::to_string(bytes) + "\r\nConnection: keep-alive\r\n\r\n" +
      body;
  object.bytes.assign(whole.begin(), whole.end());
  for (std::size_t at = 0; at < object.bytes.size(); at += mss) {
    net::ChecksumSum sum;
    net::add_bytes(sum, base::Bytes(object.bytes)
                            .subspan(at, std::min<std::size_t>(mss, object.bytes.size() - at)));
    object.segment_sums.push_back(sum);
  }
  return object;
}

}  // namespace

base::Result<std::vector<ResponseObject>> make_objects(const std::string& specification,
                                                       std::uint32_t mss) {
  std::vector<ResponseObject> objects;
  for (const std::string& item : split(specification, ',', 64)) {
    const auto parts = split(item, ':', 3);
    const auto bytes = size_of(parts[0]);
    const auto weight = parts.size() > 1 ? whole_number(parts[1]) : std::optional<std::uint32_t>{1};
    if (!bytes || !weight || *weight == 0 || *weight > 1'000'000) {
      return base::Error{"\"" + item +
                         "\": not an object; write SIZE[:WEIGHT[:CONTENT-TYPE]] as in "
                         "1k:80,64k:20:text/html (1 byte to 16M)"};
    }
    objects.push_back(make_object(*bytes, *weight,
                                  parts.size() > 2 ? parts[2] : "application/octet-stream", mss));
  }
  return objects;
}

}  // namespace sluice::gen
