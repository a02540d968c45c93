// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "tests/unit/engine/engine_rig.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "dataplane/abi/segments.h"
#include "dataplane/limit/table.h"
#include "tests/unit/engine/rig_image.h"

namespace sluice::test {

using engine::Fate;
using engine::Packet;
using engine::Side;

std::string RigRecord::field(abi::EventFieldId id) const {
  for (const auto& [field_id, text] : fields) {
    if (field_id == id) return text;
  }
  return {};
}

abi::RingWriter EngineRig::make_ring(Ring& ring) {
  constexpr std::size_t kBytes = 1 << 20;
  ring.memory.assign((sizeof(abi::RingHeader) + kBytes) / 8 + 16, 0);
  auto at = (reinterpret_cast<std::uintptr_t>(ring.memory.data()) + 63) & ~std::uintptr_t{63};
  auto* header = reinterpret_cast<abi::RingHeader*>(at);
  header->capacity = kBytes;
  auto* data = reinterpret_cast<std::uint8_t*>(header + 1);
  ring.reader = abi::RingReader(header, data, kBytes);
  return {header, data};
}

std::unique_ptr<engine::Generation> EngineRig::open(const std::string& rules,
                                                    std::uint64_t number) {
  const std::vector<std::uint8_t> bytes = rig_image(options_, rules, number);
  auto* memory =
      static_cast<std::uint8_t*>(std::aligned_alloc(64, (bytes.size() + 63) & ~std::size_t{63}));
  std::memcpy(memory, bytes.data(), bytes.size());
  images_.push_back(memory);
  auto opened = engine::Generation::open({memory, bytes.size()}, 1);
  EXPECT_NE(opened.generation, nullptr) << opened.message;
  return std::move(opened.generation);
}

EngineRig::EngineRig(const RigOptions& options)
    : counters(std::make_unique<abi::WorkerCounters>()), options_(options) {
  base::seeded_hash_key(key_, 42);
  engine::EngineConfig config = options.config;
  config.flows_max = std::min<std::size_t>(config.flows_max, 256);
  config.embryonic_max = 64;
  config.streams_max = std::min<std::size_t>(config.streams_max, 64);
  config.transactions_max = std::min<std::size_t>(config.transactions_max, 64);
  config.reply_slots = std::min<std::size_t>(config.reply_slots, 8);
  config.retained_bytes = 4 << 20;
  config.held_packets_max = 128;
  config.fragment_datagrams = 16;
  config.fragment_blocks = 256;
  config.joined_max = 4;
  config.rules_bytes = 8 << 20;
  limit_memory_.assign(limit::Table::bytes_for(1024) / 8 + 16, 0);
  auto at = (reinterpret_cast<std::uintptr_t>(limit_memory_.data()) + 63) & ~std::uintptr_t{63};
  const std::span<std::uint8_t> limit_span(reinterpret_cast<std::uint8_t*>(at),
                                           limit::Table::bytes_for(1024));
  limit::Table::format(limit_span, 1024);
  limits_ = std::make_unique<limit::Table>(limit_span);

  engine::EngineEnvironment environment;
  environment.port.context = this;
  environment.port.frame = [](void* self, net::PacketRef packet) -> base::MutableBytes {
    return static_cast<EngineRig*>(self)->slots_[packet.handle - 1].frame;
  };
  environment.port.transmit = [](void* self, net::PacketRef packet, std::size_t bytes,
                                 std::uint16_t, Side out) {
    auto& rig = *static_cast<EngineRig*>(self);
    Slot& slot = rig.slots_[packet.handle - 1];
    EXPECT_TRUE(slot.used);
    rig.leave(out, {slot.frame.data(), bytes});
    slot.used = false;
  };
  environment.port.free = [](void* self, net::PacketRef packet) {
    Slot& slot = static_cast<EngineRig*>(self)->slots_[packet.handle - 1];
    EXPECT_TRUE(slot.used);
    slot.used = false;
  };
  environment.port.allocate = [](void* self, std::size_t bytes,
                                 base::MutableBytes& frame) -> net::PacketRef {
    auto& rig = *static_cast<EngineRig*>(self);
    if (rig.starve_crafted) return {};
    const net::PacketRef packet = rig.store({}, bytes);
    frame = rig.slots_[packet.handle - 1].frame;
    return packet;
  };
  slots_.reserve(4096);
  for (std::size_t i = 0; i < 4096; ++i) {
    slots_.push_back({});
    slots_.back().frame.reserve(2048);
  }
  environment.hash_key = &key_;
  environment.counters = counters.get();
  environment.limits = limits_.get();
  environment.verdict_ring = make_ring(verdicts_);
  environment.http_ring = make_ring(http_);
  environment.event_id_seed = 7;
  environment.rules_hash_seed = 9;
  environment.start_time = now;
  auto created = engine::Engine::create(config, environment);
  EXPECT_TRUE(created.ok());
  engine = std::move(created).value();
  engine::Engine::Observer observer;
  observer.context = this;
  observer.inspected = [](void* self, std::uint64_t, int direction, std::uint64_t offset,
                          base::Bytes bytes) {
    guard_allocations(false);
    std::string& text = static_cast<EngineRig*>(self)->observed_[direction];
    if (text.size() < offset) text.resize(offset, '?');
    text.replace(offset, bytes.size(), base::as_text(bytes));
    guard_allocations(true);
  };
  engine->set_observer(observer);
  generations_.push_back(open(options.rules, 1));
  live_ = generations_.back().get();
  if (!options.staged_rules.empty()) {
    generations_.push_back(open(options.staged_rules, 2));
    staged_ = generations_.back().get();
  }
  switches_.version = 1;
  engine->observe(live_, staged_, switches_);
}

EngineRig::~EngineRig() {
  engine.reset();
  generations_.clear();
  for (std::uint8_t* image : images_) std::free(image);
}

void EngineRig::set_switches(std::uint32_t mode, bool bypass) {
  ++switches_.version;
  switches_.mode = mode;
  switches_.bypass = bypass;
  engine->observe(live_, staged_, switches_);
}

void EngineRig::publish(const std::string& rules) {
  generations_.push_back(open(rules, generations_.size() + 10));
  live_ = generations_.back().get();
  engine->observe(live_, staged_, switches_);
}

void EngineRig::go_live(std::size_t index) {
  live_ = generations_[index].get();
  engine->observe(live_, staged_, switches_);
}

net::PacketRef EngineRig::store(const Frame& frame, std::size_t room) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].used) continue;
    slots_[i].used = true;
    slots_[i].frame.assign(frame.begin(), frame.end());
    if (room != 0) slots_[i].frame.resize(room);
    return {i + 1};
  }
  ADD_FAILURE() << "the rig has no packet left";
  return {};
}

