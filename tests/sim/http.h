// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// The little HTTP that the simulator speaks: requests with Content-Length, bad ones contain
/// "ATTACK".
namespace sluice::sim {

inline constexpr std::string_view kGoodWord = "benign", kBadWord = "ATTACK";

inline std::string make_message(std::string_view first_line, const std::string& body) {
  return std::string(first_line) +
         "\r\nHost: sim.test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
inline std::string make_request(const std::string& target, const std::string& body) {
  return make_message("POST " + target + " HTTP/1.1", body);
}

/// Of a head; 0 without the field, or beyond 1 MiB.
inline std::size_t content_length(std::string_view head) {
  constexpr std::string_view kField = "Content-Length: ";
  const std::size_t field = head.find(kField);
  std::size_t length = 0;
  if (field == std::string_view::npos) return 0;
  for (std::size_t at = field + kField.size(); at < head.size(); ++at) {
    if (head[at] < '0' || head[at] > '9') break;
    length = length * 10 + static_cast<std::size_t>(head[at] - '0');
    if (length > 1 << 20) return 0;
  }
  return length;
}

/// The length of the complete message at the start of `text`; 0 when it is not complete, or no
/// message.
inline std::size_t message_bytes(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return 0;
  const std::string_view head = text.substr(0, end);
  if (head.find("Content-Length: ") == std::string_view::npos) return 0;
  const std::size_t total = end + 4 + content_length(head);
  return text.size() >= total ? total : 0;
}
inline bool is_bad(std::string_view message) {
  return message.find(kBadWord) != std::string_view::npos;
}

}  // namespace sluice::sim
