// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/json.h"

#include <emmintrin.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "dataplane/http/characters.h"

namespace sluice::http {
namespace {

constexpr std::array<std::string_view, 3> kLiterals = {"true", "false", "null"};
constexpr std::uint8_t kNullLiteral = 2;

bool is_space(std::uint8_t byte) {
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/// Bytes of a string that need no look: not a control, quote, backslash or beyond ASCII.
std::size_t plain_run(base::Bytes chunk) {
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i blank = _mm_set1_epi8(' ');
  std::size_t i = 0;
  for (; i + 16 <= chunk.size(); i += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(chunk.data() + i));
    // Signed: bytes from 0x80 on are below the blank too.
    const __m128i stop =
        _mm_or_si128(_mm_cmplt_epi8(block, blank),
                     _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(stop));
    if (mask != 0) return i + static_cast<std::size_t>(__builtin_ctz(mask));
  }
  for (; i < chunk.size(); ++i) {
    const std::uint8_t byte = chunk[i];
    if (byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\') break;
  }
  return i;
}

char unescaped(std::uint8_t letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/':
      return static_cast<char>(letter);
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return 0;
  }
}

}  // namespace

JsonDecoder::JsonDecoder(base::Arena& arena, const JsonLimits& limits)
    : arena_(&arena), limits_(limits) {
  path_.start(arena);
  levels_.start(arena);
  keys_.start(arena);
  const base::Bytes root = base::as_bytes("json");
  if (!path_.append(root.data(), root.size())) (void)fail(JsonError::kMemory);
}

JsonDecoder::Token JsonDecoder::fail(JsonError error) {
  if (error_ == JsonError::kNone) error_ = error;
  state_ = State::kFailed;
  return Token::kError;
}

JsonDecoder::Token JsonDecoder::next(base::Bytes& chunk) {
  if (state_ == State::kEndDue) return end_value();
  Token token = Token::kNeedMore;
  while (!chunk.empty() && token == Token::kNeedMore) {
    begun_ = true;
    switch (state_) {
      case State::kString:
        token = in_string(chunk);
        break;
      case State::kNumber:
        token = in_number(chunk);
        break;
      case State::kLiteral:
        token = in_literal(chunk);
        break;
      case State::kFailed:
        return Token::kError;
      case State::kEndDue:
        return end_value();
      case State::kValue:
      case State::kFirstElement:
      case State::kFirstKey:
      case State::kKey:
      case State::kColon:
      case State::kAfterValue:
      case State::kDone: {
        const std::uint8_t* at = chunk.data();
        const std::uint8_t* const end = at + chunk.size();
        token = structure(at, end);
        chunk = {at, end};
        break;
      }
    }
  }
  return token;
}

/// What lies outside of scalars, with keys and scalars that end in the chunk, until a scalar is
/// complete or one of the states that go byte by byte begins.
JsonDecoder::Token JsonDecoder::structure(const std::uint8_t*& at, const std::uint8_t* end) {
  for (;;) {
    while (at != end && is_space(*at)) ++at;
    if (at == end) return Token::kNeedMore;
    const std::uint8_t byte = *at;
    switch (state_) {
      case State::kFirstKey:
      case State::kKey:
        ++at;
        if (byte == '}' && state_ == State::kFirstKey) {
          if (!close(false)) return Token::kError;
          break;
        }
        if (byte != '"') return fail(JsonError::kSyntax);
        if (!begin_key()) return fail(error_);
        if (const Token token = whole_key(at, end); token == Token::kError) {
          return token;
        }
        if (state_ == State::kString) return Token::kNeedMore;
        break;
      case State::kColon:
        if (byte != ':') return fail(JsonError::kSyntax);
        ++at;
        state_ = State::kValue;
        break;
      case State::kAfterValue:
        ++at;
        if (byte == ',') {
          state_ = levels_.back().is_array ? State::kValue : State::kKey;
        } else if (byte != ']' && byte != '}') {
          return fail(JsonError::kSyntax);
        } else if (!close(byte == ']')) {
          return Token::kError;
        }
        break;
      case State::kFirstElement:
        if (byte == ']') {
          ++at;
          if (!close(true)) return Token::kError;
          break;
        }
        [[fallthrough]];
      case State::kValue: {
        const Token token = begin_value(at, end);
        if (token != Token::kNeedMore) return token;
        break;
      }
      case State::kDone:
        return fail(JsonError::kTrailing);
      case State::kString:
      case State::kNumber:
      case State::kLiteral:
      case State::kEndDue:
      case State::kFailed:
        return Token::kNeedMore;
    }
  }
}

JsonDecoder::Token JsonDecoder::begin_value(const std::uint8_t*& at, const std::uint8_t* end) {
  if (!levels_.empty() && levels_.back().is_array && !name_element()) return fail(error_);
  const std::uint8_t byte = *at;
  if (byte == '"') {
    ++at;
    in_key_ = false;
    const std::size_t run = plain_run({at, end});
    if (at + run != end && at[run] == '"') return whole_value(at, run, run + 1);
    return begin_scalar(State::kString);
  }
  if (byte == '{' || byte == '[') {
    ++at;
    return open(byte == '[');
  }
  if (byte == '-' || is_class(byte, kClassDigit)) {
    const std::size_t run = integer_run({at, end});
    if (run != 0) return whole_value(at, run, run);
    ++at;
    number_ = byte == '-' ? Number::kMinus : byte == '0' ? Number::kZero : Number::kInteger;
    small_[0] = byte;
    number_bytes_ = 0;  // the first byte is given with the rest of the number
    return begin_scalar(State::kNumber);
  }
  const base::Bytes rest(at, end);
  for (std::size_t i = 0; i < kLiterals.size(); ++i) {
    if (byte != static_cast<std::uint8_t>(kLiterals[i][0])) continue;
    const std::size_t size = kLiterals[i].size();
    if (rest.size() >= size && std::memcmp(at, kLiterals[i].data(), size) == 0) {
      return whole_value(at, i == kNullLiteral ? 0 : size, size);
    }
    literal_ = static_cast<std::uint8_t>(i);
    literal_at_ = 0;
    return begin_scalar(State::kLiteral);
  }
  return fail(JsonError::kSyntax);
}

/// The scalar lies in the chunk as it is to be given: the first `size` bytes, `used` with its end.
JsonDecoder::Token JsonDecoder::whole_value(const std::uint8_t*& at, std::size_t size,
                                            std::size_t used) {
  const base::Bytes value(at, size);
  at += used;
  state_ = levels_.empty() ? State::kDone : State::kAfterValue;
  return with(Token::kWhole, value);
}

/// A key that ends in the chunk and is all plain needs no state; any other goes byte by byte.
JsonDecoder::Token JsonDecoder::whole_key(const std::uint8_t*& at, const std::uint8_t* end) {
  const std::size_t run = plain_run({at, end});
  if (at + run == end || at[run] != '"') return Token::kNeedMore;
  const Token token = string_piece({at, run});
  if (token == Token::kError) return token;
  at += run + 1;
  return end_key();
}

JsonDecoder::Token JsonDecoder::begin_scalar(State state) {
  state_ = state;
  return with(Token::kName, base::as_bytes(path_.text()));
}

JsonDecoder::Token JsonDecoder::end_value() {
  state_ = levels_.empty() ? State::kDone : State::kAfterValue;
  return Token::kEnd;
}

JsonDecoder::Token JsonDecoder::open(bool is_array) {
  if (levels_.size() >= limits_.depth_max || levels_.size() >= abi::kJsonDepthMax) {
    return fail(JsonError::kDepth);
  }
  const Level level{.name_bytes = static_cast<std::uint32_t>(path_.size()),
                    .number = is_array ? 0 : objects_++,
                    .is_array = is_array};
  if (!levels_.push(level)) return fail(JsonError::kMemory);
  depth_seen_ = std::max(depth_seen_, static_cast<std::uint32_t>(levels_.size()));
  state_ = is_array ? State::kFirstElement : State::kFirstKey;
  return Token::kNeedMore;
}

bool JsonDecoder::close(bool is_array) {
  if (levels_.empty() || levels_.back().is_array != is_array) {
    (void)fail(JsonError::kSyntax);
    return false;
  }
  levels_.pop();
  state_ = levels_.empty() ? State::kDone : State::kAfterValue;
  return true;
}

bool JsonDecoder::count_member() {
  if (++members_ <= limits_.keys_max) return true;
  error_ = JsonError::kKeys;
  return false;
}

bool JsonDecoder::name_element() {
  Level& level = levels_.back();
  std::array<char, 24> text = {'.', 'a', 'r', 'r', 'a', 'y', '_'};
  const auto end = std::to_chars(text.data() + 7, text.data() + text.size(), level.number++).ptr;
  path_.truncate(level.name_bytes);
  const auto size = static_cast<std::size_t>(end - text.data());
  if (!path_.append(reinterpret_cast<const std::uint8_t*>(text.data()), size)) {
    error_ = JsonError::kMemory;
    return false;
  }
  return count_member();
}

bool JsonDecoder::begin_key() {
  path_.truncate(levels_.back().name_bytes);
  key_start_ = static_cast<std::uint32_t>(path_.size() + 1);
  state_ = State::kString;
  in_key_ = true;
  if (!path_.push('.')) {
    error_ = JsonError::kMemory;
    return false;
  }
  return count_member();
}

JsonDecoder::Token JsonDecoder::end_key() {
  const std::size_t size = path_.size() - key_start_;
  if (++keys_seen_ <= abi::kJsonStrictKeys && limits_.find_duplicate_keys) {
    const std::uint64_t hash = XXH3_64bits_withSeed(path_.data() + key_start_, size,
                                                    limits_.hash_seed + levels_.back().number);
    const auto insert = keys_.insert(hash == 0 ? 1 : hash);
    if (insert == ArenaHashSet::Insert::kFull) return fail(JsonError::kMemory);
    duplicate_key_ |= insert == ArenaHashSet::Insert::kKnown;
  }
  if (size == 0) {
    const base::Bytes name = base::as_bytes("empty-key");
    if (!path_.append(name.data(), name.size())) return fail(JsonError::kMemory);
  }
  state_ = State::kColon;
  return Token::kNeedMore;
}

/// A piece of the current string: of a value for the sink, of a key for the path.
JsonDecoder::Token JsonDecoder::string_piece(base::Bytes bytes) {
  if (!in_key_) return with(Token::kValue, bytes);
  if (path_.size() + bytes.size() > abi::kJsonNameBytesMax) return fail(JsonError::kKeys);
  if (!path_.append(bytes.data(), bytes.size())) return fail(JsonError::kMemory);
  return Token::kNeedMore;
}

JsonDecoder::Token JsonDecoder::in_string(base::Bytes& chunk) {
  if (escape_ != 0) {
    const std::uint8_t byte = chunk[0];
    chunk = chunk.subspan(1);
    return in_escape(byte);
  }
  // The other half of a surrogate pair can only be the next escape.
  if (high_surrogate_ != 0 && chunk[0] != '\\') return lone_surrogate();
  std::size_t size = 0;
  while (size < chunk.size()) {
    if (utf8_.complete()) size += plain_run(chunk.subspan(size));
    if (size == chunk.size() || (utf8_.complete() && chunk[size] < 0x80)) break;
    if (!utf8_.take(chunk[size])) {
      (void)fail(JsonError::kSyntax);  // told when what came before has been given
      break;
    }
    ++size;
  }
  if (size > 0) {
    const base::Bytes run = chunk.first(size);
    chunk = chunk.subspan(size);
    return string_piece(run);
  }
  if (state_ == State::kFailed) return Token::kError;
  const std::uint8_t byte = chunk[0];
  if (byte < 0x20) return fail(JsonError::kSyntax);
  chunk = chunk.subspan(1);
  if (byte == '"') return end_string();
  escape_ = 1;
  return Token::kNeedMore;
}

JsonDecoder::Token JsonDecoder::end_string() {
  if (in_key_) return end_key();
  return end_value();
}

JsonDecoder::Token JsonDecoder::in_escape(std::uint8_t byte) {
  if (escape_ == 1) {
    if (byte == 'u') {
      escape_ = 2;
      unit_ = 0;
      return Token::kNeedMore;
    }
    small_[6] = static_cast<std::uint8_t>(unescaped(byte));
    if (small_[6] == 0) return fail(JsonError::kSyntax);
    escape_ = 0;
    if (high_surrogate_ == 0) return string_piece({small_.data() + 6, 1});
    small_[5] = '?';
    lone_surrogate_ = true;
    high_surrogate_ = 0;
    return string_piece({small_.data() + 5, 2});
  }
  const int digit = hex_value(byte);
  if (digit < 0) return fail(JsonError::kSyntax);
  unit_ = static_cast<std::uint16_t>(unit_ << 4 | digit);
  if (++escape_ < 6) return Token::kNeedMore;
  escape_ = 0;
  return code_unit(unit_);
}

JsonDecoder::Token JsonDecoder::lone_surrogate() {
  lone_surrogate_ = true;
  high_surrogate_ = 0;
  small_[5] = '?';
  return string_piece({small_.data() + 5, 1});
}

/// A \uXXXX escape is complete: a character, or half of one (RFC 8259 section 7).
JsonDecoder::Token JsonDecoder::code_unit(std::uint16_t unit) {
  const bool high = unit >= 0xd800 && unit < 0xdc00;
  const bool low = unit >= 0xdc00 && unit < 0xe000;
  const std::uint16_t before = high_surrogate_;
  high_surrogate_ = high ? unit : std::uint16_t{0};
  if (low && before != 0) {
    const std::uint32_t pair = (before - 0xd800u) << 10 | (unit - 0xdc00u);
    return string_piece({small_.data(), put_code_point(0x10000 + pair, 0)});
  }
  if (high && before == 0) return Token::kNeedMore;
  if (!high && !low && before == 0) {
    return string_piece({small_.data(), put_code_point(unit, 0)});
  }
  lone_surrogate_ = true;
  small_[0] = '?';
  if (high) return string_piece({small_.data(), 1});
  // As yajl: a lone first half is a question mark, a lone second one its own three bytes.
  return string_piece({small_.data(), put_code_point(unit, low && before == 0 ? 0 : 1)});
}

/// Writes UTF-8 into small_ from `at` on; the bytes of small_ then in use.
std::size_t JsonDecoder::put_code_point(std::uint32_t code_point, std::size_t at) {
  const auto put = [this, &at](std::uint32_t byte) {
    small_[at++] = static_cast<std::uint8_t>(byte);
  };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 0x3f));
  } else {
    if (code_point < 0x10000) {
      put(0xe0 | code_point >> 12);
    } else {
      put(0xf0 | code_point >> 18);
      put(0x80 | (code_point >> 12 & 0x3f));
    }
    put(0x80 | (code_point >> 6 & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
  return at;
}

JsonDecoder::Token JsonDecoder::in_literal(base::Bytes& chunk) {
  const std::string_view literal = kLiterals[literal_];
  while (!chunk.empty() && literal_at_ < literal.size()) {
    if (chunk[0] != static_cast<std::uint8_t>(literal[literal_at_])) {
      return fail(JsonError::kSyntax);
    }
    ++literal_at_;
    chunk = chunk.subspan(1);
  }
  if (literal_at_ < literal.size()) return Token::kNeedMore;
  if (literal_ == kNullLiteral) return end_value();
  state_ = State::kEndDue;
  return with(Token::kValue, base::as_bytes(literal));
}

JsonDecoder::Token JsonDecoder::next_at_end() {
  if (state_ == State::kFailed) return Token::kError;
  if (state_ == State::kNumber && levels_.empty()) {  // only the end ends a bare number
    base::Bytes nothing;
    return in_number(nothing);
  }
  if (state_ == State::kEndDue) return end_value();
  if (state_ == State::kDone || !begun_) return Token::kNeedMore;
  return fail(JsonError::kTruncated);
}

}  // namespace sluice::http
