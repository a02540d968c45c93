// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/net/tcp_options.h"

namespace sluice::net {
namespace {

using abi::Reason;

/// Marks an option that may stand once. Two of a kind are read differently: the last counts on
/// Linux (evasion TO2).
Reason mark_once(TcpOptions& options, TcpOptions::Present option) {
  const bool before = options.has(option);
  options.present = static_cast<std::uint16_t>(options.present | option);
  return before ? Reason::kTcpOptionDup : Reason::kNone;
}

/// Reads one option whose `length` (2..area left) was checked against the area.
Reason read_option(const std::uint8_t* at, std::uint8_t length, std::uint16_t frame_offset,
                   TcpOptions& options) {
  const auto sized = [length](std::uint8_t expected) { return length == expected; };
  switch (at[0]) {
    case kOptionMss:
      if (!sized(4)) return Reason::kTcpOption;
      options.mss = base::load_be16(at + 2);
      return mark_once(options, TcpOptions::kMss);
    case kOptionWindowScale:
      if (!sized(3)) return Reason::kTcpOption;
      options.window_scale = at[2];
      return mark_once(options, TcpOptions::kWindowScale);
    case kOptionSackPermitted:
      if (!sized(2)) return Reason::kTcpOption;
      return mark_once(options, TcpOptions::kSackPermitted);
    case kOptionSack:
      if (length < 10 || (length - 2) % 8 != 0) return Reason::kTcpOption;
      options.sack_blocks = static_cast<std::uint8_t>((length - 2) / 8);
      options.sack_offset = static_cast<std::uint16_t>(frame_offset + 2);
      return mark_once(options, TcpOptions::kSack);
    case kOptionTimestamp:
      if (!sized(10)) return Reason::kTcpOption;
      options.timestamp_value = base::load_be32(at + 2);
      options.timestamp_echo = base::load_be32(at + 6);
      options.timestamp_offset = frame_offset;
      return mark_once(options, TcpOptions::kTimestamp);
    case kOptionMd5:
    case kOptionAo:
      options.present |= TcpOptions::kAuth;
      return Reason::kNone;
    case kOptionFastOpen:
      options.present |= TcpOptions::kFastOpen;
      return Reason::kNone;
    case kOptionMultipath:
      options.present |= TcpOptions::kMultipath;
      return Reason::kNone;
    default:
      options.present |= TcpOptions::kOther;
      return Reason::kNone;
  }
}

}  // namespace

abi::Reason parse_tcp_options(base::Bytes area, std::uint16_t frame_offset, TcpOptions& options) {
  // What nearly every data segment carries: NOP NOP timestamp (RFC 7323 appendix A).
  if (area.size() == 12 && base::load_be32(area.data()) == 0x0101080aU) {
    options.present = TcpOptions::kTimestamp;
    options.timestamp_value = base::load_be32(area.data() + 4);
    options.timestamp_echo = base::load_be32(area.data() + 8);
    options.timestamp_offset = static_cast<std::uint16_t>(frame_offset + 2);
    return Reason::kNone;
  }
  Reason first = Reason::kNone;
  std::size_t at = 0;
  while (at < area.size() && area[at] != kOptionEnd) {
    if (area[at] == kOptionNop) {
      ++at;
      continue;
    }
    if (area.size() - at < 2) return Reason::kTcpOption;
    const std::uint8_t length = area[at + 1];
    if (length < 2 || length > area.size() - at) return Reason::kTcpOption;
    const Reason reason = read_option(area.data() + at, length,
                                      static_cast<std::uint16_t>(frame_offset + at), options);
    if (reason == Reason::kTcpOption) return reason;
    if (first == Reason::kNone) first = reason;
    at += length;
  }
  return first;
}

}  // namespace sluice::net
