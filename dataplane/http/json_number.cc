// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

// Numbers of JSON (RFC 8259 section 6): whole ones at a look, others byte by byte over any cut.

#include "dataplane/http/characters.h"
#include "dataplane/http/json.h"

namespace sluice::http {

std::size_t JsonDecoder::integer_run(base::Bytes chunk) {
  std::size_t i = chunk[0] == '-' ? 1 : 0;
  const std::size_t first = i;
  while (i < chunk.size() && is_class(chunk[i], kClassDigit)) ++i;
  if (i == chunk.size() || i == first || i > abi::kJsonStrictNumberBytes) return 0;
  if (chunk[first] == '0' && i > first + 1) return 0;
  const std::uint8_t end = chunk[i];
  return end == ',' || end == '}' || end == ']' || end == ' ' || end == '\n' || end == '\r' ||
                 end == '\t'
             ? i
             : 0;
}

bool JsonDecoder::number_may_end() const {
  return number_ == Number::kZero || number_ == Number::kInteger || number_ == Number::kFraction ||
         number_ == Number::kExponent;
}

/// False: the byte does not continue the number.
bool JsonDecoder::step_number(std::uint8_t byte) {
  const bool digit = is_class(byte, kClassDigit);
  const bool e = byte == 'e' || byte == 'E';
  switch (number_) {
    case Number::kMinus:
      if (!digit) return false;
      number_ = byte == '0' ? Number::kZero : Number::kInteger;
      return true;
    case Number::kZero:
    case Number::kInteger:
      if (digit) return number_ == Number::kInteger;
      if (byte != '.' && !e) return false;
      number_ = byte == '.' ? Number::kDot : Number::kE;
      return true;
    case Number::kDot:
    case Number::kFraction:
      if (e && number_ == Number::kFraction) {
        number_ = Number::kE;
        return true;
      }
      if (digit) number_ = Number::kFraction;
      return digit;
    case Number::kE:
      if (byte == '+' || byte == '-') {
        number_ = Number::kSign;
        return true;
      }
      [[fallthrough]];
    case Number::kSign:
    case Number::kExponent:
      if (digit) number_ = Number::kExponent;
      return digit;
  }
  return false;
}

JsonDecoder::Token JsonDecoder::in_number(base::Bytes& chunk) {
  if (number_bytes_ == 0) {
    number_bytes_ = 1;
    return with(Token::kValue, {small_.data(), 1});
  }
  std::size_t size = 0;
  while (size < chunk.size() && step_number(chunk[size])) ++size;
  if (size > 0) {
    number_bytes_ += static_cast<std::uint32_t>(size);
    long_number_ |= number_bytes_ > abi::kJsonStrictNumberBytes;
    const base::Bytes run = chunk.first(size);
    chunk = chunk.subspan(size);
    return with(Token::kValue, run);
  }
  return number_may_end() ? end_value() : fail(JsonError::kSyntax);
}

}  // namespace sluice::http
