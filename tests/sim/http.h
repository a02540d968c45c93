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

/// The length of the complete message at the start of `text`; 0 when it is not complete, or no
/// message.
inline std::size_t message_bytes(std::string_view text) {
  const std::size_t head = text.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  constexpr std::string_view kField = "Content-Length: ";
  const std::size_t field = text.find(kField);
  if (field == std::string_view::npos || field > head) return 0;
  std::size_t length = 0;
  for (std::size_t at = field + kField.size(); at < head && text[at] >= '0' && text[at] <= '9';
       ++at) {
    length = length * 10 + static_cast<std::size_t>(text[at] - '0');
    if (length > 1 << 20) return 0;
  }
  const std::size_t total = head + 4 + length;
  return text.size() >= total ? total : 0;
}
inline bool is_bad(std::string_view message) {
  return message.find(kBadWord) != std::string_view::npos;
}

}  // namespace sluice::sim