std::size_t EngineRig::kept() const {
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.used; }));
}

std::uint32_t EngineRig::pins() const {
  std::uint32_t pins = 0;
  for (const auto& generation : generations_) pins += generation->pins(0);
  return pins;
}

void EngineRig::leave(Side out, base::Bytes frame) {
  guard_allocations(false);
  auto left = std::make_unique<Left>();
  left->order = frames_left_++;
  left->frame.assign(frame.begin(), frame.end());
  net::parse(left->frame, {}, left->parsed);
  // In monitor what is unsound passes.
  if (options_.mode == abi::Mode::kBlock) {
    EXPECT_EQ(left->parsed.reason, abi::Reason::kNone);
    EXPECT_TRUE(!left->parsed.is_tcp() || net::verify_tcp_checksum(left->parsed));
  }
  (out == Side::kInside ? to_server : to_client).push_back(std::move(left));
  guard_allocations(true);
}

Packet EngineRig::push(Side side, const Frame& frame) {
  Packet packet;
  packet.ref = store(frame, 0);
  packet.frame = slots_[packet.ref.handle - 1].frame;
  packet.side = side;
  guard_allocations(true);
  engine->parse(packet);
  engine->process({&packet, 1}, now, now + kWallOffset);
  guard_allocations(false);
  switch (packet.fate) {
    case Fate::kForward:
      leave(engine::other(side), {packet.frame.data(), packet.frame_bytes});
      guard_allocations(false);
      slots_[packet.ref.handle - 1].used = false;
      break;
    case Fate::kKept:
      break;
    case Fate::kDrop:
      slots_[packet.ref.handle - 1].used = false;
      break;
  }
  now += 1000;
  return packet;
}

