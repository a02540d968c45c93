// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/net/checksum.h"

namespace sluice::gen {

/// A raw request as sent, with places for a number that makes each transaction's request another
/// one. Its length never changes.
struct RequestTemplate {
  static constexpr std::size_t kDigits = 8;
  /// One initial window of full segments (RFC 6928): the generator sends a request at once.
  static constexpr std::size_t kBytesMax = 14'000;

  std::string name;
  std::vector<std::uint8_t> bytes;    ///< "00000000" in every place
  std::vector<std::uint32_t> places;  ///< offsets of the digits
  net::ChecksumSum zero_sum;          ///< over `bytes`
  std::uint32_t even_places = 0, odd_places = 0;

  /// Writes `digits` into every place of `to`, a copy of `bytes`.
  void fill(std::uint8_t* to, const char* digits) const {
    for (const std::uint32_t place : places) std::memcpy(to + place, digits, kDigits);
  }
  /// The checksum sum of the filled request.
  [[nodiscard]] net::ChecksumSum sum(const char* digits) const;
};

/// Eight decimal digits of `number` (0..99,999,999).
void write_digits(std::uint32_t number, char* to);

/// Reads raw requests: one or several in a file, each behind a line `### name`. Lines of the head
/// may end in LF and are sent with CRLF; the body is everything behind the empty line but the line
/// end before the next `###`. `{{number}}` becomes eight digits, `{{length}}` the body's bytes.
/// Errors, with file and line: no request line, no request, one too large, an unknown placeholder.
base::Result<std::vector<RequestTemplate>> load_requests(const std::string& path);

/// The same from text; `path` is for messages.
base::Result<std::vector<RequestTemplate>> parse_requests(const std::string& text,
                                                          const std::string& path);

}  // namespace sluice::gen
