// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/http/head_scanner.h"

#include <emmintrin.h>

#include <algorithm>

namespace sluice::http {
namespace {

/// Bytes before the first control byte other than HT (below 0x20, or 0x7f); at most bytes.size().
/// HTTP heads have one such byte every 30 or so, so 16 bytes a step.
std::size_t run_length(base::Bytes bytes) {
  std::size_t i = 0;
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; i + 16 <= bytes.size(); i += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + i));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, last_control), block);
    const __m128i stop = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(block, tab), control),
                                      _mm_cmpeq_epi8(block, del));
    const int mask = _mm_movemask_epi8(stop);
    if (mask != 0) return i + static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
  }
  for (; i < bytes.size(); ++i) {
    if ((bytes[i] < 0x20 && bytes[i] != '\t') || bytes[i] == 0x7f) break;
  }
  return i;
}

}  // namespace

void HeadScanner::start(const HeadLimits& limits, bool after_cr) {
  *this = HeadScanner();
  limits_ = limits;
  after_cr_ = after_cr;
}

HeadScanner::Result HeadScanner::scan(base::Bytes chunk) {
  std::size_t at = 0;
  while (at < chunk.size()) {
    const std::uint8_t byte = chunk[at];
    if (after_cr_) {
      if (idle()) return refuse(at, abi::Reason::kHttpLeadingCrlf);
      if (byte != '\n') return refuse(at, abi::Reason::kHttpBareCr);
      after_cr_ = false;
      ++at;
      const Status status = end_line();
      if (status == Status::kRefused) return refuse(at, abi::Reason::kHttpHeadersTooLarge);
      if (status != Status::kNeedMore) return {status, at, abi::Reason::kNone};
      continue;
    }
    if (line_bytes_ == 0 && lines_ > 0 && (byte == ' ' || byte == '\t')) {
      return refuse(at, abi::Reason::kHttpObsFold);
    }
    const std::size_t run = run_length(chunk.subspan(at));
    const std::size_t allowed = run_allowed();
    if (run > allowed) return refuse(at + allowed, too_large(), allowed);
    count(run);
    at += run;
    if (at == chunk.size()) break;
    const abi::Reason reason = control_byte(chunk[at]);
    if (reason != abi::Reason::kNone) return refuse(at, reason);
    ++at;
  }
  return {Status::kNeedMore, at, abi::Reason::kNone};
}

HeadScanner::Result HeadScanner::refuse(std::size_t at, abi::Reason reason, std::size_t counted) {
  count(counted);
  return {Status::kRefused, at, reason};
}

void HeadScanner::count(std::size_t run) {
  line_bytes_ += static_cast<std::uint32_t>(run);
  bytes_ += static_cast<std::uint32_t>(run);
}

std::size_t HeadScanner::line_bytes_max() const {
  return lines_ == 0 ? limits_.request_line_bytes_max : limits_.header_bytes_max;
}

std::size_t HeadScanner::run_allowed() const {
  const std::size_t line = line_bytes_max() - std::min<std::size_t>(line_bytes_, line_bytes_max());
  const std::size_t head =
      limits_.head_bytes_max - std::min<std::size_t>(bytes_, limits_.head_bytes_max);
  return std::min(line, head);
}

abi::Reason HeadScanner::too_large() const {
  return lines_ == 0 ? abi::Reason::kHttpRequestLine : abi::Reason::kHttpHeadersTooLarge;
}

/// The byte that ended a run. CR is taken, everything else is an offence.
abi::Reason HeadScanner::control_byte(std::uint8_t byte) {
  if (idle() && (byte == '\r' || byte == '\n')) return abi::Reason::kHttpLeadingCrlf;
  switch (byte) {
    case '\r':
      after_cr_ = true;
      ++bytes_;
      return abi::Reason::kNone;
    case '\n':
      return abi::Reason::kHttpBareLf;
    case 0:
      return abi::Reason::kHttpNul;
    default:
      return lines_ == 0 ? abi::Reason::kHttpRequestLine : abi::Reason::kHttpHeaderValue;
  }
}

HeadScanner::Status HeadScanner::end_line() {
  ++bytes_;
  if (line_bytes_ == 0) return Status::kComplete;
  line_bytes_ = 0;
  if (++lines_ == 1) return Status::kStartLine;
  return lines_ - 1 > limits_.headers_max ? Status::kRefused : Status::kNeedMore;
}

}  // namespace sluice::http
