// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/arena_buffer.h"

namespace sluice::http {

struct JsonLimits {
  std::uint32_t depth_max = abi::kJsonDepthMax;  ///< open containers; at most abi::kJsonDepthMax
  std::uint32_t keys_max = abi::kJsonKeysMax;    ///< members and elements of all containers
  bool find_duplicate_keys = false;  ///< costs a table in the arena, 16 to 32 bytes a key
};

enum class JsonError : std::uint8_t {
  kNone,
  kSyntax,     ///< not RFC 8259, or not UTF-8
  kTruncated,  ///< the body ended inside the document
  kTrailing,   ///< something other than white space after the document
  kDepth,
  kKeys,    ///< too many, or a name longer than abi::kJsonNameBytesMax
  kMemory,  ///< the arena is full
};

/// Reads one JSON document as it arrives, in memory that does not depend on its length, and gives
/// its scalars the names that libmodsecurity does: `json`, then `.key` for members (`.empty-key`
/// for
/// "") and `.array_N` for elements. Iterative. Strict: RFC 8259, UTF-8 without byte order mark.
///
/// Sink: name(Bytes) once with the whole name, then value(Bytes piece) any number of times, then
/// end(): one scalar. Strings are unescaped, numbers and literals as written, null is empty.
/// Members before an error have been given.
class JsonDecoder {
 public:
  /// `arena` must outlive the decoder and may be used by others between calls.
  JsonDecoder(base::Arena& arena, const JsonLimits& limits);

  /// False after an error, which stays. O(chunk).
  template <typename Sink>
  bool feed(base::Bytes chunk, Sink& sink) {
    for (Token token = next(chunk); token.kind != Token::kNeedMore; token = next(chunk)) {
      if (token.kind == Token::kName) sink.name(base::as_bytes(name()));
      if (token.kind == Token::kValue) sink.value(token.bytes);
      if (token.kind == Token::kEnd) sink.end();
      if (token.kind == Token::kError) return false;
    }
    return true;
  }
  /// The body has ended: an empty body is no error. Gives a number that only the end has ended.
  template <typename Sink>
  bool finish(Sink& sink) {
    if (finish_number()) sink.end();
    return finished();
  }

  [[nodiscard]] JsonError error() const { return error_; }
  /// A limit that fails closed whatever the switches say: kNone, kJsonDepth or kTransactionMemory.
  /// A syntax error is for the rules (REQBODY_ERROR) and the switch.
  [[nodiscard]] abi::Reason reason() const;
  /// Switches of abi/strict.h that this document fails, as abi::strict_bit() (HB10 to HB13).
  [[nodiscard]] std::uint64_t strict_failures() const;
  /// For REQBODY_ERROR_MSG.
  [[nodiscard]] std::string_view error_text() const;

 private:
  struct Token {
    enum Kind : std::uint8_t { kNeedMore, kName, kValue, kEnd, kError } kind = kNeedMore;
    base::Bytes bytes;
  };
  enum class State : std::uint8_t {
    kValue,         ///< a value is due
    kFirstElement,  ///< a value or ]
    kFirstKey,      ///< a key or }
    kKey,           ///< a key is due
    kColon,
    kAfterValue,  ///< a comma or the container's end
    kString,
    kNumber,
    kLiteral,
    kDone,
    kFailed,
  };
  struct Level {
    std::uint32_t name_bytes;  ///< length of the path without this level's own member
    std::uint32_t index;       ///< of the element; for objects their serial number
    bool is_array;
  };

  [[nodiscard]] std::string_view name() const { return path_.text(); }
  Token next(base::Bytes& chunk);
  Token fail(JsonError error);
  Token structure(std::uint8_t byte);
  Token begin_value(std::uint8_t byte);
  Token in_string(base::Bytes& chunk);
  Token in_escape(base::Bytes& chunk);
  Token in_number(base::Bytes& chunk);
  Token in_literal(base::Bytes& chunk);
  Token end_string();
  bool emit_code_point(std::uint32_t code_point);
  bool begin_key();
  bool end_key();
  bool push(bool is_array);
  void pop();
  bool name_element();
  bool count_key();
  bool finish_number();
  bool finished();

  base::Arena* arena_;
  JsonLimits limits_;
  ArenaBuffer path_;
  ArenaVector<Level> levels_;
  ArenaHashSet keys_;
  std::uint32_t keys_count_ = 0;
  std::uint32_t objects_ = 0;
  std::uint32_t key_start_ = 0;  ///< where the current key begins in path_
  std::uint32_t number_bytes_ = 0;
  std::uint32_t code_point_ = 0;
  std::uint16_t high_surrogate_ = 0;
  std::uint8_t small_[8] = {};  ///< bytes of an unescaped character or of a literal
  std::uint8_t escape_ = 0;  ///< 0 none, 1 after the backslash, 2..5 hexadecimal digits to come + 1
  std::uint8_t utf8_state_ = 0;
  std::uint8_t number_state_ = 0;
  std::uint8_t literal_ = 0, literal_at_ = 0;
  State state_ = State::kValue;
  JsonError error_ = JsonError::kNone;
  bool in_key_ = false;
  bool name_due_ = false;
  bool begun_ = false;
  bool duplicate_key_ = false, lone_surrogate_ = false, long_number_ = false;
};

}  // namespace sluice::http
