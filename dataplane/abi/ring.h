// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/abi/limits.h"

/// A single-producer, single-consumer ring of variable-length records in shared memory.
/// The producer is one worker, the consumer is sluiced; either may die at any step: a record
/// becomes visible only by the release of `head`, and a consumer that comes back goes on at `tail`,
/// which it moves only when what it took is safe elsewhere: a record may be read twice after its
/// death, none is lost uncounted.
namespace sluice::abi {

struct RingHeader {
  /// Bytes ever written. Writer: worker (release). Reader: sluiced (acquire).
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> head;
  /// Records that did not fit. Writer: worker (relaxed). Reader: sluiced (relaxed).
  std::atomic<std::uint64_t> dropped;
  /// Bytes ever consumed. Writer: sluiced (release). Reader: worker (acquire).
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> tail;
  /// Power of two, fixed at creation.
  alignas(kCacheLineBytes) std::uint64_t capacity;
  std::uint64_t data_offset;  ///< from the start of the segment
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// In front of every record; a record never wraps, `kSkip` fills the end of the buffer.
struct RecordPrefix {
  std::uint32_t bytes;  ///< with this prefix, rounded up to 8
  std::uint32_t type;   ///< RecordType; 0 = skip to the start of the buffer
};

/// Producer's end. `data` is the ring's buffer of `header->capacity` bytes.
class RingWriter {
 public:
  RingWriter() = default;
  RingWriter(RingHeader* header, std::uint8_t* data) : header_(header), data_(data) {
    if (header_ != nullptr) {
      head_ = header_->head.load(std::memory_order_relaxed);
      tail_seen_ = header_->tail.load(std::memory_order_acquire);
    }
  }

  /// Room for one record of `payload` bytes, or an empty span (counted as dropped). Valid until
  /// commit(). No wait, no system call.
  [[nodiscard]] std::span<std::uint8_t> reserve(std::size_t payload) {
    if (header_ == nullptr) return {};
    const std::uint64_t capacity = header_->capacity;
    const std::uint64_t need = (payload + sizeof(RecordPrefix) + 7) & ~std::uint64_t{7};
    const std::uint64_t position = head_ & (capacity - 1);
    const std::uint64_t to_end = capacity - position;
    const std::uint64_t total = need <= to_end ? need : to_end + need;
    if (capacity - (head_ - tail_seen_) < total) {
      tail_seen_ = header_->tail.load(std::memory_order_acquire);
      if (need > capacity || head_ - tail_seen_ > capacity ||
          capacity - (head_ - tail_seen_) < total) {
        header_->dropped.fetch_add(1, std::memory_order_relaxed);
        return {};
      }
    }
    if (need > to_end) {
      const RecordPrefix skip{static_cast<std::uint32_t>(to_end), 0};
      std::memcpy(data_ + position, &skip, sizeof skip);
      head_ += to_end;
    }
    reserved_ = need;
    return {data_ + (head_ & (capacity - 1)) + sizeof(RecordPrefix), payload};
  }

  /// Publishes the reserved record. `used` bytes of it, at most what was reserved.
  void commit(std::uint32_t type, std::size_t used) {
    const std::uint64_t bytes = (used + sizeof(RecordPrefix) + 7) & ~std::uint64_t{7};
    const std::uint64_t final_bytes = bytes <= reserved_ ? bytes : reserved_;
    const RecordPrefix prefix{static_cast<std::uint32_t>(final_bytes), type};
    std::memcpy(data_ + (head_ & (header_->capacity - 1)), &prefix, sizeof prefix);
    head_ += final_bytes;
    header_->head.store(head_, std::memory_order_release);
  }

 private:
  RingHeader* header_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::uint64_t head_ = 0, tail_seen_ = 0, reserved_ = 0;
};

/// Consumer's end. Every length is checked: a damaged ring yields `damaged()` and skips to its
/// head, never a read outside the buffer.
class RingReader {
 public:
  RingReader() = default;
  RingReader(RingHeader* header, const std::uint8_t* data, std::uint64_t capacity)
      : header_(header),
        data_(data),
        capacity_(capacity),
        tail_(header == nullptr ? 0 : header->tail.load(std::memory_order_relaxed)) {}

  struct Record {
    std::uint32_t type = 0;
    std::span<const std::uint8_t> payload;
  };

  /// The oldest record not popped yet. False when there is none. The view lives until release().
  [[nodiscard]] bool peek(Record& record) {
    if (header_ == nullptr) return false;
    for (;;) {
      const std::uint64_t head = header_->head.load(std::memory_order_acquire);
      if (tail_ == head) return false;
      const std::uint64_t position = tail_ & (capacity_ - 1);
      RecordPrefix prefix;
      if (head - tail_ > capacity_ || head - tail_ < sizeof prefix ||
          capacity_ - position < sizeof prefix) {
        return give_up(head);
      }
      std::memcpy(&prefix, data_ + position, sizeof prefix);
      if (prefix.bytes < sizeof prefix || prefix.bytes % 8 != 0 || prefix.bytes > head - tail_ ||
          prefix.bytes > capacity_ - position) {
        return give_up(head);
      }
      if (prefix.type == 0) {
        tail_ += prefix.bytes;
        continue;
      }
      next_ = tail_ + prefix.bytes;
      record = {prefix.type, {data_ + position + sizeof prefix, prefix.bytes - sizeof prefix}};
      return true;
    }
  }
  /// Goes on to the next record; the room of this one stays taken until release().
  void pop() { tail_ = next_; }
  /// Gives back the room of all that was popped.
  void release() {
    if (header_ != nullptr) header_->tail.store(tail_, std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t damaged() const { return damaged_; }

 private:
  bool give_up(std::uint64_t head) {
    ++damaged_;
    tail_ = head;
    release();
    return false;
  }

  RingHeader* header_ = nullptr;
  const std::uint8_t* data_ = nullptr;
  std::uint64_t capacity_ = 0, tail_ = 0, next_ = 0, damaged_ = 0;
};

}  // namespace sluice::abi
