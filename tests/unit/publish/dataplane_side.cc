// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/publish/dataplane_side.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "controlplane/publish/file_io.h"
#include "dataplane/abi/store.h"
#include "dataplane/base/clock.h"

namespace sluice::test {

DataplaneSide::DataplaneSide(const std::string& shm, Options options)
    : shm_(shm), options_(std::move(options)) {
  const auto align = [](std::size_t at) { return (at + 63) & ~std::size_t{63}; };
  const std::size_t ring_size = align(sizeof(abi::RingHeader)) + options_.ring_bytes;
  const std::size_t per_worker = align(sizeof(abi::WorkerCounters)) + 2 * ring_size;
  const std::size_t start = align(sizeof(abi::DataplaneSegment));
  const std::size_t total = start + per_worker * options_.workers;
  std::filesystem::create_directories(shm_);
  const std::string path = shm_ + "/" + abi::kDataplaneFile;
  const std::string beside = path + ".new";
  std::filesystem::remove(beside);
  mapping_ = publish::Mapping::create(beside, total, 0660).value();
  std::uint8_t* memory = mapping_.data();
  segment_ = reinterpret_cast<abi::DataplaneSegment*>(memory);
  segment_->abi_version = abi::kAbiVersion;
  segment_->worker_count = options_.workers;
  segment_->link_count = 1;
  segment_->segment_bytes = total;
  segment_->pid = static_cast<std::uint64_t>(::getpid());
  segment_->start_wall_ns = base::wall_now();
  segment_->tsc_hz = 1'000'000'000;
  std::snprintf(segment_->version, sizeof segment_->version, "test");
  std::snprintf(segment_->links[0].name, sizeof segment_->links[0].name, "lan0");
  segment_->links[0].up[0].store(1);
  for (std::uint32_t i = 0; i < options_.workers; ++i) {
    std::size_t at = start + per_worker * i;
    abi::WorkerStatus& status = segment_->workers[i];
    status.lcore = i + 1;
    status.counters_offset = at;
    new (memory + at) abi::WorkerCounters();
    at += align(sizeof(abi::WorkerCounters));
    for (std::uint64_t* offset : {&status.verdict_ring_offset, &status.http_ring_offset}) {
      *offset = at;
      auto* header = new (memory + at) abi::RingHeader();
      header->capacity = options_.ring_bytes;
      header->data_offset = at + align(sizeof(abi::RingHeader));
      rings_.push_back(std::make_unique<abi::RingWriter>(header, memory + header->data_offset));
      at += ring_size;
    }
  }
  segment_->live.store(options_.live);
  segment_->heartbeat_ns.store(base::monotonic_now());
  segment_->state.store(static_cast<std::uint32_t>(abi::DataplaneState::kRunning));
  segment_->magic.store(abi::kDataplaneMagic, std::memory_order_release);
  std::filesystem::rename(beside, path);
  // Here and not by the thread, which may come late: a test that limits files by then would end it.
  thread_ = std::thread([this, control = publish::ControlSegment::attach(shm_).value()]() mutable {
    run(std::move(control));
  });
}

DataplaneSide::~DataplaneSide() {
  if (thread_.joinable()) {
    die();
    segment_->state.store(static_cast<std::uint32_t>(abi::DataplaneState::kStopping));
  }
}

void DataplaneSide::die() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

abi::WorkerCounters& DataplaneSide::counters(std::size_t worker) {
  return *reinterpret_cast<abi::WorkerCounters*>(mapping_.data() +
                                                 segment_->workers[worker].counters_offset);
}

void DataplaneSide::run(publish::ControlSegment control) {
  std::uint64_t seen[2] = {options_.live, 0};
  while (!stop_) {
    segment_->heartbeat_ns.store(base::monotonic_now());
    for (int staged = 0; staged < 2; ++staged) {
      auto& wanted = staged != 0 ? control.raw().announced_staged : control.raw().announced;
      const std::uint64_t number = wanted.load(std::memory_order_acquire);
      if (!options_.answers || number == seen[staged]) continue;
      seen[staged] = number;
      auto& in_force = staged != 0 ? segment_->staged : segment_->live;
      if (number == 0) {
        if (staged != 0) in_force.store(0);
        continue;
      }
      const auto image = publish::read_file(shm_ + "/images/" + std::to_string(number) + ".img");
      abi::ImageError error = abi::ImageError::kUnreadable;
      if (image.ok()) {
        error = options_.judge ? options_.judge(image.value()) : abi::ImageError::kNone;
      }
      auto& answer = staged != 0 ? segment_->answer_staged : segment_->answer_live;
      answer.error.store(static_cast<std::uint32_t>(error));
      std::snprintf(answer.message, sizeof answer.message, "%s", abi::image_error_text(error));
      if (error == abi::ImageError::kNone) in_force.store(number, std::memory_order_release);
      answer.generation.store(number, std::memory_order_release);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool DataplaneSide::write(std::size_t worker, std::size_t ring_index, abi::RecordType type,
                          abi::EventHeader header,
                          const std::vector<std::pair<abi::EventFieldId, std::string>>& fields) {
  header.worker = static_cast<std::uint16_t>(worker);
  header.field_count = static_cast<std::uint16_t>(fields.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  for (const auto& [id, text] : fields) {
    const abi::EventField field{id, static_cast<std::uint16_t>(text.size())};
    bytes.append(reinterpret_cast<const char*>(&field), sizeof field);
    bytes += text;
    bytes.resize((bytes.size() + 3) & ~std::size_t{3});
  }
  const auto room = ring(worker, ring_index).reserve(bytes.size());
  if (room.empty()) return false;
  std::memcpy(room.data(), bytes.data(), bytes.size());
  ring(worker, ring_index).commit(static_cast<std::uint32_t>(type), bytes.size());
  return true;
}

TempFolder::TempFolder() {
  std::string pattern = "/tmp/sluice-test-XXXXXX";
  path_ = ::mkdtemp(pattern.data());
}
TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }

std::string make_image(std::uint64_t generation, std::string_view body) {
  abi::ImageHeader header{};
  header.magic = abi::kImageMagic;
  header.abi_version = abi::kAbiVersion;
  header.generation = generation;
  header.image_bytes = sizeof header + body.size();
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + std::string(body);
}

}  // namespace sluice::test
