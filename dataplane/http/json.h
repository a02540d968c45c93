// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/limits.h"
#include "dataplane/abi/reasons.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bytes.h"
#include "dataplane/http/arena_buffer.h"
#include "dataplane/http/utf8.h"

namespace sluice::http {

struct JsonLimits {
  std::uint32_t depth_max = abi::kJsonDepthMax;  ///< open containers; at most abi::kJsonDepthMax
  std::uint32_t keys_max = abi::kJsonKeysMax;    ///< members and elements of all containers
  /// Among the first abi::kJsonStrictKeys; more fail the switch. Costs up to kJsonKeyTableBytes.
  bool find_duplicate_keys = false;
  std::uint64_t hash_seed = 0;  ///< of the key table; a secret of the worker
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
/// end(): one scalar. Strings are unescaped (half a surrogate pair as yajl does), numbers and
/// literals as written, null is empty. Pieces are valid during the call. Members before an error
/// have been given.
class JsonDecoder {
 public:
  /// `arena` must outlive the decoder and may be used by others between calls.
  JsonDecoder(base::Arena& arena, const JsonLimits& limits);

  /// False after an error, which stays. O(chunk), but for names: at most abi::kJsonNameBytesMax
  /// each.
  template <typename Sink>
  bool feed(base::Bytes chunk, Sink& sink) {
    for (Token token = next(chunk); token != Token::kNeedMore; token = next(chunk)) {
      if (token == Token::kError) return false;
      give(token, sink);
    }
    return true;
  }
  /// The body has ended. An empty body is no error. False after an error.
  template <typename Sink>
  bool finish(Sink& sink) {
    for (Token token = next_at_end(); token != Token::kNeedMore; token = next_at_end()) {
      if (token == Token::kError) return false;
      give(token, sink);
    }
    return true;
  }

  [[nodiscard]] JsonError error() const { return error_; }
  /// A limit that fails closed whatever the switches say: kNone, kJsonDepth or kTransactionMemory.
  /// A syntax error is for the rules (REQBODY_ERROR) and the switch.
  [[nodiscard]] abi::Reason reason() const;
  /// Switches of abi/strict.h that this document fails, as abi::strict_bit() (HB10 to HB13).
  [[nodiscard]] std::uint64_t strict_failures() const;
  /// For REQBODY_ERROR_MSG; empty without error.
  [[nodiscard]] std::string_view error_text() const;

 private:
  /// What was read; its bytes are in `piece_`. kWhole: name, value and end of a scalar at once.
  enum class Token : std::uint8_t { kNeedMore, kName, kValue, kEnd, kWhole, kError };
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
    kEndDue,  ///< a literal is complete
    kDone,
    kFailed,
  };
  enum class Number : std::uint8_t {
    kMinus,
    kZero,
    kInteger,
    kDot,
    kFraction,
    kE,
    kSign,
    kExponent
  };
  struct Level {
    std::uint32_t name_bytes;  ///< length of the container's own name in path_
    std::uint32_t number;      ///< arrays: index of the next element; objects: serial number
    bool is_array;
  };

  template <typename Sink>
  void give(Token token, Sink& sink) {
    if (token == Token::kWhole) {
      sink.name(base::as_bytes(path_.text()));
      if (!piece_.empty()) sink.value(piece_);
      sink.end();
      return;
    }
    if (token == Token::kName) sink.name(piece_);
    if (token == Token::kValue) sink.value(piece_);
    if (token == Token::kEnd) sink.end();
  }
  Token with(Token token, base::Bytes piece) {
    piece_ = piece;
    return token;
  }
  Token next(base::Bytes& chunk);
  Token next_at_end();
  Token fail(JsonError error);
  Token structure(const std::uint8_t*& at, const std::uint8_t* end);
  Token begin_value(const std::uint8_t*& at, const std::uint8_t* end);
  Token begin_scalar(State state);
  Token whole_value(const std::uint8_t*& at, std::size_t size, std::size_t used);
  Token whole_key(const std::uint8_t*& at, const std::uint8_t* end);
  Token in_string(base::Bytes& chunk);
  Token in_escape(std::uint8_t byte);
  Token in_number(base::Bytes& chunk);
  Token in_literal(base::Bytes& chunk);
  Token end_string();
  Token end_value();
  Token string_piece(base::Bytes bytes);
  Token code_unit(std::uint16_t unit);
  std::size_t put_code_point(std::uint32_t code_point, std::size_t at);
  Token lone_surrogate();
  Token open(bool is_array);
  bool close(bool is_array);
  bool begin_key();
  Token end_key();
  bool name_element();
  bool count_member();
  /// Bytes of an integer that surely ends in the chunk and is short enough for every switch; 0:
  /// something else.
  static std::size_t integer_run(base::Bytes chunk);
  bool step_number(std::uint8_t byte);
  [[nodiscard]] bool number_may_end() const;

  base::Arena* arena_;
  base::Bytes piece_;  ///< of the token last returned; borrowed for the call
  JsonLimits limits_;
  ArenaBuffer path_;
  ArenaVector<Level> levels_;
  ArenaHashSet keys_;
  std::uint32_t members_ = 0, keys_seen_ = 0;
  std::uint32_t objects_ = 0;
  std::uint32_t depth_seen_ = 0;
  std::uint32_t key_start_ = 0;  ///< where the current key begins in path_
  std::uint32_t number_bytes_ = 0;
  std::uint16_t unit_ = 0;            ///< hexadecimal digits of an escape so far
  std::uint16_t high_surrogate_ = 0;  ///< waits for its other half
  std::array<std::uint8_t, 8> small_{};
  Utf8Checker utf8_;
  std::uint8_t escape_ = 0;  ///< 0 none, 1 after the backslash, 2..5 before hexadecimal digit 1..4
  Number number_ = Number::kMinus;
  std::uint8_t literal_ = 0, literal_at_ = 0;
  State state_ = State::kValue;
  JsonError error_ = JsonError::kNone;
  bool in_key_ = false;
  bool begun_ = false;
  bool duplicate_key_ = false, lone_surrogate_ = false, long_number_ = false;
};

}  // namespace sluice::http
