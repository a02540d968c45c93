// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "controlplane/ctl/offline_engine.h"

#include <algorithm>
#include <cstring>

#include "dataplane/engine/generation.h"

namespace sluice::ctl {

using engine::Fate;
using engine::Side;

namespace {

constexpr std::size_t kLimitEntries = 65536;
constexpr std::size_t kCollectionSlots = 1024;

engine::EngineConfig sizes_for(const OfflineEngine::Options& options) {
  engine::EngineConfig config;
  config.flows_max = options.flows_max;
  config.embryonic_max = std::max<std::size_t>(options.flows_max / 4, 64);
  config.streams_max = options.flows_max;
  config.transactions_max = options.transactions_max;
  config.reply_slots = std::clamp<std::size_t>(options.flows_max, 64, 1024);
  config.retained_bytes = std::max<std::size_t>(options.flows_max * 4096, 8u << 20);
  config.fragment_datagrams = 64;
  config.joined_max = 4;
  return config;
}

}  // namespace

base::MutableBytes OfflineEngine::allocate(std::size_t bytes, Memory& owner) {
  const std::size_t rounded = (bytes + 63) & ~std::size_t{63};
  owner.reset(static_cast<std::uint8_t*>(std::aligned_alloc(64, rounded)));
  if (owner == nullptr) return {};
  std::memset(owner.get(), 0, rounded);
  return {owner.get(), bytes};
}

base::Result<std::unique_ptr<OfflineEngine>> OfflineEngine::create(
    const std::vector<std::uint8_t>& image, const Options& options) {
  std::unique_ptr<OfflineEngine> self(new OfflineEngine());
  const base::MutableBytes copy = allocate(image.size(), self->image_memory_);
  if (copy.empty()) return base::Error{"not enough memory for the image"};
  std::copy(image.begin(), image.end(), copy.begin());
  auto opened = engine::Generation::open(copy, 1);
  if (opened.generation == nullptr) return base::Error{"the image was refused: " + opened.message};
  self->generation_ = std::move(opened.generation);
  if (options.with_limits) {
    const base::MutableBytes table =
        allocate(limit::Table::bytes_for(kLimitEntries), self->limit_memory_);
    if (table.empty()) return base::Error{"not enough memory for the table of limits"};
    limit::Table::format(table, kLimitEntries);
    self->limits_ = std::make_unique<limit::Table>(table);
  }
  const base::MutableBytes collections =
      allocate(rules::CollectionTable::bytes_for(kCollectionSlots), self->collections_memory_);
  if (collections.empty()) return base::Error{"not enough memory for persistent collections"};
  rules::CollectionTable::format(collections, kCollectionSlots);
  self->collections_ = rules::CollectionTable(collections);
  self->counters_ = std::make_unique<abi::WorkerCounters>();
  base::random_hash_key(self->hash_key_);
  engine::EngineEnvironment environment;
  environment.port = self->port();
  environment.hash_key = &self->hash_key_;
  environment.counters = self->counters_.get();
  environment.limits = self->limits_.get();
  environment.collections = &self->collections_;
  environment.event_id_seed = base::wall_now();
  environment.start_time = self->now_;
  auto made = engine::Engine::create(sizes_for(options), environment);
  if (!made.ok()) return made.error();
  self->engine_ = std::move(made).value();
  engine::Engine::Observer observer;
  observer.context = self.get();
  observer.transaction = [](void* context, const engine::TransactionRecord& record) {
    const auto& on_transaction = static_cast<OfflineEngine*>(context)->on_transaction_;
    if (on_transaction) on_transaction(record);
  };
  self->engine_->set_observer(observer);
  engine::Switches switches;
  switches.version = 1;
  self->engine_->observe(self->generation_.get(), nullptr, switches);
  return self;
}

OfflineEngine::~OfflineEngine() = default;

net::PacketRef OfflineEngine::store(base::Bytes frame, std::size_t bytes) {
  if (free_slots_.empty()) {
    free_slots_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const std::size_t index = free_slots_.back();
  free_slots_.pop_back();
  slots_[index].used = true;
  slots_[index].frame.assign(frame.begin(), frame.end());
  slots_[index].frame.resize(std::max(frame.size(), bytes));
  return {index + 1};
}

void OfflineEngine::release(net::PacketRef packet) {
  slot(packet).used = false;
  free_slots_.push_back(packet.handle - 1);
}

engine::PacketPort OfflineEngine::port() {
  engine::PacketPort port;
  port.context = this;
  port.frame = [](void* self, net::PacketRef packet) -> base::MutableBytes {
    return static_cast<OfflineEngine*>(self)->slot(packet).frame;
  };
  port.transmit = [](void* context, net::PacketRef packet, std::size_t bytes, std::uint16_t,
                     Side out) {
    auto& self = *static_cast<OfflineEngine*>(context);
    if (self.on_leave_) self.on_leave_(out, base::Bytes(self.slot(packet).frame).first(bytes));
    self.release(packet);
  };
  port.free = [](void* self, net::PacketRef packet) {
    static_cast<OfflineEngine*>(self)->release(packet);
  };
  port.allocate = [](void* context, std::size_t bytes,
                     base::MutableBytes& frame) -> net::PacketRef {
    auto& self = *static_cast<OfflineEngine*>(context);
    const net::PacketRef packet = self.store({}, bytes);
    frame = self.slot(packet).frame;
    return packet;
  };
  return port;
}

abi::Reason OfflineEngine::push(Side side, base::Bytes frame, bool checked) {
  engine::Packet packet;
  packet.ref = store(frame, 0);
  packet.frame = slot(packet.ref).frame;
  packet.checks = {checked, checked};
  packet.side = side;
  engine_->parse(packet);
  engine_->process({&packet, 1}, now_, wall_);
  switch (packet.fate) {
    case Fate::kForward:
      if (on_leave_) {
        on_leave_(engine::other(side),
                  base::Bytes(slot(packet.ref).frame).first(packet.frame_bytes));
      }
      release(packet.ref);
      return abi::Reason::kNone;
    case Fate::kKept:
      return abi::Reason::kNone;
    case Fate::kDrop:
      release(packet.ref);
      return packet.reason;
  }
  return abi::Reason::kNone;
}

void OfflineEngine::set_time(base::Nanos now, std::uint64_t wall_ns) {
  now_ = std::max(now_, now);
  wall_ = wall_ns;
  // Work behind a filled gap goes on poll by poll.
  for (std::size_t left = 1000; left != 0 && engine_->poll(now_, wall_) != 0; --left) {
  }
}

const std::vector<rules::RuleCost>& OfflineEngine::measure_rules() {
  costs_.assign(generation_->ruleset().rules().size(), {});
  engine_->set_rule_costs(costs_);
  return costs_;
}

void OfflineEngine::close_all() { engine_->close_all(now_, wall_); }

}  // namespace sluice::ctl