void EngineRig::poll() {
  guard_allocations(true);
  engine->poll(now, now + kWallOffset);
  guard_allocations(false);
}

void EngineRig::close_all() {
  guard_allocations(true);
  engine->close_all(now, now + kWallOffset);
  guard_allocations(false);
}

std::size_t EngineRig::judge_on() {
  std::size_t polls = 0;
  for (; engine->judging(); ++polls) poll();
  return polls;
}

void EngineRig::advance_ms(std::uint64_t milliseconds) {
  while (milliseconds != 0) {
    const std::uint64_t step = std::min<std::uint64_t>(milliseconds, 100);
    now += step * base::kNanosPerMilli;
    milliseconds -= step;
    for (int i = 0; i < 4; ++i) poll();
  }
}

void EngineRig::read(Ring& ring, std::vector<RigRecord>& into) {
  abi::RingReader::Record raw;
  while (ring.reader.peek(raw)) {
    RigRecord record{};
    record.type = static_cast<abi::RecordType>(raw.type);
    std::memcpy(&record.header, raw.payload.data(), sizeof record.header);
    std::size_t at = sizeof record.header;
    for (std::size_t i = 0; i < record.header.field_count; ++i) {
      abi::EventField field;
      std::memcpy(&field, raw.payload.data() + at, sizeof field);
      at += sizeof field;
      const std::string text(reinterpret_cast<const char*>(raw.payload.data() + at), field.bytes);
      if (field.id == abi::EventFieldId::kRuleMatch) {
        abi::EventRuleMatch match;
        std::memcpy(&match, text.data(), sizeof match);
        record.rules.push_back(match.rule_id);
      }
      record.fields.emplace_back(field.id, text);
      at += (field.bytes + 3U) & ~3U;
    }
    into.push_back(record);
    ring.reader.pop();
  }
  ring.reader.release();
}

std::vector<RigRecord> EngineRig::records() {
  std::vector<RigRecord> all;
  read(verdicts_, all);
  read(http_, all);
  return all;
}

std::vector<RigRecord> EngineRig::records(abi::RecordType type) {
  std::vector<RigRecord> all = records();
  std::erase_if(all, [type](const RigRecord& record) { return record.type != type; });
  return all;
}

// -- dialog -------------------------------------------------------------------------------------

Dialog::Dialog(EngineRig& rig, unsigned client_port, bool v6, bool timestamps, unsigned client_mss)
    : rig_(rig),
      client_port_(client_port),
      v6_(v6),
      timestamps_(timestamps),
      client_mss_(client_mss) {}

PacketBuilder Dialog::builder(bool from_client) const {
  PacketBuilder packet;
  const std::string client = v6_ ? "2001:db8::1" : "192.0.2.1";
  const std::string server = v6_ ? "2001:db8::2" : "198.51.100.2";
  packet.tags = tags_;
  if (from_client) {
    packet.from(client, client_port_).to(server, 80);
  } else {
    packet.from(server, 80).to(client, client_port_);
    std::swap(packet.destination_mac, packet.source_mac);
  }
  return packet;
}

