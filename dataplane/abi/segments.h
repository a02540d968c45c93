// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/abi/counters.h"
#include "dataplane/abi/events.h"
#include "dataplane/abi/image.h"
#include "dataplane/abi/limits.h"
#include "dataplane/abi/ring.h"

/// The files of an instance's shared-memory folder (paths.shm, default /dev/shm/sluice[/instance]):
///
/// | file | created by | maps it |
/// | --- | --- | --- |
/// | `control` | whoever comes first (O_CREAT, fixed size, all zero = nothing announced) | both |
/// | `dataplane` | each dataplane start, under a new inode (rename over the old) | both |
/// | `limits` | the first dataplane of a boot; kept over restarts | dataplane; sluiced read-only |
/// | `collections` | the first dataplane of a boot; kept over restarts | dataplane |
/// | `images/<generation>.img` | sluiced, read-only, rename into place | dataplane (copied) |
///
/// Every shared field says writer, reader and memory order.
namespace sluice::abi {

inline constexpr std::uint64_t kControlMagic = 0x314c525443434c53ULL;
inline constexpr std::uint64_t kDataplaneMagic = 0x31504c4144434c53ULL;
inline constexpr std::size_t kMessageBytes = 256;

inline constexpr std::uint32_t kModeUnset = 0xff;  ///< the policy's own mode applies

/// sluiced -> dataplane. Size is fixed: kControlBytes.
struct ControlSegment {
  /// Writer: whoever creates it (CAS 0 -> magic). Reader: both.
  std::atomic<std::uint64_t> magic;
  std::atomic<std::uint32_t> abi_version;
  std::uint32_t reserved;
  /// Generation wanted live; 0: none yet. Writer: sluiced (release, after the image is in place).
  /// Reader: dataplane main thread (acquire).
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> announced;
  /// Generation wanted as shadow; 0: none. Same orders.
  std::atomic<std::uint64_t> announced_staged;
  /// Bumped after every change of the switches below (release); read first (acquire).
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> switches_version;
  std::atomic<std::uint32_t> mode;    ///< abi::Mode or kModeUnset
  std::atomic<std::uint32_t> bypass;  ///< 0 or 1
  /// By service name hash: services keep their switch over pushes. 0 = free.
  struct ServiceMode {
    std::atomic<std::uint64_t> service_name_hash;  ///< FNV-1a 64 of the name
    std::atomic<std::uint32_t> mode;
    std::uint32_t reserved;
  };
  std::array<ServiceMode, kServicesMax> service_modes;
  /// Writer: sluiced (relaxed), every second. Reader: dataplane, for status only.
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> daemon_heartbeat_ns;
  std::atomic<std::uint64_t> daemon_pid;
};
inline constexpr std::size_t kControlBytes = 16384;
static_assert(sizeof(ControlSegment) <= kControlBytes);

/// A worker that has not polled for so long is stalled: other workers stop steering to it, and
/// status and metrics name it.
inline constexpr std::uint64_t kWorkerStalledNs = 1'000'000'000;

/// Pools of packet buffers: those of received frames, and those of segments that we make.
enum class BufferPool : std::uint32_t { kFrames = 0, kCrafted = 1 };
inline constexpr std::size_t kBufferPools = 2;
inline constexpr std::array<std::string_view, kBufferPools> kBufferPoolNames = {"frames",
                                                                                "crafted"};

enum class DataplaneState : std::uint32_t { kStarting = 0, kRunning = 1, kStopping = 2 };

/// The answer to one announced generation. Writer: dataplane main thread; `generation` is stored
/// last (release). Reader: sluiced (acquire).
struct GenerationAnswer {
  std::atomic<std::uint64_t> generation;
  std::atomic<std::uint32_t> error;  ///< ImageError; kNone = accepted
  std::uint32_t reserved;
  std::atomic<std::uint64_t> publish_ns;  ///< from seeing it to the last worker observing it
  char message[kMessageBytes];
};

struct LinkStatus {
  char name[32];
  std::atomic<std::uint32_t> up[2];  ///< outside, inside
  std::atomic<std::uint32_t> speed_mbps[2];
  char device[2][64];
};

struct WorkerStatus {
  std::uint32_t lcore;
  std::uint32_t socket;
  std::uint64_t counters_offset;      ///< WorkerCounters
  std::uint64_t verdict_ring_offset;  ///< RingHeader
  std::uint64_t http_ring_offset;     ///< RingHeader
};

/// dataplane -> sluiced. sluiced writes only the tails of the rings.
struct DataplaneSegment {
  std::atomic<std::uint64_t> magic;  ///< stored last (release) when the layout below is complete
  std::uint32_t abi_version;
  std::uint32_t worker_count, link_count, reserved;
  std::uint64_t segment_bytes;
  std::uint64_t pid;
  std::uint64_t start_wall_ns;
  std::uint64_t tsc_hz;
  char version[32];
  char commit[48];
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> state;  ///< DataplaneState
  std::atomic<std::uint64_t> heartbeat_ns;                    ///< main thread
  std::atomic<std::uint64_t> live, staged;                    ///< generations
  std::atomic<std::uint64_t> reclaimed;                       ///< generations freed so far
  /// Entries of the limit table whose time has not passed, as of the last few seconds, and all.
  std::atomic<std::uint64_t> limit_entries_live, limit_entries;
  /// Packet buffers, by BufferPool.
  std::atomic<std::uint64_t> buffers_free[kBufferPools], buffers[kBufferPools];
  GenerationAnswer answer_live, answer_staged;
  std::array<LinkStatus, kLinksMax> links;
  std::array<WorkerStatus, kWorkersMax> workers;
};

/// FNV-1a, for names in shared memory; not a defence against anybody.
constexpr std::uint64_t fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) {
    hash ^= static_cast<std::uint8_t>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

}  // namespace sluice::abi
