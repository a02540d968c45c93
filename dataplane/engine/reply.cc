// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/engine/reply.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace sluice::engine {
namespace {

constexpr std::uint32_t kResendFirstMs = 200, kResendLastMs = 3'200;
/// Slots looked at in one poll().
constexpr std::size_t kSlotsPerPoll = 32;

/// Appends text and numbers to a buffer that is known to be large enough.
class Writer {
 public:
  explicit Writer(base::MutableBytes buffer) : buffer_(buffer) {}
  void text(std::string_view text) {
    const std::size_t fits = std::min(text.size(), buffer_.size() - size_);
    std::memcpy(buffer_.data() + size_, text.data(), fits);
    size_ += fits;
  }
  void number(std::uint32_t value) {
    char digits[10];
    std::size_t count = 0;
    do {
      digits[9 - count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    text({digits + 10 - count, count});
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  base::MutableBytes buffer_;
  std::size_t size_ = 0;
};

/// RFC 9110 section 15; what a rule may ask for beyond is named by its class.
std::string_view title_of(std::uint16_t status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 418:
      return "I'm a teapot";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return status >= 500 ? "Server Error" : "Refused";
  }
}

}  // namespace

std::size_t compose_reply(base::MutableBytes buffer, const ReplyContent& content) {
  const base::UlidText id_text = base::to_text(content.event_id);
  const std::string_view id(id_text.data(), id_text.size());
  const std::string_view title = title_of(content.status);
  std::array<std::uint8_t, 512> body_buffer;
  Writer body(body_buffer);
  body.text("{\"type\":\"about:blank\",\"title\":\"");
  body.text(title);
  body.text("\",\"status\":");
  body.number(content.status);
  body.text(",\"instance\":\"urn:sluice:event:");
  body.text(id);
  body.text("\",\"event_id\":\"");
  body.text(id);
  body.text("\"}\n");

  // 204 and 304 have neither content nor a length (RFC 9110 section 8.6).
  const bool never_content = content.status == 204 || content.status == 304;
  Writer out(buffer);
  out.text("HTTP/1.1 ");
  out.number(content.status);
  out.text(" ");
  out.text(title);
  out.text("\r\n");
  if (!never_content) {
    out.text("Content-Type: application/problem+json\r\nContent-Length: ");
    out.number(static_cast<std::uint32_t>(body.size()));
    out.text("\r\n");
  }
  out.text("X-Sluice-Event: ");
  out.text(id);
  out.text("\r\nCache-Control: no-store\r\n");
  if (content.status == 429) {
    out.text("Retry-After: ");
    out.number(std::max<std::uint32_t>(1, content.retry_after_s));
    out.text("\r\n");
  }
  out.text("Connection: close\r\n\r\n");
  if (!content.without_body && !never_content) {
    out.text(base::as_text({body_buffer.data(), body.size()}));
  }
  return out.size();
}

bool SegmentSender::send(const net::SegmentTemplate& direction, const net::SegmentFields& fields,
                         std::uint16_t link, Side out) {
  base::MutableBytes frame;
  const net::PacketRef packet =
      port_.allocate(port_.context, net::kCraftHeaderBytesMax + fields.payload.size(), frame);
  if (packet.empty()) return false;
  const std::size_t bytes = net::craft_segment(frame, direction, fields);
  if (bytes == 0) {
    port_.free(port_.context, packet);
    return false;
  }
  port_.transmit(port_.context, packet, bytes, link, out);
  counters_.count(abi::CounterId::kCrafted);
  return true;
}

std::size_t ReplyTable::memory_bytes(std::size_t slots) {
  return slots * (sizeof(Slot) + 3 * sizeof(std::uint32_t)) + 64;
}

ReplyTable::ReplyTable(std::span<std::uint8_t> memory, std::size_t slots, SegmentSender& sender)
    : slot_count_(slots), sender_(sender) {
  SLUICE_CHECK(memory.size() >= memory_bytes(slots));
  slots_ = reinterpret_cast<Slot*>(memory.data());
  free_ = reinterpret_cast<std::uint32_t*>(slots_ + slots);
  active_ = free_ + slots;
  place_ = active_ + slots;
  for (std::size_t i = 0; i < slots; ++i) {
    new (slots_ + i) Slot();
    free_[i] = static_cast<std::uint32_t>(slots - 1 - i);
  }
}

ReplySlot ReplyTable::start(const ReplyStart& start, base::Bytes text, base::Nanos now) {
  if (used_ == slot_count_ || text.size() > abi::kReplyBytesMax) return kNoReplySlot;
  const std::uint32_t index = free_[slot_count_ - used_ - 1];
  active_[used_] = index;
  place_[index] = static_cast<std::uint32_t>(used_);
  ++used_;
  Slot& slot = slots_[index];
  slot.start = start;
  slot.started = now;
  slot.deadline = now + start.linger_ns;
  slot.resend_ms = kResendFirstMs;
  slot.resend_at = now + kResendFirstMs * base::kNanosPerMilli;
  slot.acked = 0;
  slot.text_bytes = static_cast<std::uint32_t>(text.size());
  slot.receive_next = start.acknowledgment;
  slot.in_use = true;
  slot.client_fin = false;
  std::memcpy(slot.text.data(), text.data(), text.size());
  next_ = used_ == 1 ? std::min(slot.resend_at, slot.deadline)
                     : std::min({next_, slot.resend_at, slot.deadline});
  send_from(slot, now);
  return index;
}

void ReplyTable::release(ReplySlot index) {
  if (!slots_[index].in_use) return;
  slots_[index].in_use = false;
  --used_;
  const std::uint32_t place = place_[index];
  active_[place] = active_[used_];
  place_[active_[place]] = place;
  free_[slot_count_ - used_ - 1] = index;
}

void ReplyTable::fill_timestamps(const Slot& slot, net::SegmentFields& fields,
                                 base::Nanos now) const {
  fields.timestamp = slot.start.timestamps;
  // Any clock of 1 ms to 1 s a tick will do (RFC 7323 section 5.4); ours goes on from the server's.
  fields.timestamp_value = slot.start.timestamp_value +
                           static_cast<std::uint32_t>((now - slot.started) / base::kNanosPerMilli);
  fields.timestamp_echo = slot.start.timestamp_echo;
}

/// Sends everything that is not acknowledged yet, in segments of the client's size.
void ReplyTable::send_from(Slot& slot, base::Nanos now) {
  const std::uint32_t options = slot.start.timestamps ? 12 : 0;
  const std::uint32_t mss = std::max<std::uint32_t>(
      std::min<std::uint32_t>(slot.start.mss, kCraftedBytesMax - net::kCraftHeaderBytesMax) -
          options,
      64);
  std::uint32_t at = std::min(slot.acked, slot.text_bytes);
  do {
    const std::uint32_t bytes = std::min(mss, slot.text_bytes - at);
    const bool last = at + bytes == slot.text_bytes;
    net::SegmentFields fields;
    fields.sequence = slot.start.sequence + at;
    fields.acknowledgment = slot.receive_next;
    fields.window = slot.start.window;
    fields.flags = net::kAck;
    if (last) fields.flags = net::kAck | net::kPsh | net::kFin;
    fields.payload = {slot.text.data() + at, bytes};
    fill_timestamps(slot, fields, now);
    if (!sender_.send(slot.start.to_client, fields, slot.start.link, slot.start.client_side)) {
      return;
    }
    at += bytes;
  } while (at < slot.text_bytes);
}

void ReplyTable::send_plain(Slot& slot, std::uint8_t flags, base::Nanos now) {
  net::SegmentFields fields;
  fields.sequence = slot.start.sequence + slot.text_bytes + 1;
  if ((flags & net::kRst) != 0) fields.sequence = slot.start.sequence + slot.acked;
  fields.acknowledgment = slot.receive_next;
  fields.window = slot.start.window;
  fields.flags = flags;
  fill_timestamps(slot, fields, now);
  (void)sender_.send(slot.start.to_client, fields, slot.start.link, slot.start.client_side);
}

bool ReplyTable::on_client(ReplySlot index, const net::ParsedPacket& packet, base::Nanos now) {
  Slot& slot = slots_[index];
  if (packet.has_flag(net::kRst)) {
    // RFC 5961 section 3: only the exact number; others may be anybody's.
    if (packet.sequence != slot.receive_next) return false;
    release(index);
    return true;
  }
  const std::uint32_t whole = slot.text_bytes + 1;
  if (packet.has_flag(net::kAck)) {
    const std::uint32_t acked = packet.acknowledgment - slot.start.sequence;
    if (acked <= whole && acked > slot.acked) {
      slot.acked = acked;
      slot.resend_ms = kResendFirstMs;
      slot.resend_at = now + kResendFirstMs * base::kNanosPerMilli;
    }
  }
  const std::uint32_t length = packet.sequence_length();
  const std::uint32_t end = packet.sequence + length;
  const bool starts_known = static_cast<std::int32_t>(packet.sequence - slot.receive_next) <= 0;
  if (starts_known && packet.options.has(net::TcpOptions::kTimestamp)) {
    slot.start.timestamp_echo = packet.options.timestamp_value;
  }
  if (starts_known && static_cast<std::int32_t>(end - slot.receive_next) > 0) {
    slot.receive_next = end;
    slot.client_fin = slot.client_fin || packet.has_flag(net::kFin);
  }
  if (length != 0) send_plain(slot, net::kAck, now);
  if (slot.acked != whole || !slot.client_fin) return false;
  release(index);
  return true;
}

std::uint64_t ReplyTable::poll(base::Nanos now) {
  if (used_ == 0 || now < next_) {
    scanned_ = 0;
    return 0;
  }
  while (scanned_ < std::min(kSlotsPerPoll, used_)) {
    if (cursor_ >= used_) cursor_ = 0;
    const std::uint32_t index = active_[cursor_];
    Slot& slot = slots_[index];
    ++scanned_;
    if (now >= slot.deadline) {
      send_plain(slot, net::kRst | net::kAck, now);
      const std::uint64_t owner = slot.start.owner;
      release(index);
      return owner;
    }
    if (slot.acked != slot.text_bytes + 1 && now >= slot.resend_at) {
      send_from(slot, now);
      slot.resend_ms = std::min(slot.resend_ms * 2, kResendLastMs);
      slot.resend_at = now + slot.resend_ms * base::kNanosPerMilli;
    }
    ++cursor_;
  }
  scanned_ = 0;
  // All slots seen in this call: the next time is exact. Otherwise the walk goes on next time.
  if (used_ != 0 && used_ <= kSlotsPerPoll) {
    next_ = ~base::Nanos{0};
    for (std::size_t i = 0; i < used_; ++i) {
      const Slot& slot = slots_[active_[i]];
      const bool unsent = slot.acked != slot.text_bytes + 1;
      next_ = std::min(next_, unsent ? std::min(slot.resend_at, slot.deadline) : slot.deadline);
    }
  }
  return 0;
}

}  // namespace sluice::engine