void Dialog::handshake() {
  PacketBuilder syn = builder(true);
  syn.tcp(client_isn, 0, net::kSyn);
  append(syn.options, {2, 4, static_cast<std::uint8_t>(client_mss_ >> 8),
                       static_cast<std::uint8_t>(client_mss_)});
  if (timestamps_) syn.timestamps(timestamp, 0);
  rig_.push(Side::kOutside, syn.build());
  PacketBuilder answer = builder(false);
  answer.tcp(server_isn, client_isn + 1, net::kSyn | net::kAck);
  append(answer.options, {2, 4, 5, 180});
  if (timestamps_) answer.timestamps(timestamp + 7000, timestamp);
  rig_.push(Side::kInside, answer.build());
  client_ack();
}

Frame Dialog::client_frame(std::uint64_t offset, std::string_view data, unsigned flags) const {
  PacketBuilder packet = builder(true);
  packet.tcp(client_isn + 1 + static_cast<std::uint32_t>(offset),
             server_isn + 1 + static_cast<std::uint32_t>(client_acked), flags);
  if (timestamps_) packet.timestamps(timestamp, timestamp + 7000);
  return packet.data(data).build();
}

Frame Dialog::server_frame(std::uint64_t offset, std::string_view data, unsigned flags) const {
  PacketBuilder packet = builder(false);
  packet.tcp(server_isn + 1 + static_cast<std::uint32_t>(offset),
             client_isn + 1 + static_cast<std::uint32_t>(server_acked), flags);
  if (timestamps_) packet.timestamps(timestamp + 7000, timestamp);
  return packet.data(data).build();
}

Packet Dialog::client_at(std::uint64_t offset, std::string_view data, unsigned flags) {
  client_sent = std::max<std::uint64_t>(client_sent, offset + data.size());
  return rig_.push(Side::kOutside, client_frame(offset, data, flags));
}
Packet Dialog::client(std::string_view data, unsigned flags) {
  return client_at(client_sent, data, flags);
}
Packet Dialog::server_at(std::uint64_t offset, std::string_view data, unsigned flags) {
  server_sent = std::max<std::uint64_t>(server_sent, offset + data.size());
  server_acked = server_read().size();
  return rig_.push(Side::kInside, server_frame(offset, data, flags));
}
Packet Dialog::server(std::string_view data, unsigned flags) {
  return server_at(server_sent, data, flags);
}
Packet Dialog::client_ack() {
  client_acked = client_read().size();
  return rig_.push(Side::kOutside, client_frame(client_sent, {}, net::kAck));
}
Packet Dialog::server_ack() {
  server_acked = server_read().size();
  return rig_.push(Side::kInside, server_frame(server_sent, {}, net::kAck));
}

std::string Dialog::read(const std::vector<std::unique_ptr<Left>>& left, std::uint32_t isn) const {
  std::map<std::uint32_t, char> bytes;
  for (const auto& segment : left) {
    const auto& parsed = segment->parsed;
    if (!parsed.is_tcp() || parsed.has_flag(net::kRst) || parsed.has_flag(net::kSyn)) continue;
    if (parsed.source_port != client_port_ && parsed.destination_port != client_port_) continue;
    const std::string payload = segment->payload();
    for (std::size_t i = 0; i < payload.size(); ++i) {
      bytes.emplace(parsed.sequence - isn - 1 + static_cast<std::uint32_t>(i), payload[i]);
    }
  }
  std::string text;
  for (const auto& [offset, byte] : bytes) {
    if (offset != text.size()) break;
    text += byte;
  }
  return text;
}

std::string Dialog::server_read() const { return read(rig_.to_server, client_isn); }
std::string Dialog::client_read() const { return read(rig_.to_client, server_isn); }

bool Dialog::client_reset() const {
  return std::any_of(rig_.to_client.begin(), rig_.to_client.end(),
                     [](const auto& left) { return left->has(net::kRst); });
}
bool Dialog::server_reset() const {
  return std::any_of(rig_.to_server.begin(), rig_.to_server.end(),
                     [](const auto& left) { return left->has(net::kRst); });
}

}  // namespace sluice::test
