// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/rules/transform/transform.h"

/// What the transformations share. One function per transformation, each in the file of its name;
/// every one is O(input) and takes its output from the arena through Output.
namespace sluice::rules::detail {

using base::Arena;
using base::Bytes;

inline TransformResult unchanged(Bytes input) { return {input, TransformOutcome::kUnchanged}; }
inline TransformResult arena_full() { return {{}, TransformOutcome::kArenaFull}; }

/// Room for one output: taken whole at the start, the unused tail given back by finish().
class Output {
 public:
  Output(Bytes input, std::size_t bytes_max, Arena& arena)
      : input_(input), arena_(arena), before_(arena.used()) {
    start_ = static_cast<std::uint8_t*>(arena.allocate(bytes_max + kOverwrite, 16));
    after_ = arena.used() - (bytes_max + kOverwrite);
  }
  [[nodiscard]] bool full() const { return start_ == nullptr; }
  [[nodiscard]] std::uint8_t* start() const { return start_; }

  /// Copies the first `bytes` of the input, found to be plain, and returns where to go on.
  std::uint8_t* copy_prefix(std::size_t bytes) {
    if (bytes != 0) std::memcpy(start_, input_.data(), bytes);
    return start_ + bytes;
  }

  /// `end`: behind the last byte written. Equal to the input: nothing is kept.
  TransformResult finish(const std::uint8_t* end) {
    const auto bytes = static_cast<std::size_t>(end - start_);
    if (bytes == input_.size() && (bytes == 0 || std::memcmp(start_, input_.data(), bytes) == 0)) {
      arena_.shrink_to(before_);
      return unchanged(input_);
    }
    return finish_changed(end);
  }
  /// As finish(), where the caller knows that a byte differs.
  TransformResult finish_changed(const std::uint8_t* end) {
    const auto bytes = static_cast<std::size_t>(end - start_);
    arena_.shrink_to(after_ + bytes);
    return {Bytes(start_, bytes), TransformOutcome::kChanged};
  }

 private:
  /// Block stores may write this much too far; with the alignment it is below kTransformSlack.
  static constexpr std::size_t kOverwrite = 16;

  Bytes input_;
  Arena& arena_;
  std::size_t before_, after_;
  std::uint8_t* start_;
};

/// The value of a hexadecimal digit, or -1.
inline constexpr auto kHexDigits = [] {
  std::array<std::int8_t, 256> table{};
  for (auto& value : table) value = -1;
  for (std::size_t i = 0; i < 10; ++i) table['0' + i] = static_cast<std::int8_t>(i);
  for (std::size_t i = 0; i < 6; ++i) {
    table['a' + i] = table['A' + i] = static_cast<std::int8_t>(10 + i);
  }
  return table;
}();
inline bool is_hex(std::uint8_t byte) { return kHexDigits[byte] >= 0; }
/// The byte that two hexadecimal digits stand for; -1 if one of them is no digit.
inline int hex_pair(const std::uint8_t* digits) {
  return kHexDigits[digits[0]] * 16 | kHexDigits[digits[1]];
}
inline bool is_octal(std::uint8_t byte) { return byte >= '0' && byte <= '7'; }
inline constexpr char kLowerHex[] = "0123456789abcdef";

/// The value of a base64 digit (RFC 4648 section 4), or -1.
inline constexpr auto kBase64Digits = [] {
  std::array<std::int8_t, 256> table{};
  for (auto& value : table) value = -1;
  for (std::size_t i = 0; i < 26; ++i) {
    table['A' + i] = static_cast<std::int8_t>(i);
    table['a' + i] = static_cast<std::int8_t>(26 + i);
  }
  for (std::size_t i = 0; i < 10; ++i) table['0' + i] = static_cast<std::int8_t>(52 + i);
  table['+'] = 62;
  table['/'] = 63;
  return table;
}();

/// Full-width forms U+FF01..U+FF5E stand for the ASCII sign of the low byte plus 0x20 in every
/// decoder that keeps only the low byte.
inline std::uint8_t fold_full_width(std::uint8_t high, std::uint8_t low) {
  return high == 0xff && low > 0x00 && low < 0x5f ? static_cast<std::uint8_t>(low + 0x20) : low;
}

/// One block of 64 bytes of SHA-1, in portable form and with the SHA extensions of x86.
void sha1_block_plain(std::uint32_t (&state)[5], const std::uint8_t* block);
void sha1_block_extension(std::uint32_t (&state)[5], const std::uint8_t* block);
/// CPUID says that sha1_block_extension() may be called.
bool has_sha_extension();

TransformResult base64_decode(Bytes input, Arena& arena);
TransformResult base64_decode_ext(Bytes input, Arena& arena);
TransformResult base64_encode(Bytes input, Arena& arena);
TransformResult cmd_line(Bytes input, Arena& arena);
TransformResult compress_whitespace(Bytes input, Arena& arena);
TransformResult css_decode(Bytes input, Arena& arena);
TransformResult escape_seq_decode(Bytes input, Arena& arena);
TransformResult hex_decode(Bytes input, Arena& arena);
TransformResult hex_encode(Bytes input, Arena& arena);
TransformResult html_entity_decode(Bytes input, Arena& arena);
TransformResult js_decode(Bytes input, Arena& arena);
TransformResult length(Bytes input, Arena& arena);
TransformResult lowercase(Bytes input, Arena& arena);
TransformResult md5(Bytes input, Arena& arena);
TransformResult normalize_path(Bytes input, Arena& arena);
TransformResult normalize_path_win(Bytes input, Arena& arena);
TransformResult parity_even_7bit(Bytes input, Arena& arena);
TransformResult parity_odd_7bit(Bytes input, Arena& arena);
TransformResult parity_zero_7bit(Bytes input, Arena& arena);
TransformResult remove_comments(Bytes input, Arena& arena);
TransformResult remove_comments_char(Bytes input, Arena& arena);
TransformResult remove_nulls(Bytes input, Arena& arena);
TransformResult remove_whitespace(Bytes input, Arena& arena);
TransformResult replace_comments(Bytes input, Arena& arena);
TransformResult replace_nulls(Bytes input, Arena& arena);
TransformResult sha1(Bytes input, Arena& arena);
TransformResult sql_hex_decode(Bytes input, Arena& arena);
TransformResult trim(Bytes input);
TransformResult trim_left(Bytes input);
TransformResult trim_right(Bytes input);
TransformResult uppercase(Bytes input, Arena& arena);
TransformResult url_decode(Bytes input, Arena& arena);
TransformResult url_decode_uni(Bytes input, const abi::UnicodeMap* map, Arena& arena);
TransformResult url_encode(Bytes input, Arena& arena);
TransformResult utf8_to_unicode(Bytes input, Arena& arena);

}  // namespace sluice::rules::detail
